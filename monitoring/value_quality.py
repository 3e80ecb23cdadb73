"""Are today's values such as they were: categories never seen, numbers out of range, dead hours."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from duckdb import DuckDBPyConnection
from numpy.typing import NDArray

from monitoring.event_frame import SHOPS_OWN
from monitoring.quality_check import Bound, QualityCheck, judge
from monitoring.shop_clock import ShopClock

CATEGORIES = ("event_type", "device", "network", "region", "store_id", "channel")
NUMBERS = ("amount", "quantity")
_DEAD_LEFT = 0.1
"""Share of its usual visits that a dead hour may still have."""
_DEAD_RATE = 0.0005
"""Chance that a day without a dead hour shows any."""

_WEEK = "event_ts >= $as_of - INTERVAL 7 DAY AND event_ts < $as_of"
_BEFORE = "event_ts >= $as_of - INTERVAL 35 DAY AND event_ts < $as_of - INTERVAL 7 DAY"


def unseen_categories(
    connection: DuckDBPyConnection, as_of: datetime, bound: Bound
) -> Iterable[QualityCheck]:
    """The share of the week's events whose category the four weeks before never had, a check a column.

    Rare values come and go: what counts is how far the share exceeds that of earlier weeks, each beside the
    other weeks.
    """
    week = "(epoch_us($as_of) - epoch_us(event_ts) - 1) // 604800000000"
    for name in CATEGORIES:
        query = f"""
            WITH counted AS (
                SELECT {week} AS week, CAST({name} AS VARCHAR) AS value, count(*) AS n FROM events
                WHERE event_ts >= $as_of - INTERVAL 35 DAY AND event_ts < $as_of AND {SHOPS_OWN}
                    AND {name} IS NOT NULL AND CAST({name} AS VARCHAR) <> 'unknown'
                GROUP BY ALL
            ), told AS (SELECT *, count(*) OVER (PARTITION BY value) AS weeks FROM counted)
            SELECT CAST(week AS BIGINT), coalesce(sum(n) FILTER (weeks = 1), 0) / sum(n) FROM told GROUP BY 1
        """
        shares = dict(connection.execute(query, {"as_of": as_of}).fetchall())
        now, before = shares.pop(0, None), max(shares.values(), default=None)
        if now is not None and before is not None:
            detail = f"{name}: {now:.1%} of the week's events have a value of no other week in 35 days, "
            detail += f"at most {before:.1%} before"
            yield judge("unseen_share", name, max(0.0, now - before), bound, detail)


def out_of_range(connection: DuckDBPyConnection, as_of: datetime, bound: Bound) -> Iterable[QualityCheck]:
    """The share of the week's numbers far outside the range that nearly all had before, a check a column."""
    for name in NUMBERS:
        query = f"""
            WITH usual AS (
                SELECT quantile_cont({name}, [0.001, 0.999]) AS q FROM events
                WHERE {_BEFORE} AND {name} IS NOT NULL
            )
            SELECT avg(({name} < q[1] - 2 * (q[2] - q[1]) OR {name} > q[2] + 2 * (q[2] - q[1]))::INT),
                any_value(q[1]), any_value(q[2])
            FROM events, usual WHERE {_WEEK} AND {name} IS NOT NULL
        """
        share, low, high = _row(connection, query, as_of)
        if share is not None:
            detail = f"{name}: {share:.2%} of the week's values are far outside the usual {low:g}..{high:g}"
            yield judge("range_share", name, share, bound, detail)


def dead_hours(
    connection: DuckDBPyConnection, as_of: datetime, bound: Bound, clock: ShopClock
) -> Iterable[QualityCheck]:
    """How many of the last day's hours have hardly a visit where the same hour of earlier weeks had many.

    A public holiday and its eve have hours of their own and are not looked at. Hours are counted back from
    `as_of` by the shop's clock, so that each is compared with its own weekday and hour. Hours in a row count
    together, and only what chance does not do; on a day on which fewer come at all, fewer are missed in each
    hour.
    """
    if clock.holidays(sorted(set(clock.days_before(as_of, 0))), before=1):
        return
    local = "epoch_us(timezone($zone, event_ts))"
    age = f"CAST((epoch_us(timezone($zone, $as_of::TIMESTAMPTZ)) - {local} - 1) // 3600000000 AS BIGINT)"
    query = f"""
        SELECT {age} AS age, count(DISTINCT coalesce(session_id, user_id)) FROM events
        WHERE event_ts < $as_of AND event_ts >= $as_of - INTERVAL 29 DAY AND {age} % 168 < 24 AND {SHOPS_OWN}
        GROUP BY age
    """
    told = connection.execute(query, {"as_of": as_of, "zone": clock.timezone}).fetchall()
    counted = {int(hour): float(visits) for hour, visits in told}
    past = np.array([[counted.get(hour + 168 * week, 0.0) for hour in range(24)] for week in range(1, 5)])
    now = np.array([counted.get(hour, 0.0) for hour in range(24)])
    if not past.sum() or not now.sum():
        return
    dead = _dead(now, past)
    words = f"{len(dead)} of the last day's 24 hours have hardly a visit, unlike that hour of earlier weeks"
    if dead:
        words += f"; the newest from {as_of - timedelta(hours=dead[0] + 1):%Y-%m-%d %H:%M} UTC"
    yield judge("dead_hours", "event_ts", float(len(dead)), bound, words)


def _dead(now: NDArray[np.float64], past: NDArray[np.float64]) -> list[int]:
    """The hours that are in a run of hours with far fewer visits than chance leaves.

    Args:
        past: The same hours of earlier weeks, a row a week.

    Examples:
        >>> usual = np.full((4, 24), 20.0)
        >>> _dead(np.where(np.arange(24) == 3, 0.0, 20.0), usual), _dead(usual[0] / 2, usual)
        ([3], [])
    """
    from scipy.stats import poisson

    usual = past.mean(axis=0)
    known = usual > 0
    # Visits vary more than by chance alone: so many of them count as one.
    spread = float((((past - usual) ** 2).sum(axis=0)[known] / usual[known]).sum())
    clump = max(1.0, spread / max(int(known.sum()) * (len(past) - 1), 1))
    usual = usual * min(1.0, now.sum() / usual.sum())
    rate = _DEAD_RATE / (len(now) * (len(now) + 1) / 2)
    dead: set[int] = set()
    for first in range(len(now)):
        for last in range(first, len(now)):
            came, expected = now[first : last + 1].sum(), usual[first : last + 1].sum()
            if came > _DEAD_LEFT * expected or (usual[[first, last]] == 0).any():
                continue
            if poisson.cdf(np.floor(came / clump), expected / clump) < rate:
                dead |= set(range(first, last + 1))
    return sorted(dead)


def late_events(events: int, of: int, bound: Bound) -> QualityCheck:
    """The share of the events that came too late to be counted into features.

    Examples:
        >>> late_events(20, 1_000, Bound(0.01, 0.1)).verdict
        'warn'
    """
    share = events / of if of else 0.0
    words = f"{events:,} of {of:,} events came too late to be counted; kairos backfill counts them"
    return judge("late_share", "event_ts", share, bound, words)


def _row(connection: DuckDBPyConnection, query: str, as_of: datetime) -> list[Any]:
    return list(connection.execute(query, {"as_of": as_of}).fetchall()[0])
