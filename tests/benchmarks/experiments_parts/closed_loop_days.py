"""The days of the closed loop as flows, and what both policies' pushes are truly worth on each."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import pandas as pd
from prefect import flow

from flows.candidate_scores import files_of, score_candidates
from flows.day_plan import bare_plan
from flows.experiment_planning import allocation_of
from flows.experiment_readout import readout
from flows.ingest import ingest
from flows.planners import Planner, part_of, planners_of
from flows.progress import step
from flows.simulation import answer_day, plan_day
from flows.train import train
from flows.wiring import Stores, open_stores, sole_writer
from infra.sources import open_market
from infra.sources.simulated.answers import sale_chances
from infra.sources.simulated.days import day_number, midnight
from infra.sources.simulated.memory import PushMemory
from infra.sources.simulated.source import SimulatedSource
from models.experiments.allocation import ArmUsers

Say = Callable[[str], None]


@flow(name="closed-loop-warm-up", persist_result=False, validate_parameters=False)
def warm_up(days: int, say: Say) -> tuple[date, str]:
    """(the day after, a version that ranks items without the moment) once the champion has planned."""
    stores = open_stores()
    source = open_market(stores.settings.source, stores.settings.home)
    with sole_writer(stores.settings):
        source.diary.turn_to(source.diary.today)
        for number in range(days):
            outcome = live(stores, source)
            say(f"warm-up day {number + 1} of {days}: {outcome}")
        ingest()
        champion = stores.registry.champion()
        plain = _plain_version(source)
        assert stores.registry.champion() == champion
    return source.diary.today, plain


@flow(name="closed-loop-experiment", persist_result=False, validate_parameters=False)
def experiment_days(days: int, name: str, say: Say) -> pd.DataFrame:
    """What each policy's pushes were truly worth on each day; the last readout is stored.

    Returns:
        (day, policy, own, chance, pushes): expected sales and pushes, of the arm's own users and of others.
    """
    stores = open_stores()
    source = open_market(stores.settings.source, stores.settings.home)
    told = []
    with sole_writer(stores.settings):
        for number in range(days):
            if stores.experiments.read(name).status not in ("waiting", "running"):
                break  # harm, which the last readout tells
            with step(f"day {number + 1}/{days}") as current:
                day = source.diary.today
                as_of = midnight(source.market.params, day_number(source.market.params, day))
                memory = source.memory()
                plan_day(stores, as_of, day)
                told.append(worth_of_day(stores, source, name, as_of, day, memory))
                readout(as_of=as_of)
                answer_day(stores, source, day)
                current.say(worth_words(told))
            say(f"day {number + 1} of {days}: {worth_words(told)}")
        # The day after: the last look is due, the experiment ends, and whoever has learnt best plans.
        day = source.diary.today
        as_of = midnight(source.market.params, day_number(source.market.params, day))
        ingest()
        readout(as_of=as_of)
        plan_day(stores, as_of, day)
    return pd.concat(told, ignore_index=True)


def worth_words(days: list[pd.DataFrame]) -> str:
    """What each policy's pushes were truly worth so far."""
    sums = pd.concat(days).groupby("policy")[["chance", "pushes"]].sum()
    return ", ".join(f"{policy} {row.chance / row.pushes:.5f} a push" for policy, row in sums.iterrows())


def live(stores: Stores, source: SimulatedSource) -> str:
    """One day of the champion alone, in words."""
    day = source.diary.today
    plan_day(stores, midnight(source.market.params, day_number(source.market.params, day)), day)
    return answer_day(stores, source, day).words


def worth_of_day(
    stores: Stores, source: SimulatedSource, name: str, as_of: datetime, day: date, memory: PushMemory
) -> pd.DataFrame:
    """Rows of `experiment_days` of one day, before anybody answers it."""
    champion = str(stores.registry.champion())
    allocation = allocation_of(stores, champion, None, as_of, day)
    assert allocation is not None
    planners = {_arm_of(planner): planner for planner in planners_of(champion, None, allocation)}
    published, items = stores.plans.read_published(day), stores.plans.read_items(day)
    rows = []
    for arm in allocation.splits[0].arms:
        rest = tuple((name, one.name) for one in allocation.splits[0].arms if one != arm)
        planner = planners.get(arm.name, planners[""])
        ours = published[published["arm"] == arm.name]
        shadow = _shadow(stores, planner, ArmUsers(allocation, rest), as_of, day)
        for own, pushes in ((True, _shown(ours, items)), (False, shadow)):
            chance = sale_chances(source.market, pushes, memory)
            rows.append((day, arm.name, own, float(chance.sum()), len(pushes)))
    return pd.DataFrame(rows, columns=["day", "policy", "own", "chance", "pushes"])


def _arm_of(planner: Planner) -> str:
    """The one arm that the planner plans for; '' of the champion's, who plans for the rest."""
    users = planner.plans_for
    return users.arms[0][1] if isinstance(users, ArmUsers) and not users.is_rest else ""


def _shadow(stores: Stores, planner: Planner, users: ArmUsers, as_of: datetime, day: date) -> pd.DataFrame:
    """What the planner would push to users who are not its own; nothing of it is published."""
    scores = planner.scores if planner.scores.is_everyone else users
    score_candidates(planner.version, as_of, day, None, scores, planner.slots)
    files = files_of(stores, planner.version, as_of, day, scores, planner.slots)
    plans = [
        bare_plan(
            stores,
            planner.version,
            part_of(shard, users),
            day,
            as_of,
            dict(planner.policy),
            planner.slots,
        )
        for shard in files.shards
    ]
    return pd.concat([_shown(plan.pushes, plan.items) for plan in plans], ignore_index=True)


def _shown(pushes: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """The pushes as the market sees them."""
    listed = items.sort_values("rank").groupby("push_id")["item_id"].agg(list)
    frame: dict[str, Any] = {name: pushes[name] for name in ("push_id", "user_id", "item_id", "channel")}
    return pd.DataFrame(
        {
            **frame,
            "items": pushes["push_id"].map(listed),
            "send_at": pd.to_datetime(pushes["send_at"], utc=True),
            "device": [scene.get("device", "unknown") for scene in pushes["scene"]],
        }
    ).reset_index(drop=True)


def _plain_version(source: SimulatedSource) -> str:
    """A version whose ranker does not see the moment, trained as the champion was."""
    day = source.diary.today
    as_of = midnight(source.market.params, day_number(source.market.params, day))
    os.environ["KAIROS_RANKER_SEES_MOMENT"] = "false"
    try:
        return train(as_of=as_of)
    finally:
        del os.environ["KAIROS_RANKER_SEES_MOMENT"]
