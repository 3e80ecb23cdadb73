"""Is a feature view fit to decide with: rows, gaps, ranges and how many of today's keys it knows.

The week's new rows are compared with those of the four weeks before. A view that may rest, such as one of
promotions, may have no new row, no row for most keys, and nulls that say that nothing runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import Any

from duckdb import DuckDBPyConnection

from monitoring.quality_check import Bound, QualityCheck, judge


@dataclass(frozen=True)
class ViewBounds:
    """What is bearable.

    Attributes:
        rows_lost: Share of the usual week's new rows that are missing.
        missing_rise: Rise of a column's share of nulls.
        range_excess: How far a column's values reach beyond those before, in widths of their range.
        unknown_keys: Share of the week's keys in events that have no row.
    """

    rows_lost: Bound = Bound(0.5, 0.95)
    missing_rise: Bound = Bound(0.1, 0.5)
    range_excess: Bound = Bound(2.0, 50.0)
    unknown_keys: Bound = Bound(0.1, 0.5)


@dataclass(frozen=True)
class ViewShape:
    """A feature view as it is measured.

    Attributes:
        keys: What its rows are of.
        numbers, texts: Its columns.
        may_rest: Whether it may have no new rows.
    """

    name: str
    keys: tuple[str, ...]
    numbers: tuple[str, ...]
    texts: tuple[str, ...] = ()
    may_rest: bool = False


def measure_view(
    connection: DuckDBPyConnection, view: ViewShape, as_of: datetime, bounds: ViewBounds = ViewBounds()
) -> list[QualityCheck]:
    """Every check of one view; of its columns the worst for each check.

    Args:
        connection: Knows the view by its name, with `event_timestamp`, and `events`.
        as_of: Knowledge cut-off, timezone-aware; later rows are ignored.
    """
    as_of = as_of.astimezone(UTC)
    told = ", ".join(
        [f'count("{name}")' for name in (*view.numbers, *view.texts)]
        + [f'{of}("{name}")' for name in view.numbers for of in ("min", "max")]
    )
    query = f"""
        SELECT event_timestamp >= $as_of - INTERVAL 7 DAY AS recent, count(*){", " + told if told else ""}
        FROM "{view.name}" WHERE event_timestamp <= $as_of AND event_timestamp >= $as_of - INTERVAL 35 DAY
        GROUP BY recent
    """
    found = {bool(row[0]): row[1:] for row in connection.execute(query, {"as_of": as_of}).fetchall()}
    now, before = found.get(True), found.get(False)
    checks = [*_rows(view, now, before, bounds)]
    if now is not None and before is not None:
        checks += _columns(view, now, before, bounds)
    return [*checks, *_keys(connection, view, as_of, bounds.unknown_keys)]


def _rows(
    view: ViewShape, now: Sequence[Any] | None, before: Sequence[Any] | None, bounds: ViewBounds
) -> Iterable[QualityCheck]:
    week, usual = (now[0] if now else 0), (before[0] / 4 if before else 0.0)
    if not usual:
        return
    words = f"{view.name}: {week:,} new rows in 7 days, usually {usual:,.0f}"
    yield judge("view_rows_lost", view.name, max(0.0, 1 - week / usual), _of(view, bounds.rows_lost), words)


def _of(view: ViewShape, bound: Bound) -> Bound:
    """The bound for this view."""
    return Bound(bound.warn, inf) if view.may_rest else bound


def _columns(
    view: ViewShape, now: Sequence[Any], before: Sequence[Any], bounds: ViewBounds
) -> Iterable[QualityCheck]:
    names = (*view.numbers, *view.texts)
    gaps = [
        (1 - now[place] / now[0] - (1 - before[place] / before[0]), name)
        for place, name in enumerate(names, 1)
    ]
    if gaps and not view.may_rest:
        rise, name = max(gaps)
        words = f"{view.name}.{name}: nulls {rise:+.1%} in 7 days, the most of its columns"
        yield judge("view_missing_rise", f"{view.name}.{name}", max(0.0, rise), bounds.missing_rise, words)
    ends = len(names) + 1
    beyond = []
    for place, name in enumerate(view.numbers):
        low, high = now[ends + 2 * place : ends + 2 * place + 2]
        least, most = before[ends + 2 * place : ends + 2 * place + 2]
        if None in (low, high, least, most) or most <= least:
            continue
        excess = max(least - low, high - most, 0.0) / (most - least)
        beyond.append((excess, name, f"{low:g}..{high:g}, before {least:g}..{most:g}"))
    if beyond:
        excess, name, span = max(beyond)
        words = f"{view.name}.{name}: {span}"
        yield judge("view_range_excess", f"{view.name}.{name}", excess, _of(view, bounds.range_excess), words)


def _keys(
    connection: DuckDBPyConnection, view: ViewShape, as_of: datetime, bound: Bound
) -> Iterable[QualityCheck]:
    """How many of the week's keys have a row, where the keys are columns of events."""
    if view.may_rest or view.keys not in (("user_id",), ("item_id",)):
        return  # new pairs of known keys are what tomorrow brings
    (key,) = view.keys
    query = f"""
        SELECT count(*), count(*) FILTER (known) FROM (
            SELECT DISTINCT {key} FROM events
            WHERE event_ts >= $as_of - INTERVAL 7 DAY AND event_ts < $as_of AND event_type = 'purchase'
                AND {key} IS NOT NULL
        ) LEFT JOIN (
            SELECT DISTINCT {key}, true AS known FROM "{view.name}" WHERE event_timestamp <= $as_of
        ) USING ({key})
    """
    asked, known = connection.execute(query, {"as_of": as_of}).fetchall()[0]
    if asked:
        words = f"{view.name}: {asked - known:,} of the week's {asked:,} keys have no row"
        yield judge("view_unknown_keys", view.name, 1 - known / asked, bound, words)
