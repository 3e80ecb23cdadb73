"""What a canary's users did beside the others, measured from what came back of the pushes it planned."""

from __future__ import annotations

from datetime import datetime
from math import isfinite

import pandas as pd

from flows.health import sent_of
from flows.wiring import Stores
from infra.rollout_store import Rollout
from infra.sent_pushes import SentPushes
from monitoring.guardrails import Guardrail, guardrails

KIND = "canary"
_EVENTS = """
    SELECT user_id, event_type, event_ts, push_id FROM events
    WHERE event_type NOT IN ('push_delivered', 'push_dismissed')
"""


def measure_guardrails(stores: Stores, rollout: Rollout, as_of: datetime) -> list[Guardrail]:
    """Every guardrail since the canary began, stored; the worst first, none while nothing can be told."""
    pushes, _ = SentPushes(stores.database).read(rollout.entered_at, as_of)
    if pushes.empty:
        return []
    connection = stores.lake.connect(as_of, since=rollout.entered_at)
    try:
        events = connection.sql(_EVENTS).df()
    finally:
        connection.close()
    events["event_ts"] = pd.to_datetime(events["event_ts"], utc=True)
    found = guardrails(sent_of(pushes, events), events, rollout.version, as_of)
    if found:
        stores.reports.append_quality(
            subject=rollout.version,
            as_of=as_of,
            kind=KIND,
            rows=[_row(one) for one in found],
            reference=rollout.champion,
        )
    return found


def _row(one: Guardrail) -> dict[str, object]:
    ratio = one.ratio.ratio
    return {
        "column_name": one.name,
        "measure": "rate beside the rest",
        "value": ratio if isfinite(ratio) else None,
        "threshold": one.limit,
        "verdict": one.verdict,
        "details": {"words": one.words, "low": one.ratio.low, "users": one.users, "others": one.others},
    }
