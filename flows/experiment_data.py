"""What experiments measure, read from plans and the lake as of a moment: exposures, outcomes, the past."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from features.calendar import local_midnight
from flows.moments import shop_timezone
from flows.training_data import USERS_WITH_CONSENT
from flows.wiring import Stores
from monitoring.experiments.design import Design
from monitoring.experiments.metric_names import BEFORE, OUTCOMES
from monitoring.experiments.power import Past, past_of

PAST_DAYS = 28
"""So long before it was assigned a unit's own past counts (CUPED)."""
_LONGEST_DAYS = 90

# A push of somebody else's, such as a mailed campaign, has no push_id of ours.
_OUTCOMES = """
SELECT user_id AS unit_id, event_ts AS outcome_ts,
       CAST(event_type = 'purchase' AS INTEGER) AS purchases,
       CASE WHEN event_type = 'purchase' THEN coalesce(amount, 0) ELSE 0 END AS spend,
       CAST(event_type = 'opt_out' AS INTEGER) AS opt_outs,
       CAST(event_type = 'complaint' AS INTEGER) AS complaints,
       CAST(event_type = 'push_opened' AS INTEGER) AS opens,
       CAST(event_type = 'push_sent' AS INTEGER) AS pushes
FROM events SEMI JOIN units USING (user_id)
WHERE event_type IN ('purchase', 'opt_out', 'complaint')
   OR event_type IN ('push_opened', 'push_sent') AND push_id IS NOT NULL
"""
_BEFORE = f"""
SELECT units.user_id AS unit_id, count(event_ts) AS "{BEFORE}purchases",
       coalesce(sum(amount), 0) AS "{BEFORE}spend"
FROM units LEFT JOIN events ON events.user_id = units.user_id AND event_type = 'purchase'
    AND event_ts < units.until AND event_ts >= units.until - INTERVAL {PAST_DAYS} DAY
GROUP BY 1
"""
_SENT = "SELECT push_id, min(event_ts) AS sent_at FROM events WHERE event_type = 'push_sent' GROUP BY 1"
_LEFT = """
SELECT user_id AS unit_id, min(event_ts) AS left_at FROM events SEMI JOIN units USING (user_id)
WHERE event_type IN ('opt_out', 'complaint') GROUP BY 1
"""


def exposures_of(stores: Stores, name: str, as_of: datetime) -> pd.DataFrame:
    """One row an assigned unit, as `monitoring.experiments.unit_table` takes them.

    Its exposure is its first day's first push: when it was sent, or in an unsent arm planned to be; where
    policy stayed silent, when that day began. Whoever left before that push was due is in no arm's count,
    since only an arm that sends would lose them.

    Returns:
        (unit_id, arm, assigned_at, exposed_at, slot, is_silent, holdout, before:...).
    """
    units = stores.units.exposures(name, as_of)
    if units.empty:
        return units.assign(exposed_at=pd.Series(dtype="datetime64[us, UTC]"))
    keys = pd.DataFrame({"user_id": units["unit_id"], "until": units["assigned_at"]})
    oldest = units["assigned_at"].min() - timedelta(days=PAST_DAYS)
    connection = stores.lake.connect(as_of, since=oldest.to_pydatetime())
    try:
        connection.register("units", keys)
        before, sent, left = (_frame(connection, query) for query in (_BEFORE, _SENT, _LEFT))
    finally:
        connection.close()
    units = units.merge(before, on="unit_id").merge(left, on="unit_id", how="left")
    reported = units["push_id"].map(sent.set_index("push_id")["sent_at"])
    is_unsent = units["holdout"].eq(True)
    exposed = units["send_at"].where(is_unsent, reported.fillna(units["dispatched_at"]))
    begins = {day: pd.Timestamp(_midnight(stores, day)) for day in units["plan_date"].dropna().unique()}
    silent_since = pd.to_datetime(units["plan_date"].map(begins), utc=True)
    units["exposed_at"] = exposed.where(~units["is_silent"], silent_since)
    gone = (units["left_at"] >= units["assigned_at"]) & (units["left_at"] < units["send_at"])
    return units[~gone].reset_index(drop=True)


def outcomes_of(stores: Stores, units: pd.DataFrame, since: datetime, as_of: datetime) -> pd.DataFrame:
    """(unit_id, outcome_ts, OUTCOMES) of these units' events, one row an event."""
    connection = stores.lake.connect(as_of, since=since)
    try:
        connection.register("units", pd.DataFrame({"user_id": units["unit_id"].astype(object)}))
        return _frame(connection, _OUTCOMES)
    finally:
        connection.close()


def past_of_design(stores: Stores, design: Design, as_of: datetime) -> Past:
    """What the newest whole window says of the primary, over everybody who may be pushed.

    Raises:
        RefusedError: There is nothing to learn a variance from.
    """
    ends = as_of - timedelta(days=design.settling_days)
    begins = ends - timedelta(days=design.window_days)
    connection = stores.lake.connect(as_of, since=begins - timedelta(days=PAST_DAYS))
    try:
        users = connection.sql(USERS_WITH_CONSENT).df()
        users = users[users["push_consent"].eq(True)]
        ids = pd.DataFrame({"user_id": users["user_id"].astype(object), "until": begins})
        connection.register("units", ids)
        before = _frame(connection, _BEFORE).set_index("unit_id").reindex(ids["user_id"])
        rows = _frame(connection, _OUTCOMES)
    finally:
        connection.close()
    rows = rows[(rows["outcome_ts"] >= begins) & (rows["outcome_ts"] < ends)]
    sums = rows.groupby("unit_id")[list(OUTCOMES)].sum().reindex(ids["user_id"], fill_value=0)
    covariate = design.primary.covariate
    return past_of(
        design.primary,
        {name: sums[name].to_numpy(dtype=np.float64) for name in OUTCOMES},
        None if covariate is None else before[covariate].to_numpy(dtype=np.float64),
        _arrivals(users, stores.settings.global_holdout, design, as_of),
    )


def _arrivals(
    users: pd.DataFrame, holdout_share: float, design: Design, as_of: datetime
) -> tuple[float, ...]:
    """Users who may be pushed by the end of day 1, 2, ...: all who are there, then newcomers."""
    signed_up = pd.to_datetime(users["signup_ts"], utc=True)
    new = float((signed_up >= as_of - timedelta(days=PAST_DAYS)).sum())
    days = max(design.look_days[-1], _LONGEST_DAYS)
    return tuple((len(users) + new / PAST_DAYS * day) * (1.0 - holdout_share) for day in range(days))


def _midnight(stores: Stores, day: date) -> datetime:
    return local_midnight(day, shop_timezone(stores.settings))


def _frame(connection: duckdb.DuckDBPyConnection, query: str) -> Any:
    found = connection.sql(query).df()
    for name in ("outcome_ts", "sent_at", "left_at"):
        if name in found:
            found[name] = pd.to_datetime(found[name], utc=True)
    return found
