"""Days to count, cut into portions that fit in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

TOGETHER = 1_000_000
"""So few events are counted in one go, wherever their rows go."""
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Chunk:
    """Whole UTC days that are counted at once.

    Attributes:
        start, end: First day, and the first day after the last.
        until: Events at or after it are not known.
        first: Whether nothing was counted before.
        pieces: (first day, day after the last) of each file that its rows go to, in order.
        events: How many, about.
        buckets: Portions of keys that each table is counted in; more than one where a day is too large.
    """

    start: date
    end: date
    until: datetime
    first: bool
    pieces: tuple[tuple[date, date], ...]
    events: int
    buckets: int = 1

    @property
    def since(self) -> datetime | None:
        """Where counting goes on; None from the beginning."""
        return None if self.first else datetime.combine(self.start, time(), UTC)


def plan_chunks(
    events: Mapping[date, int],
    since: date | None,
    end: date,
    as_of: datetime,
    *,
    tail_start: date,
    limit: int,
) -> tuple[Chunk, ...]:
    """The days from `since` to `end` in portions of at most `limit` events, a day being the smallest.

    Days from `tail_start` on get a file each, so that they can be counted anew one by one; earlier ones share
    a file a chunk.

    Args:
        events: Events by UTC day.
        since: First day to count; None counts from the first event on.
        end: First day after the last.
        as_of: Knowledge cut-off.
        tail_start: First day that may have to be counted anew.
        limit: Most events at a time.

    >>> days = {date(2017, 3, n): 10 for n in range(1, 7)}
    >>> plan = plan_chunks(days, None, date(2017, 3, 7), datetime(2017, 3, 7, tzinfo=UTC),
    ...                    tail_start=date(2017, 3, 5), limit=30)
    >>> [(chunk.start.day, chunk.end.day, len(chunk.pieces)) for chunk in plan]
    [(1, 4, 1), (4, 5, 1), (5, 7, 2)]
    """
    start = min(events) if since is None else since
    if start >= end:
        return ()
    bulk_end = min(max(tail_start, start), end)
    total = sum(count for day, count in events.items() if day >= start)
    if total <= min(limit, TOGETHER):
        spans = [(start, end)]
    else:
        spans = [*_portions(events, start, bulk_end, limit), *_portions(events, bulk_end, end, limit)]
    chunks = []
    for first, last in spans:
        count = sum(events.get(day, 0) for day in _days(first, last))
        pieces = [(first, bulk_end)] if first < bulk_end <= last else []
        if first < bulk_end and last < bulk_end:
            pieces = [(first, last)]
        pieces += [(day, day + _ONE_DAY) for day in _days(max(first, bulk_end), last)]
        chunks.append(
            Chunk(
                start=first,
                end=last,
                until=min(as_of, datetime.combine(last, time(), UTC)),
                first=since is None and first == start,
                pieces=tuple(pieces),
                events=count,
                buckets=max(1, -(-count // limit)) if last - first == _ONE_DAY else 1,
            )
        )
    return tuple(chunks)


def _portions(events: Mapping[date, int], start: date, end: date, limit: int) -> list[tuple[date, date]]:
    """Runs of days with at most `limit` events each, or a single day."""
    portions: list[tuple[date, date]] = []
    held = 0
    for day in _days(start, end):
        count = events.get(day, 0)
        if portions and held + count <= limit:
            portions[-1], held = (portions[-1][0], day + _ONE_DAY), held + count
        else:
            portions.append((day, day + _ONE_DAY))
            held = count
    return portions


def _days(start: date, end: date) -> list[date]:
    return [start + timedelta(days=number) for number in range((end - start).days)]
