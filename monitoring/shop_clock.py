"""Where and when a shop's days are: its zone, and the days on which a shop may well be shut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from features.calendar import holiday_distance

_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class ShopClock:
    """A shop's zone and country.

    Attributes:
        timezone: IANA.
        country: ISO 3166; of an unknown one no day is a holiday.
    """

    timezone: str = "UTC"
    country: str = ""

    def days_before(self, as_of: datetime, age: int) -> tuple[date, date]:
        """The local days of the first and last moment of the 24 hours that end `age` days before `as_of`."""
        zone = ZoneInfo(self.timezone)
        last = as_of - timedelta(days=age, microseconds=1)
        return (as_of - timedelta(days=age + 1)).astimezone(zone).date(), last.astimezone(zone).date()

    def holidays(self, days: Sequence[date], before: int = 0) -> frozenset[date]:
        """Those of the days that are public holidays, or at most so many days before one.

        Examples:
            >>> sorted(ShopClock(country="US").holidays([date(2017, 7, 4), date(2017, 7, 5)]))
            [datetime.date(2017, 7, 4)]
        """
        if not days:
            return frozenset()
        numbers = np.array([(day - _EPOCH).days for day in days], dtype=np.int64)
        to_next, _ = holiday_distance(numbers, self.country)
        return frozenset(day for day, distance in zip(days, to_next, strict=True) if distance <= before)

    def hours_open(self, since: datetime, until: datetime) -> float:
        """The hours between two moments, without the whole holidays among them."""
        zone = ZoneInfo(self.timezone)
        first, last = since.astimezone(zone).date(), until.astimezone(zone).date()
        between = [first + timedelta(days=number) for number in range(1, (last - first).days)]
        return (until - since) / timedelta(hours=1) - 24.0 * len(self.holidays(between[-14:]))
