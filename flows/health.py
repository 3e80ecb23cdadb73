"""Model health: the live model's promises beside what came back of the last two weeks' pushes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pandas as pd
from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows.alerts import raise_alert, recovered
from flows.progress import step
from flows.wiring import Stores, open_stores
from infra.sent_pushes import SentPushes
from monitoring.alert_words import AlertFacts
from monitoring.model_health import HealthRow, model_health, worst

KIND = "model_health"
_DAYS = 14
_EVENTS = """
    SELECT user_id, event_type, event_ts, item_id, push_id FROM events
    WHERE event_type NOT IN ('push_delivered', 'push_dismissed', 'opt_out', 'complaint')
"""


@task(name="measure model health", cache_policy=NO_CACHE)
def measure_model_health(as_of: datetime) -> str:
    """The verdict on what was sent in the two weeks before `as_of`: ok, warn or fail."""
    stores = open_stores()
    with step("health") as current:
        rows = measured_health(stores, as_of)
        if not rows:
            current.skip("no push that was sent has had its time yet")
            return "ok"
        verdict = worst(rows)
        stores.reports.append_quality(
            subject="live pushes", as_of=as_of, kind=KIND, rows=[_row(row) for row in rows]
        )
        _alert(stores, rows)
        current.say(f"{verdict}: {rows[0].words}")
    create_markdown_artifact(
        health_markdown(rows), key="model-health", description=f"Pushes of two weeks before {as_of:%Y-%m-%d}"
    )
    return verdict


def measured_health(stores: Stores, as_of: datetime) -> list[HealthRow]:
    """The health of all pushes that were sent, by us or, as events say, by whoever reads the plan."""
    since = as_of - timedelta(days=_DAYS)
    pushes, items = SentPushes(stores.database).read(since, as_of)
    if pushes.empty:
        return []
    connection = stores.lake.connect(as_of, since=since)
    try:
        events = connection.sql(_EVENTS).df()
    finally:
        connection.close()
    events["event_ts"] = pd.to_datetime(events["event_ts"], utc=True)
    return model_health(sent_of(pushes, events), items, events[events["event_type"] != "push_sent"], as_of)


def sent_of(pushes: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """The pushes that were sent, with `sent_at`: when we handed them over, or when an event says so."""
    told = events[(events["event_type"] == "push_sent") & events["push_id"].notna()]
    reported = pushes["push_id"].map(told.groupby("push_id")["event_ts"].min())
    sent = pushes.assign(sent_at=pd.to_datetime(pushes["dispatched_at"].fillna(reported), utc=True))
    return sent[sent["sent_at"].notna()].reset_index(drop=True)


def _row(row: HealthRow) -> dict[str, Any]:
    return {
        "column_name": row.slice or "all pushes",
        "measure": "observed over promised answers",
        "value": None if row.ratio != row.ratio else row.ratio,
        "threshold": None,
        "verdict": row.verdict,
        "details": {
            "words": row.words,
            "pushes": row.pushes,
            "converted": row.converted,
            "ndcg": None if row.ndcg != row.ndcg else row.ndcg,
            "ece": row.ece,
        },
    }


def _alert(stores: Stores, rows: list[HealthRow]) -> None:
    failed = [row for row in rows if row.verdict == "fail"]
    if not failed:
        recovered(stores, KIND)
        return
    facts = AlertFacts(
        failed[0].words,
        "; ".join(row.words for row in failed[1:4]),
        "the champion goes on planning; its chances are not what it says",
    )
    raise_alert(stores, KIND, facts)


def health_markdown(rows: list[HealthRow]) -> str:
    """The slices as a page."""
    lines = ["| slice | pushes | promised | answered | times | bought | NDCG | ECE | verdict |"]
    lines.append("|---|---:|---:|---:|---:|---:|---:|---:|---|")
    for row in rows:
        lines.append(
            f"| {row.slice or 'all pushes'} | {row.pushes:,} | {row.expected:,.0f} | {row.engaged:,} "
            f"| {row.ratio:.2f} | {row.converted:,} | {row.ndcg:.3f} | {row.ece:.3f} | {row.verdict} |"
        )
    return "\n".join(lines)
