"""The newest 24 hours beside the same hours of the same weekday of four earlier weeks: gaps, repeats, joins.

A week dilutes what one day's export did wrong; a day of its own kind does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from duckdb import DuckDBPyConnection

from monitoring.quality_check import Bound, QualityCheck, judge

_SINCE = "(epoch_us($as_of) - epoch_us(event_ts) - 1)"
_DAY_US = 86_400_000_000
_EVENTS = f"""(
    SELECT {_SINCE} // {_DAY_US} AS age, {_SINCE} % {_DAY_US} AS moment, * FROM events
    WHERE event_ts < $as_of AND event_ts >= $as_of - INTERVAL 36 DAY
)"""
_ALIKE = "(0, 7, 14, 21, 28)"
_CONTENT = "(user_id, item_id, event_type, amount, quantity, query)"
"""What two deliveries of one event share, whatever ids of events and sessions they came with."""


@dataclass(frozen=True)
class DayBounds:
    """What is bearable, as the rise of a share beside earlier days.

    Attributes:
        missing: Null or unknown, a column.
        repeated: Events equal to another of the same instant in all but ids.
        replayed: Events equal to one at the same time of another day of the week before.
        unjoined: Events whose item or user is in no table.
        least_events: A day with fewer says little by its shares.
    """

    missing: Bound = Bound(0.1, 0.6)
    repeated: Bound = Bound(0.02, 0.75)
    replayed: Bound = Bound(0.02, 0.75)
    unjoined: Bound = Bound(0.05, 0.5)
    least_events: int = 300


def day_quality(
    connection: DuckDBPyConnection, as_of: datetime, columns: Sequence[str], bounds: DayBounds
) -> Iterable[QualityCheck]:
    """Every check; none on a day of few events, or without an earlier one of its kind.

    Args:
        connection: Offers the views `events`, `items` and `users`.
        columns: Those whose gaps are looked at.
    """
    days = _fetched(
        connection, as_of, f"SELECT age = 0, count(*) FROM {_EVENTS} WHERE age IN {_ALIKE} GROUP BY 1"
    )
    rows = {bool(is_new): int(count) for is_new, count in days}
    if min(rows.get(True, 0), rows.get(False, 0)) >= bounds.least_events:
        yield from _missing(connection, as_of, columns, bounds.missing)
        yield from _copies(connection, as_of, bounds)
        yield from _unjoined(connection, as_of, bounds.unjoined)


def _missing(
    connection: DuckDBPyConnection, as_of: datetime, columns: Sequence[str], bound: Bound
) -> Iterable[QualityCheck]:
    """Compared within each event type, weighted by the day's mix: a column means more to some types."""
    gone = ", ".join(f"sum(({c} IS NULL OR {c}::VARCHAR = 'unknown')::INT) AS {c}" for c in columns)
    shares = ", ".join(
        f"sum(now.{c}) / sum(now.rows), sum(before.{c} / before.rows * now.rows) / sum(now.rows)"
        for c in columns
    )
    found = _fetched(
        connection,
        as_of,
        f"""
        WITH counted AS (
            SELECT age = 0 AS is_new, event_type, count(*) AS rows, {gone} FROM {_EVENTS}
            WHERE age IN {_ALIKE} GROUP BY ALL
        )
        SELECT {shares} FROM counted now JOIN counted before USING (event_type)
        WHERE now.is_new AND NOT before.is_new
        """,
    )[0]
    for column, share, before in zip(columns, found[::2], found[1::2], strict=True):
        if share is not None:
            words = f"{column}: {share:.1%} null or unknown in 24 hours, {before:.1%} in those of its weekday"
            yield judge("day_missing_rise", column, share - before, bound, words)


def _copies(connection: DuckDBPyConnection, as_of: datetime, bounds: DayBounds) -> Iterable[QualityCheck]:
    """Deliveries that came twice, for the same instant or for the same time of another day."""
    told = _fetched(
        connection,
        as_of,
        f"""
        WITH counted AS (
            SELECT hash({_CONTENT}, moment) AS content, age, count(*) AS n FROM {_EVENTS} GROUP BY ALL
        ), told AS (
            SELECT age, n, lag(age) OVER (PARTITION BY content ORDER BY age DESC) - age AS gap FROM counted
        )
        SELECT age = 0 AS is_new, sum(n - 1) / sum(n), coalesce(sum(n) FILTER (gap <= 7), 0) / sum(n)
        FROM told WHERE age IN {_ALIKE} GROUP BY 1 ORDER BY 1
        """,
    )
    (_, repeated_before, replayed_before), (_, repeated, replayed) = told
    words = f"{repeated:.1%} of 24 hours' events equal another in all but ids, {repeated_before:.1%} usually"
    yield judge("day_repeated_rise", "event_id", repeated - repeated_before, bounds.repeated, words)
    words = (
        f"{replayed:.1%} of 24 hours' events are those of an earlier day again, {replayed_before:.1%} usually"
    )
    yield judge("day_replayed_rise", "event_ts", replayed - replayed_before, bounds.replayed, words)


def _unjoined(connection: DuckDBPyConnection, as_of: datetime, bound: Bound) -> Iterable[QualityCheck]:
    for key, table in (("item_id", "items"), ("user_id", "users")):
        query = f"""
            SELECT age = 0, avg(({key} NOT IN (SELECT {key} FROM {table}))::INT) FROM {_EVENTS}
            WHERE {key} IS NOT NULL AND age IN {_ALIKE} GROUP BY 1
        """
        told = {bool(is_new): float(share) for is_new, share in _fetched(connection, as_of, query)}
        if len(told) == 2:
            words = f"{told[True]:.1%} of 24 hours' events have a {key} that is not in {table}, "
            words += f"{told[False]:.1%} usually"
            yield judge("day_unjoined_rise", key, told[True] - told[False], bound, words)


def _fetched(connection: DuckDBPyConnection, as_of: datetime, query: str) -> list[tuple[Any, ...]]:
    return list(connection.execute(query, {"as_of": as_of}).fetchall())
