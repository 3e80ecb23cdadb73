"""Which past days a day is like: the same weekday, the same promotion phase, as near to a holiday.

A Sunday, a sale or the week of a feast is no drift. What is compared with its like drifts only if it is
unlike that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from features.calendar import holiday_distance
from features.errors import UsageError

NEAR_HOLIDAY_DAYS = 3
_SALE = 1.5
"""So many times the usual promotions, or so many times fewer, are another time."""
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Season:
    """What a day is in the year.

    Attributes:
        weekday: 0 is Monday.
        phase: Of promotions, in the source's words, or ''.
        near_holiday: Whether a public holiday is at most three days away.
        is_feast: Whether it is a public holiday or the eve of one, when shops keep other hours.
    """

    weekday: int
    phase: str = ""
    near_holiday: bool = False
    is_feast: bool = False


@dataclass(frozen=True)
class SeasonParams:
    """How the past is drawn upon.

    Attributes:
        most: Periods that make a reference.
        least: Fewer than so many alike: the next wider likeness is asked.
        oldest_days: Older ones are another time.
    """

    most: int = 6
    least: int = 3
    oldest_days: int = 70

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most:
            raise UsageError(f"least == {self.least}, must be from 1 to most == {self.most}.")


def seasons_of(
    days: Sequence[date], country: str, phases: Mapping[date, str] | None = None
) -> dict[date, Season]:
    """The season of each day by the calendar of a country; of an unknown one no day is near a holiday.

    Args:
        phases: Of promotions, where somebody tells them.

    Examples:
        >>> seasons_of([date(2017, 11, 24)], "US")[date(2017, 11, 24)]
        Season(weekday=4, phase='', near_holiday=True, is_feast=False)
    """
    numbers = np.array([(one - _EPOCH).days for one in days], dtype=np.int64)
    to_next, since = holiday_distance(numbers, country)
    near, feast = np.fmin(to_next, since) <= NEAR_HOLIDAY_DAYS, to_next <= 1
    return {
        one: Season(one.weekday(), (phases or {}).get(one, ""), bool(is_near), bool(is_feast))
        for one, is_near, is_feast in zip(days, near, feast, strict=True)
    }


def phases_of(running: Mapping[date, int]) -> dict[date, str]:
    """Each day's phase of promotions, by how many run: 'sale' or 'few' where far from usual, else ''.

    Args:
        running: How many promotions run on each day that is known.

    Examples:
        >>> days = {date(2026, 11, 20 + n): count for n, count in enumerate((40, 44, 38, 41, 90, 3))}
        >>> list(phases_of(days).values())
        ['', '', '', '', 'sale', 'few']
    """
    usual = float(np.median(list(running.values()))) if running else 0.0
    return {
        day: "sale" if count > _SALE * usual else "few" if count < usual / _SALE else ""
        for day, count in running.items()
    }


_LIKENESS: tuple[Callable[[Season], object], ...] = (
    lambda season: (season.weekday, season.phase, season.near_holiday),
    lambda season: (season.weekday, season.near_holiday),
    lambda season: (season.weekday >= 5, season.phase, season.near_holiday),
    lambda season: (season.weekday >= 5, season.near_holiday),  # rather another sale than no feast
    lambda season: season.weekday,
)


def like(
    day: date, seasons: Mapping[date, Season], asked: Season, params: SeasonParams | None = None
) -> tuple[date, ...]:
    """Earlier days that `day` may be compared with, the newest first; empty when the past is too short.

    Args:
        day: Only days before it count.
        seasons: Of every day that is known.
        asked: The season of `day`.

    Examples:
        >>> from datetime import timedelta
        >>> days = [date(2026, 11, 1) + timedelta(n) for n in range(28)]
        >>> found = like(date(2026, 11, 29), {one: Season(one.weekday()) for one in days}, Season(6))
        >>> [one.isoformat() for one in found]
        ['2026-11-22', '2026-11-15', '2026-11-08', '2026-11-01']
    """
    params = params or SeasonParams()
    earlier = [one for one in sorted(seasons, reverse=True) if 0 < (day - one).days <= params.oldest_days]
    found: Sequence[date] = ()
    for likeness in _LIKENESS:
        alike = [one for one in earlier if likeness(seasons[one]) == likeness(asked)]
        if len(alike) >= params.least:
            return tuple(alike[: params.most])
        found = alike if len(alike) > len(found) else found
    return tuple(found[: params.most])
