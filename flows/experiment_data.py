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
from models.experiments.assignment import unit_shares
from models.experiments.thompson import thompson_of, thompson_shares
from monitoring.experiments.design import Design
from monitoring.experiments.metric_names import BEFORE, OUTCOMES
from monitoring.experiments.power import Past, past_of
from monitoring.experiments.unit_table import PROPENSITY, unit_table

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
       CAST(event_type = 'push_sent' AS INTEGER) AS pushes,
       CAST(event_type = 'purchase' AND push_id IS NOT NULL AND row_number() OVER (
           PARTITION BY event_type, push_id ORDER BY event_ts, event_id
       ) = 1 AS INTEGER) AS conversions
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


def exposures_of(stores: Stores, design: Design, as_of: datetime) -> pd.DataFrame:
    """One row an assigned unit, as `monitoring.experiments.unit_table` takes them.

    Its exposure is its first day's first push: when it was sent, or in an unsent arm planned to be; where
    policy stayed silent, when that day began. Whoever left before that push was due is in no arm's count,
    since only an arm that sends would lose them.

    Returns:
        (unit_id, arm, assigned_at, exposed_at, slot, is_silent, holdout, before:...); and where shares move
        each unit's chance of every arm.
    """
    units = stores.units.exposures(design.split.name, as_of)
    if design.is_adaptive:
        chances = unit_shares(units["unit_id"].to_numpy(dtype=object), design.split)
        names = [f"{PROPENSITY}{arm.name}" for arm in design.split.arms]
        units = units.assign(**dict(zip(names, chances.T, strict=True)))
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


def shares_as_of(stores: Stores, design: Design, as_of: datetime) -> tuple[tuple[float, ...], str]:
    """(the arms' shares by how likely each is the best, why, in words), of units whose window is over.

    Until one of every arm is, they are the declared ones.
    """
    split = design.split
    exposures = exposures_of(stores, design, as_of)
    declared = tuple(arm.share for arm in split.arms)
    if not exposures.empty:
        outcomes = outcomes_of(stores, exposures, design.starts_at, as_of)
        table = unit_table(design, exposures, outcomes, as_of)
        has_any = design.primary.numerators(table.sums[design.primary.column]) > 0
        count = len(split.arms)
        units = np.bincount(table.arm[table.is_over], minlength=count)[1:].tolist()
        hits = np.bincount(table.arm[table.is_over & has_any], minlength=count)[1:].tolist()
        if all(units):
            told = zip(split.arms[1:], hits, units, strict=True)
            why = ", ".join(f"{arm.name} {hit} of {unit}" for arm, hit, unit in told)
            shares = tuple(float(share) for share in thompson_shares(hits, units, thompson_of(split)))
            words = ", ".join(
                f"{arm.name} {share:.1%}" for arm, share in zip(split.arms, shares, strict=True)
            )
            return shares, f"{words}; converted: {why}"
    return declared, "no window of every arm is over: the declared shares"


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
