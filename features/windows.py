"""Half-open windows of UTC time: the start belongs to the window, the end does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from features.errors import UsageError


@dataclass(frozen=True)
class TimeWindow:
    """The instants from `start` up to, but not including, `end`; both in UTC.

    Args:
        start: First instant inside; timezone-aware, converted to UTC.
        end: First instant after; timezone-aware, converted to UTC, later than `start`.

    Raises:
        UsageError: A bound without a timezone, or an end that is not after the start.

    Examples:
        >>> window = TimeWindow(datetime(2017, 3, 1, tzinfo=UTC), datetime(2017, 3, 2, 12, tzinfo=UTC))
        >>> [str(day) for day in window.days()]
        ['2017-03-01', '2017-03-02']
        >>> window.contains(window.start), window.contains(window.end)
        (True, False)
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            moment = getattr(self, name)
            if moment.tzinfo is None or moment.utcoffset() is None:
                raise UsageError(
                    f"window.{name} == {moment.isoformat()}, must carry a timezone; "
                    f"write {moment.isoformat()}+00:00 for UTC."
                )
            object.__setattr__(self, name, moment.astimezone(UTC))
        if self.start >= self.end:
            remedy = "swap them" if self.start > self.end else "widen it: the end is not included"
            raise UsageError(
                f"window.start == {_short(self.start)}, must be < window.end == {_short(self.end)}; {remedy}."
            )

    @property
    def length(self) -> timedelta:
        """Time between start and end, always positive."""
        return self.end - self.start

    def contains(self, moment: datetime) -> bool:
        """True when `start <= moment < end`."""
        return self.start <= moment < self.end

    def days(self) -> Iterator[date]:
        """UTC days that the window touches, in order; a day touched only by `end` itself is not one."""
        day = self.start.date()
        while datetime.combine(day, time(), UTC) < self.end:
            yield day
            day += timedelta(days=1)


def _short(moment: datetime) -> str:
    """The date alone when the moment is a midnight, the ISO form otherwise."""
    return moment.date().isoformat() if moment.time() == time() else moment.isoformat()
