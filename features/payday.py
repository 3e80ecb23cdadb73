"""Paydays: when a country's people are usually paid, and how far a day is from it."""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from features.calendar import days_between_marks, public_holidays, weekend_of

LAST_DAY = 31
"""A day of the month at or beyond its end means its last day."""

PAYDAYS: dict[str, tuple[int, ...]] = {
    "CA": (15, LAST_DAY),
    "JP": (25,),
    "KR": (25,),
    "MX": (15, LAST_DAY),
    "PH": (15, LAST_DAY),
    "SE": (25,),
    "US": (15, LAST_DAY),
    "ZA": (25,),
}
"""Days of the month on which most are paid, moved to the working day before where they are none. Every other
country that `holidays` knows: the last working day of the month, the commonest rule there is. Who is paid
weekly or fortnightly is not meant: no date tells."""

WORKING_DAY_OF_MONTH: dict[str, int] = {"BR": 5}
"""Countries whose law counts working days from the month's beginning: at the latest on the fifth."""

_EPOCH = date(1970, 1, 1)


def payday_distance(days: NDArray[np.int64], country: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(days to the next payday, days since the last one); both 0 on a payday, nan for an unknown country.

    A working day is one that is neither on the country's weekend nor a public holiday.

    Args:
        days: Local days, in days since 1970-01-01.
        country: ISO 3166 code such as 'US'.

    Examples:
        >>> to_next, since_last = payday_distance(np.array([17_501, 17_511]), "US")  # 2017-12-01, -11
        >>> to_next.tolist(), since_last.tolist()
        ([14.0, 4.0], [1.0, 11.0])
    """
    days = np.asarray(days, dtype=np.int64)
    if len(days) == 0:
        return np.zeros(0), np.zeros(0)
    first, last = ((_EPOCH + timedelta(days=int(bound))).year for bound in (days.min(), days.max()))
    return days_between_marks(days, paydays(country, first - 1, last + 1))


@lru_cache(maxsize=256)
def paydays(country: str, first_year: int, last_year: int) -> NDArray[np.int64]:
    """Sorted local days on which the country is paid, one or two a month; empty for an unknown country."""
    holidays = frozenset(public_holidays(country, first_year, last_year + 1).tolist())
    if not holidays:
        return np.zeros(0, dtype=np.int64)
    weekend = weekend_of(country)

    def works(day: int) -> bool:
        return (day + 3) % 7 not in weekend and day not in holidays  # 1970-01-01 was a Thursday

    found = set()
    for year in range(first_year, last_year + 1):
        for month in range(1, 13):
            begin = (date(year, month, 1) - _EPOCH).days
            end = (date(year + month // 12, month % 12 + 1, 1) - _EPOCH).days
            if country in WORKING_DAY_OF_MONTH:
                working = [day for day in range(begin, end) if works(day)]
                found.add(working[WORKING_DAY_OF_MONTH[country] - 1])
                continue
            for wanted in PAYDAYS.get(country, (LAST_DAY,)):
                day = min(begin + wanted, end) - 1
                while not works(day):
                    day -= 1
                found.add(day)
    return np.array(sorted(found), dtype=np.int64)
