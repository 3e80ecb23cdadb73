"""Flow `cycle`: the whole way from events to a published plan, each step only where its inputs changed."""

from __future__ import annotations

from datetime import date, datetime

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from flows.cycle_outcome import health_of, read_outcome
from flows.gate import ask_gate
from flows.ingest import ingest
from flows.materialize import materialize, resolved_as_of
from flows.monitor import monitor
from flows.run_name import run_name
from flows.score import resolved_plan_date, score
from flows.summary import CycleSummary, summary_markdown
from flows.task_policy import check_deadline
from flows.train import train
from flows.wiring import open_stores, sole_writer


@flow(name="cycle", flow_run_name=run_name, timeout_seconds=6 * 3600, persist_result=False)
def cycle(as_of: datetime | None = None, plan_date: date | None = None) -> CycleSummary:
    """Ingest, build features, train, watch, ask the gate, and publish the champion's plan.

    Args:
        as_of: Knowledge cut-off: nothing at or after it is known.
        plan_date: The local day to plan; that of `as_of` by default.

    Returns:
        What was learnt, decided and published. A refused challenger is no failure: the champion plans on.
    """
    check_deadline("cycle")
    stores = open_stores()
    with sole_writer(stores.settings):
        ingest()
        as_of = resolved_as_of(stores, as_of)
        plan_date = resolved_plan_date(stores, as_of, plan_date)
        materialize(as_of=as_of)
        version = train(as_of=as_of)
        monitor(as_of=as_of, plan_date=plan_date, version=version)
        health = health_of(stores, version, as_of, plan_date)
        verdict = ask_gate(version, as_of, health)
        batch = None if stores.registry.champion() is None else score(as_of=as_of, plan_date=plan_date)
    summary = read_outcome(stores, verdict, health, batch, as_of, plan_date)
    create_markdown_artifact(
        summary_markdown(summary), key="cycle", description=f"{plan_date}: learnt, decided, published"
    )
    return summary
