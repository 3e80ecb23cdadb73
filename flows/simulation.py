"""Flow `simulate`: days of a simulated market, planned, sent, answered and learnt from by the real flows.

A day is ingest and plan as of its midnight, dispatch of what falls due until the next, and the market's
answers, which the next day's ingest reads. Mondays train and ask the gate. A day lived again ends the same.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path

import pandas as pd
from prefect import flow
from prefect.artifacts import create_markdown_artifact

from features.errors import RefusedError
from flows.cycle import cycle
from flows.dispatch import dispatch_due
from flows.ingest import ingest
from flows.progress import step
from flows.run_name import run_name
from flows.score import score
from flows.simulation_days import DayOutcome, day_outcome, simulation_markdown
from flows.wiring import Stores, open_stores, sole_writer
from infra.gateway import FileGateway
from infra.sent_pushes import SentPushes
from infra.sources import open_market
from infra.sources.simulated.answers import answers
from infra.sources.simulated.days import day_number, midnight
from infra.sources.simulated.source import SimulatedSource

_TRAINS_ON = 0  # Mondays, as the schedule of `train` has it
PUSH_COLUMNS = ("push_id", "user_id", "item_id", "items", "send_at", "device", "channel")


@flow(name="simulate", flow_run_name=run_name, timeout_seconds=24 * 3600, persist_result=False)
def simulate(days: int = 1, start: date | None = None) -> list[DayOutcome]:
    """Live so many days of the simulated market from `start` on.

    Args:
        days: How many.
        start: The first; by default the one after all that were lived. An earlier one turns the clock back.

    Returns:
        What became of each day's plan.

    Raises:
        UsageError: The source is not simulated, or `start` is none of its days.
        RefusedError: No model has passed the gate, or the data or a plan was refused.
    """
    stores = open_stores()
    source = open_market(stores.settings.source, stores.settings.home)
    outcomes = []
    with sole_writer(stores.settings):
        source.diary.turn_to(source.diary.today if start is None else start)
        for _ in range(days):
            outcomes.append(live_day(stores, source))
        ingest()  # so that what the last day brought about is known
    create_markdown_artifact(
        simulation_markdown(outcomes), key="simulation", description="Simulated days, one row each"
    )
    return outcomes


def live_day(stores: Stores, source: SimulatedSource) -> DayOutcome:
    """What became of the plan of the market's today, which is over then."""
    day = source.diary.today
    plan_day(stores, midnight(source.market.params, day_number(source.market.params, day)), day)
    return answer_day(stores, source, day)


def answer_day(stores: Stores, source: SimulatedSource, day: date) -> DayOutcome:
    """What became of the live plan of that day, the market's today, which is over then."""
    number = day_number(source.market.params, day)
    as_of, until = (midnight(source.market.params, one) for one in (number, number + 1))
    with step(f"day {day}") as current:
        pushes = sent_pushes(stores, source.diary.pushes_file(day), as_of, until)
        happened = answers(source.market, pushes, source.memory())
        source.diary.write_day(day, happened)
        outcome = day_outcome(day, str(stores.registry.champion()), happened.to_pandas())
        current.say(outcome.words)
    return outcome


def plan_day(stores: Stores, as_of: datetime, day: date) -> None:
    """Nothing; a plan of that day is live, by a model trained anew on Mondays.

    Raises:
        RefusedError: No model has passed the gate, or this plan was refused.
    """
    if day.weekday() != _TRAINS_ON and stores.registry.champion() is not None:
        ingest()
        score(as_of=as_of, plan_date=day)
        return
    summary = cycle(as_of=as_of, plan_date=day)
    if summary.champion is None:
        raise RefusedError(f"the gate refused the first model, so nothing is planned: {summary.reasons[0]}.")


def sent_pushes(stores: Stores, file: Path, since: datetime, until: datetime) -> pd.DataFrame:
    """`PUSH_COLUMNS` of all that went out in [since, until), through the dispatcher into `file`.

    The dispatcher is asked at every instant at which a push falls due, as if it were then. What it sent
    before lies in the file already.
    """
    gateway = FileGateway(file)
    due, _ = SentPushes(stores.database).read(since, until)
    for now in sorted(due["send_at"].unique()):
        dispatch_due(stores, pd.Timestamp(now).to_pydatetime(), gateway, sleep=lambda seconds: None)
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    told = pd.DataFrame([json.loads(line) for line in lines])
    if told.empty:
        return pd.DataFrame({name: [] for name in PUSH_COLUMNS}).assign(send_at=pd.to_datetime([], utc=True))
    told["send_at"] = pd.to_datetime(told["send_at"], utc=True)
    told["device"] = [scene.get("device", "unknown") for scene in told["scene"]]
    return told.sort_values(["send_at", "push_id"], ignore_index=True)[list(PUSH_COLUMNS)]
