"""Are today's values such as they were: categories never seen, numbers out of range, dead hours."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from duckdb import DuckDBPyConnection

from monitoring.quality_check import Bound, QualityCheck, judge

CATEGORIES = ("event_type", "device", "network", "region", "store_id", "channel")
NUMBERS = ("amount", "quantity")
_LEAST_USUAL = 30
"""Hours with fewer events are quiet by chance."""

_WEEK = "event_ts >= $as_of - INTERVAL 7 DAY AND event_ts < $as_of"
_BEFORE = "event_ts >= $as_of - INTERVAL 35 DAY AND event_ts < $as_of - INTERVAL 7 DAY"


def unseen_categories(
    connection: DuckDBPyConnection, as_of: datetime, bound: Bound
) -> Iterable[QualityCheck]:
    """The share of the week's events whose category the four weeks before never had, a check a column."""
    told = ", ".join(f"nullif(CAST({name} AS VARCHAR), 'unknown') AS {name}" for name in CATEGORIES)
    shares = ", ".join(
        f"avg(({name} NOT IN (SELECT {name} FROM before WHERE {name} IS NOT NULL))::INT), count({name})"
        for name in CATEGORIES
    )
    query = f"""
        WITH before AS MATERIALIZED (SELECT {told} FROM events WHERE {_BEFORE}),
        week AS (SELECT {told} FROM events WHERE {_WEEK})
        SELECT {shares}, (SELECT count(*) FROM before) FROM week
    """
    *found, before = _row(connection, query, as_of)
    if not before:
        return
    for name, share, count in zip(CATEGORIES, found[::2], found[1::2], strict=True):
        if count:
            detail = f"{name}: {share:.1%} of the week's events have a value that 28 days before had not"
            yield judge("unseen_share", name, share, bound, detail)


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


def dead_hours(connection: DuckDBPyConnection, as_of: datetime, bound: Bound) -> Iterable[QualityCheck]:
    """How many of the last day's hours have hardly an event where the same hour of earlier weeks had many.

    Hours are counted back from `as_of`, so that each is compared with its own weekday and hour.
    """
    age = "CAST((epoch_us($as_of) - epoch_us(event_ts) - 1) // 3600000000 AS BIGINT)"
    query = f"""
        SELECT {age} AS age, count(*) FROM events
        WHERE event_ts < $as_of AND event_ts >= $as_of - INTERVAL 29 DAY AND {age} % 168 < 24 GROUP BY age
    """
    counted = {int(hour): int(rows) for hour, rows in connection.execute(query, {"as_of": as_of}).fetchall()}
    usual = {hour: sum(counted.get(hour + 168 * week, 0) for week in range(1, 5)) / 4 for hour in range(24)}
    busy = {hour: rows for hour, rows in usual.items() if rows >= _LEAST_USUAL}
    if not busy:
        return
    dead = sorted(hour for hour, rows in busy.items() if counted.get(hour, 0) < 0.1 * rows)
    words = f"{len(dead)} of the last day's {len(busy)} busy hours have hardly an event"
    if dead:
        words += f", the newest from {as_of - timedelta(hours=dead[0] + 1):%Y-%m-%d %H:%M} UTC"
    yield judge("dead_hours", "event_ts", float(len(dead)), bound, words)


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
