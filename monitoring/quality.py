"""Is today's data fit to decide with: volume, freshness, gaps, duplicates, quarantine and joins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from duckdb import DuckDBPyConnection

from monitoring.day_quality import DayBounds, day_quality
from monitoring.event_frame import SHOPS_OWN
from monitoring.quality_check import Bound, QualityCheck, QualityReport, judge
from monitoring.shop_clock import ShopClock
from monitoring.value_quality import dead_hours, late_events, out_of_range, unseen_categories

_WATCHED = (
    "item_id",
    "amount",
    "quantity",
    "session_id",
    "query",
    "device",
    "network",
    "region",
    "store_id",
    "channel",
    "push_id",
)
_IDENTITY = "(user_id, item_id, event_type, event_ts, session_id, push_id, amount, quantity, query, store_id)"


_AGE = "(epoch_us($as_of) - epoch_us(event_ts) - 1) // 86400000000"  # whole days before as_of, 0 the last
_FIVE_WEEKS = "event_ts < $as_of AND event_ts >= $as_of - INTERVAL 35 DAY"


@dataclass(frozen=True)
class QualityBounds:
    """What is bearable; pushes and answers to them count in neither volume, freshness, hours nor categories.

    Attributes:
        volume_change: Change of the week's events against the same weekdays of the four weeks before,
            relative, public holidays on either side left out; a rise only warns.
        day_change: The same for the week's worst day against its weekday; only warns. Public holidays and
            the two days before them, when people stock up, are left to the watch on drift, which compares
            them with their like.
        freshness_hours: Age of the last event, without whole public holidays.
        missing_rise: Rise of a column's null or unknown share against the four weeks before.
        duplicate_share: Events equal to another in all but their id.
        repeat_share: Rows that came twice word for word.
        quarantine_share: Rows set aside, per table.
        unjoined_share: Events whose item or user is in no table.
        unseen_share: The week's events with a category that the four weeks before never had.
        range_share: Its numbers far outside the range before.
        dead_hours: Hours of the last day with hardly a visit that usually have many.
        day: The last day's shares beside those of its weekday.
        late_share: Events that came too late to be counted into features.
    """

    volume_change: Bound = Bound(0.25, 0.6)
    day_change: Bound = Bound(0.6, float("inf"))
    freshness_hours: Bound = Bound(26.0, 72.0)
    missing_rise: Bound = Bound(0.05, 0.25)
    duplicate_share: Bound = Bound(0.005, 0.05)
    repeat_share: Bound = Bound(0.05, 0.5)
    quarantine_share: Bound = Bound(0.01, 0.05)
    unjoined_share: Bound = Bound(0.01, 0.1)
    unseen_share: Bound = Bound(0.02, 0.5)
    range_share: Bound = Bound(0.002, 0.05)
    dead_hours: Bound = Bound(0.0, 12.0)
    late_share: Bound = Bound(0.01, 0.1)
    day: DayBounds = field(default_factory=DayBounds)


def measure_quality(
    connection: DuckDBPyConnection,
    *,
    as_of: datetime,
    quarantine_shares: Mapping[str, float] | None = None,
    repeat_shares: Mapping[str, float] | None = None,
    late: tuple[int, int] | None = None,
    clock: ShopClock = ShopClock(),
    bounds: QualityBounds = QualityBounds(),
) -> QualityReport:
    """The quality of the events known at `as_of`, judged against the four weeks before the last.

    Days are the 24 hours up to `as_of`, and up to the same hour of every day before.

    Args:
        connection: Offers the views `events`, `items` and `users`; not changed.
        as_of: Knowledge cut-off, timezone-aware; later events are ignored.
        quarantine_shares: Share of rows set aside at ingest, by table.
        repeat_shares: Share of rows that came twice, by table.
        late: (events that came too late to be counted, all events).
        clock: The shop's.
    """
    as_of = as_of.astimezone(UTC)
    shares = [("quarantine_share", quarantine_shares, bounds.quarantine_share, "quarantined at ingest")]
    shares += [("repeat_share", repeat_shares, bounds.repeat_share, "repeated word for word in the source")]
    return QualityReport(
        (
            *_freshness(connection, as_of, bounds.freshness_hours, clock),
            *_volume(connection, as_of, bounds, clock),
            *_missing(connection, as_of, bounds.missing_rise),
            _duplicates(connection, as_of, bounds.duplicate_share),
            *_joins(connection, as_of, bounds.unjoined_share),
            *unseen_categories(connection, as_of, bounds.unseen_share),
            *out_of_range(connection, as_of, bounds.range_share),
            *dead_hours(connection, as_of, bounds.dead_hours, clock),
            *day_quality(connection, as_of, _WATCHED, bounds.day),
            *(() if late is None else (late_events(*late, bounds.late_share),)),
            *(
                judge(name, table, share, bound, f"{table}: {share:.2%} of rows {words}")
                for name, by_table, bound, words in shares
                for table, share in (by_table or {}).items()
            ),
        )
    )


def _freshness(
    connection: DuckDBPyConnection, as_of: datetime, bound: Bound, clock: ShopClock
) -> Iterable[QualityCheck]:
    newest = f"SELECT epoch_us(max(event_ts)) FROM events WHERE event_ts < $as_of AND {SHOPS_OWN}"
    last = _rows(connection, newest, as_of)[0][0]
    if last is None:
        yield QualityCheck("freshness_hours", "event_ts", None, bound.fail, "fail", "no event before as_of")
        return
    hours = clock.hours_open(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=last), as_of)
    yield judge("freshness_hours", "event_ts", hours, bound, f"last event {hours:.1f} h before as_of")


def _volume(
    connection: DuckDBPyConnection, as_of: datetime, bounds: QualityBounds, clock: ShopClock
) -> Iterable[QualityCheck]:
    query = f"""
        SELECT {_AGE} AS age, count(*) FROM events
        WHERE {_FIVE_WEEKS} AND {SHOPS_OWN} GROUP BY age
    """
    counted = {int(age): int(rows) for age, rows in _rows(connection, query, as_of)}
    shut = _holidays(as_of, clock)
    usual = {age: _usual(counted, age, shut) for age in set(range(7)) - shut}
    week = sum(counted.get(age, 0) for age in usual)
    expected = sum(usual.values())
    if expected == 0:
        yield QualityCheck(
            "volume_change", "event_id", None, None, "warn", f"{week} events in 7 days, none in the 28 before"
        )
        return
    change = week / expected - 1
    words = f"{week} events in 7 days against {expected:.0f} a week in the 28 before ({change:+.0%})"
    if len(usual) < 7:
        words += f", days of public holidays left out: {7 - len(usual)}"
    # A rise is odd but decides well; only a loss stops the run.
    bound = bounds.volume_change if change < 0 else Bound(bounds.volume_change.warn, float("inf"))
    yield judge("volume_change", "event_id", abs(change), bound, words)
    worst, worst_change = 0, 0.0
    for age in usual.keys() - _holidays(as_of, clock, before=2):
        day_change = abs(counted.get(age, 0) / usual[age] - 1) if usual[age] else 0.0
        if day_change > worst_change:
            worst, worst_change = age, day_change
    day = as_of - timedelta(days=worst + 1)
    detail = f"the day from {day:%Y-%m-%d %H:%M} UTC differs most from its weekday, by {worst_change:.0%}"
    yield judge("day_change", "event_id", worst_change, bounds.day_change, detail)


def _usual(counted: Mapping[int, int], age: int, shut: set[int]) -> float:
    """The events of the day's weekday in the four weeks before, on average over days that are not shut."""
    alike = [counted.get(age + 7 * back, 0) for back in range(1, 5) if age + 7 * back not in shut]
    return sum(alike) / len(alike) if alike else 0.0


def _holidays(as_of: datetime, clock: ShopClock, before: int = 0) -> set[int]:
    """The ages, in days, of the days of five weeks that touch a public holiday, or the days before one."""
    days = {age: clock.days_before(as_of, age) for age in range(35)}
    found = clock.holidays(sorted({day for pair in days.values() for day in pair}), before)
    return {age for age, pair in days.items() if found & set(pair)}


def _missing(connection: DuckDBPyConnection, as_of: datetime, bound: Bound) -> Iterable[QualityCheck]:
    """Compared within each event type, weighted by the week's mix: a column means more to some types."""
    gone = ", ".join(f"sum(({c} IS NULL OR {c}::VARCHAR = 'unknown')::INT) AS {c}" for c in _WATCHED)
    shares = ", ".join(
        f"sum(now.{c}) / sum(now.rows), sum(before.{c} / before.rows * now.rows) / sum(now.rows)"
        for c in _WATCHED
    )
    query = f"""
        WITH counted AS (
            SELECT {_AGE} < 7 AS recent, event_type, count(*) AS rows, {gone} FROM events
            WHERE {_FIVE_WEEKS} GROUP BY ALL
        )
        SELECT {shares} FROM counted now JOIN counted before USING (event_type)
        WHERE now.recent AND NOT before.recent
    """
    found = _rows(connection, query, as_of)[0]
    for column, share, before in zip(_WATCHED, found[::2], found[1::2], strict=True):
        if share is not None:
            detail = f"{column}: {share:.1%} null or unknown in 7 days, {before:.1%} in the 28 before"
            yield judge("missing_rise", column, share - before, bound, detail)


def _duplicates(connection: DuckDBPyConnection, as_of: datetime, bound: Bound) -> QualityCheck:
    query = f"""
        SELECT count(*), count(DISTINCT hash{_IDENTITY}) FROM events
        WHERE {_FIVE_WEEKS}
    """
    rows, distinct = _rows(connection, query, as_of)[0]
    share = 1 - distinct / rows if rows else 0.0
    detail = f"{share:.2%} of the events of 35 days equal another in all but their id"
    return judge("duplicate_share", "event_id", share, bound, detail)


def _joins(connection: DuckDBPyConnection, as_of: datetime, bound: Bound) -> Iterable[QualityCheck]:
    for key, table in (("item_id", "items"), ("user_id", "users")):
        query = f"""
            SELECT count(*), count(*) FILTER ({key} NOT IN (SELECT {key} FROM {table}))
            FROM events WHERE {key} IS NOT NULL AND {_FIVE_WEEKS}
        """
        rows, unjoined = _rows(connection, query, as_of)[0]
        share = unjoined / rows if rows else 0.0
        detail = f"{share:.2%} of the events of 35 days have a {key} that is not in {table}"
        yield judge("unjoined_share", key, share, bound, detail)


def _rows(connection: DuckDBPyConnection, query: str, as_of: datetime) -> list[tuple[Any, ...]]:
    return list(connection.execute(query, {"as_of": as_of}).fetchall())
