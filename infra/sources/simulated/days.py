"""The days: counted from the market's first one, with their weekday, holidays, and instants in each zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd

from features.calendar import local_midnight, public_holidays, utc_offsets
from infra.sources.simulated.chance import Doubles, Flags, Longs
from infra.sources.simulated.params import MOST_DAYS, TIMEZONE, MarketParams
from infra.sources.simulated.places import PLACES

_EPOCH = date(1970, 1, 1)
_DAY = 86_400
_BUSY = np.array([0.95, 0.9, 0.95, 1.0, 1.12, 1.18, 0.9])  # visits by weekday, Monday first
_HOLIDAY, _EVE = 0.75, 1.3


def epoch_day(params: MarketParams, day: Longs | int) -> Longs:
    """Days since 1970-01-01 of days counted from the market's first one."""
    return np.asarray(day, dtype=np.int64) + (params.first_day - _EPOCH).days


def day_number(params: MarketParams, day: date) -> int:
    """A date counted from the market's first day."""
    return (day - params.first_day).days


def date_of(params: MarketParams, day: int) -> date:
    """The date of a day counted from the market's first one."""
    return params.first_day + timedelta(days=day)


def midnight(params: MarketParams, day: int) -> datetime:
    """The instant at which a day begins in the shop's own zone."""
    return local_midnight(date_of(params, day), TIMEZONE)


def weekday(params: MarketParams, day: Longs) -> Longs:
    """0 is Monday."""
    return np.asarray((epoch_day(params, day) + 3) % 7, dtype=np.int64)


def month(params: MarketParams, day: Longs) -> Longs:
    """1 to 12."""
    months = epoch_day(params, day).view("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    return np.asarray(months % 12 + 1, dtype=np.int64)


def is_off(params: MarketParams, place: Longs, day: Longs) -> Flags:
    """Whether nobody works: a weekend, or a public holiday where the user lives."""
    return (weekday(params, day) >= 5) | _is_holiday(params, place, day)


def busyness(params: MarketParams, place: Longs, day: Longs) -> Doubles:
    """Visits of a day beside an average one's: by weekday, less on holidays, more the day before."""
    holiday, eve = _is_holiday(params, place, day), _is_holiday(params, place, day + 1)
    factor = np.where(holiday, _HOLIDAY, np.where(eve, _EVE, 1.0))
    return np.asarray(_BUSY[weekday(params, day)] * factor, dtype=np.float64)


def instants(params: MarketParams, place: Longs, day: Longs, second: Longs) -> Longs:
    """UTC epoch seconds at which the clock at each place shows that second of that day.

    Where clocks go forward, a second that there is not is read as the one an hour before or after it.
    """
    wall = epoch_day(params, day) * _DAY + second
    found = np.empty(len(wall), dtype=np.int64)
    for zone, rows in _by_zone(place):
        first = wall[rows] - utc_offsets(wall[rows], zone)
        found[rows] = wall[rows] - utc_offsets(first, zone)
    return found


def wall_clock(params: MarketParams, place: Longs, instant: Longs) -> tuple[Longs, Longs]:
    """(day counted from the market's first one, second of the day) at each place."""
    wall = np.empty(len(instant), dtype=np.int64)
    for zone, rows in _by_zone(place):
        wall[rows] = instant[rows] + utc_offsets(instant[rows], zone)
    return wall // _DAY - int(epoch_day(params, 0)), wall % _DAY


def whole_seconds(instants: pd.Series) -> Longs:
    """UTC epoch seconds of a column of instants."""
    return np.asarray(instants.dt.as_unit("s").astype("int64"), dtype=np.int64)


def instant_of(moment: datetime) -> int:
    """UTC epoch seconds."""
    return int(moment.astimezone(UTC).timestamp())


def _by_zone(place: Longs) -> list[tuple[str, Longs]]:
    """(IANA zone, rows) of the zones there are."""
    zones = sorted({one.timezone for one in PLACES})
    code = np.array([zones.index(one.timezone) for one in PLACES])[place]
    rows = ((zone, np.flatnonzero(code == number)) for number, zone in enumerate(zones))
    return [(zone, found) for zone, found in rows if len(found)]


def _is_holiday(params: MarketParams, place: Longs, day: Longs) -> Flags:
    wanted, found = epoch_day(params, day), np.zeros(len(day), dtype=bool)
    first, last = params.first_day.year, (params.first_day + timedelta(days=MOST_DAYS)).year
    for code, one in enumerate(PLACES):
        rows = np.flatnonzero(place == code)
        found[rows] = np.isin(wanted[rows], public_holidays(one.country, first - 1, last + 1))
    return found
