"""Local time: dayparts, weekdays, send windows and holidays as a person on the spot sees them.

Every zone is an IANA name read through `zoneinfo`. In a gap (clocks jump forward) a wall time means the
first instant after the jump; in a fold (clocks go back) it means its first occurrence.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import UsageError

DAYPARTS: tuple[str, ...] = ("night", "morning", "midday", "afternoon", "evening", "late")
DAYPART_START_HOUR: dict[str, int] = {
    "night": 0,
    "morning": 6,
    "midday": 10,
    "afternoon": 14,
    "evening": 17,
    "late": 21,
}
_HOUR_TO_DAYPART = np.array(
    [DAYPARTS[sum(hour >= start for start in DAYPART_START_HOUR.values()) - 1] for hour in range(24)],
    dtype=object,
)
_EPOCH = date(1970, 1, 1)
_PROBE_SECONDS = 86_400  # since 1970 no zone has changed its offset twice within a day


def daypart_of_hour(hour: int) -> str:
    """The daypart that holds a local hour, 0 to 23.

    Examples:
        >>> daypart_of_hour(5), daypart_of_hour(6), daypart_of_hour(23)
        ('night', 'morning', 'late')
    """
    if not 0 <= hour <= 23:
        raise ValueError(f"hour == {hour}, must be in 0..23.")
    return str(_HOUR_TO_DAYPART[hour])


@lru_cache(maxsize=1)
def known_timezones() -> frozenset[str]:
    """Every IANA zone name that this machine can resolve; 'localtime' names a machine, not a place."""
    return frozenset(available_timezones() - {"localtime"})


@lru_cache(maxsize=1024)
def zone_named(timezone: str) -> ZoneInfo:
    """The zone of an IANA name.

    Raises:
        UsageError: No such zone.
    """
    if timezone not in known_timezones():
        raise UsageError(f"timezone == {timezone!r}, must be an IANA name; write for example 'Europe/Paris'.")
    return ZoneInfo(timezone)


def local_times(event_ts: pd.Series, timezone: pd.Series) -> pd.DataFrame:
    """Local calendar of each instant, one row an instant, same index and order.

    Args:
        event_ts: UTC instants, timezone-aware, none null.
        timezone: IANA names aligned with `event_ts`, none null.

    Returns:
        (local_ts naive datetime64[us], local_hour 0-23, local_weekday 0 = Monday, local_day in days since
        1970-01-01, daypart); the three numbers are int64.

    Raises:
        UsageError: A null, an unknown zone or instants without a timezone.

    Examples:
        >>> moments = pd.Series(pd.to_datetime(["2017-03-12T06:59Z", "2017-03-12T07:00Z"]))
        >>> local_times(moments, pd.Series(["America/New_York"] * 2))[["local_ts", "daypart"]]
                     local_ts daypart
        0 2017-03-12 01:59:00   night
        1 2017-03-12 03:00:00   night
    """
    if not isinstance(event_ts.dtype, pd.DatetimeTZDtype):
        raise UsageError(
            f"event_ts has type {event_ts.dtype}, must be timezone-aware UTC; localize it first."
        )
    if len(event_ts) != len(timezone) or event_ts.isna().any() or timezone.isna().any():
        raise UsageError(
            "event_ts and timezone must have the same length and no nulls; drop or fill those rows."
        )
    utc_us = event_ts.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[us]").astype(np.int64)
    codes, names = pd.factorize(timezone)
    local_us = utc_us.copy()
    for code, name in enumerate(names):
        rows = np.flatnonzero(codes == code) if len(names) > 1 else slice(None)
        local_us[rows] += utc_offsets(utc_us[rows] // 1_000_000, str(name)) * 1_000_000
    seconds = local_us // 1_000_000
    local_day = seconds // 86_400
    local_hour = seconds // 3_600 % 24
    return pd.DataFrame(
        {
            "local_ts": local_us.view("datetime64[us]"),
            "local_hour": local_hour,
            "local_weekday": (local_day + 3) % 7,  # 1970-01-01 was a Thursday
            "local_day": local_day,
            "daypart": _HOUR_TO_DAYPART[local_hour],
        },
        index=event_ts.index,
    )


def utc_offsets(utc_seconds: NDArray[np.int64], timezone: str) -> NDArray[np.int64]:
    """Seconds to add to each UTC epoch second to read the zone's wall clock."""
    if len(utc_seconds) == 0:
        return np.zeros(0, dtype=np.int64)
    first, last = (
        datetime.fromtimestamp(int(bound), UTC).year for bound in (utc_seconds.min(), utc_seconds.max())
    )
    starts, offsets = offset_changes(timezone, first, last)
    return offsets[np.searchsorted(starts, utc_seconds, side="right") - 1]


@lru_cache(maxsize=4096)
def offset_changes(
    timezone: str, first_year: int, last_year: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(UTC seconds from which an offset holds, the offsets in seconds) over these years.

    The first begins with the first year. Found by probing every day and bisection.
    """
    zone = zone_named(timezone)
    begin = int(datetime(first_year, 1, 1, tzinfo=UTC).timestamp())
    end = int(datetime(last_year, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())
    starts, offsets = [begin], [_offset_at(zone, begin)]
    for probe in [*range(begin + _PROBE_SECONDS, end, _PROBE_SECONDS), end]:
        offset = _offset_at(zone, probe)
        if offset != offsets[-1]:
            before, after = probe - _PROBE_SECONDS, probe
            while after - before > 1:
                middle = (before + after) // 2
                before, after = (
                    (middle, after) if _offset_at(zone, middle) == offsets[-1] else (before, middle)
                )
            starts.append(after)
            offsets.append(offset)
    return np.array(starts, dtype=np.int64), np.array(offsets, dtype=np.int64)


def _offset_at(zone: ZoneInfo, utc_second: int) -> int:
    offset = datetime.fromtimestamp(utc_second, zone).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def local_midnight(local_date: date, timezone: str) -> datetime:
    """The UTC instant at which the local day begins (the first valid one where midnight is skipped)."""
    return _instant_of(datetime.combine(local_date, time()), timezone)


def slot_send_at(local_date: date, slot: str, timezone: str) -> datetime:
    """The UTC instant at which a slot opens on a local day.

    Examples:
        >>> slot_send_at(date(2017, 3, 12), "morning", "America/New_York").isoformat()
        '2017-03-12T10:00:00+00:00'
    """
    return _instant_of(datetime.combine(local_date, time(_slot_hour(slot))), timezone)


def slot_ends_at(local_date: date, slot: str, timezone: str) -> datetime:
    """The UTC instant at which a slot closes: the next slot's opening, for 'late' the next local midnight.

    Equals `slot_send_at` only where a zone skipped the whole slot (Samoa had no 2011-12-30).
    """
    _slot_hour(slot)
    if slot == DAYPARTS[-1]:
        return local_midnight(local_date + timedelta(days=1), timezone)
    return slot_send_at(local_date, DAYPARTS[DAYPARTS.index(slot) + 1], timezone)


def _slot_hour(slot: str) -> int:
    if slot not in DAYPART_START_HOUR:
        raise UsageError(f"slot == {slot!r}, must be one of {', '.join(DAYPARTS)}.")
    return DAYPART_START_HOUR[slot]


def _instant_of(wall: datetime, timezone: str) -> datetime:
    """First UTC instant at which the zone's clock shows `wall` or, in a gap, anything later."""
    zone = zone_named(timezone)
    instant = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None, fold=0) == wall:
        return instant
    before = int(wall.replace(tzinfo=zone, fold=1).astimezone(UTC).timestamp()) - 1
    after = int(instant.timestamp())
    while after - before > 1:  # the jump lies between; its first second is the answer
        middle = (before + after) // 2
        jumped = datetime.fromtimestamp(middle, zone).replace(tzinfo=None, fold=0) >= wall
        before, after = (before, middle) if jumped else (middle, after)
    return datetime.fromtimestamp(after, UTC)


def holiday_distance(
    days: NDArray[np.int64], country: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(days to the next public holiday, days since the last one); both 0 on a holiday, nan if unknown.

    Args:
        days: Local days, in days since 1970-01-01.
        country: ISO 3166 code such as 'US'; one the `holidays` package does not know gives nan.

    Examples:
        >>> to_next, since_last = holiday_distance(np.array([17163, 17168]), "US")  # 2016-12-28, 2017-01-02
        >>> to_next.tolist(), since_last.tolist()
        ([4.0, 0.0], [2.0, 0.0])
    """
    days = np.asarray(days, dtype=np.int64)
    if len(days) == 0:
        return np.zeros(0), np.zeros(0)
    first, last = ((_EPOCH + timedelta(days=int(bound))).year for bound in (days.min(), days.max()))
    return days_between_marks(days, public_holidays(country, first - 1, last + 1))


def days_between_marks(
    days: NDArray[np.int64], marks: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(days to the next mark, days since the last one) of each day; both 0 on a mark, nan beyond them.

    Args:
        days: In days since 1970-01-01, in any order.
        marks: The same, sorted; none at all gives nan.
    """
    if len(marks) == 0:
        return np.full(len(days), np.nan), np.full(len(days), np.nan)
    following = np.searchsorted(marks, days, side="left")
    preceding = np.searchsorted(marks, days, side="right") - 1
    to_next = np.where(following < len(marks), marks[np.minimum(following, len(marks) - 1)] - days, np.nan)
    since_last = np.where(preceding >= 0, days - marks[np.maximum(preceding, 0)], np.nan)
    return to_next, since_last


@lru_cache(maxsize=256)
def public_holidays(country: str, first_year: int, last_year: int) -> NDArray[np.int64]:
    """Sorted local days of a country's public holidays; empty for an unknown country."""
    from holidays import country_holidays

    try:
        found = country_holidays(country, years=range(first_year, last_year + 1))
    except NotImplementedError:
        return np.zeros(0, dtype=np.int64)
    return np.array(sorted((day - _EPOCH).days for day in found), dtype=np.int64)


@lru_cache(maxsize=256)
def weekend_of(country: str) -> frozenset[int]:
    """Weekdays without work, 0 is Monday; Saturday and Sunday where the country is unknown."""
    from holidays import country_holidays

    try:
        return frozenset(int(day) for day in country_holidays(country).weekend)
    except NotImplementedError:
        return frozenset({5, 6})


@lru_cache(maxsize=1024)
def is_known_country(country: str) -> bool:
    """Whether `holidays` knows the ISO code."""
    from holidays import country_holidays

    try:
        country_holidays(country)
    except NotImplementedError:
        return False
    return True
