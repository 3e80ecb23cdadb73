"""What a canary's users did beside the others, measured from what came back of the pushes it planned."""

from __future__ import annotations

from datetime import datetime
from math import isfinite

import numpy as np
import pandas as pd

from flows.health import sent_of
from flows.planners import trial_users
from flows.wiring import Stores
from infra.rollout_store import Rollout
from infra.sent_pushes import SentPushes
from monitoring.guardrails import Guardrail, guardrails

KIND = "canary"
_EVENTS = """
    SELECT user_id, event_type, event_ts, push_id FROM events SEMI JOIN pushed USING (user_id)
    WHERE event_type NOT IN ('push_delivered', 'push_dismissed')
"""


def measure_guardrails(stores: Stores, rollout: Rollout, as_of: datetime) -> list[Guardrail]:
    """Every guardrail since the canary began, stored; the worst first, none while nothing can be told."""
    pushes, _ = SentPushes(stores.database).read(rollout.entered_at, as_of)
    if pushes.empty:
        return []
    connection = stores.lake.connect(as_of, since=rollout.entered_at)
    try:
        connection.register("pushed", pushes[["user_id"]].drop_duplicates())
        events = connection.sql(_EVENTS).df()
    finally:
        connection.close()
    events["event_ts"] = pd.to_datetime(events["event_ts"], utc=True)
    sent = since_canary(sent_of(pushes, events), rollout)
    found = guardrails(sent, events, rollout.version, as_of)
    if found:
        stores.reports.append_quality(
            subject=rollout.version,
            as_of=as_of,
            kind=KIND,
            rows=[_row(one) for one in found],
            reference=rollout.champion,
        )
    return found


def since_canary(sent: pd.DataFrame, rollout: Rollout) -> pd.DataFrame:
    """The pushes since the canary's first one, named by the part of the users they went to.

    Chance chose users, so users are compared by the part that it put them in, whoever planned for them: those
    who left before the canary's turn would otherwise count against the rest.
    """
    began = sent.loc[sent["model_version"] == rollout.version, "sent_at"].min()
    sent = sent[sent["sent_at"] >= began]  # none while it has sent nothing
    ours = trial_users(rollout).holds(sent["user_id"])
    return sent.assign(model_version=np.where(ours, rollout.version, "the rest"))


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
