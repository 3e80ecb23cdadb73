"""Local time is right in every IANA zone, in gaps and folds above all."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.calendar import (
    DAYPART_START_HOUR,
    DAYPARTS,
    daypart_of_hour,
    holiday_distance,
    known_timezones,
    local_midnight,
    local_times,
    offset_changes,
    slot_ends_at,
    slot_send_at,
    utc_offsets,
    zone_named,
)
from features.errors import UsageError

ZONES = sorted(known_timezones())
zones = st.sampled_from(ZONES)
instants = st.datetimes(datetime(1970, 1, 2), datetime(2037, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
days = st.dates(date(1970, 1, 3), date(2037, 12, 29))
slots = st.sampled_from(DAYPARTS)


def around_transitions(zone: str) -> np.ndarray:
    """UTC seconds one before, at and one after each offset change of a zone from 2015 to 2025."""
    starts, _ = offset_changes(zone, 2015, 2025)
    return np.concatenate([starts[1:] - 1, starts[1:], starts[1:] + 1])


def local_rows(moments: list[datetime], zone: str) -> pd.DataFrame:
    return local_times(pd.Series(pd.to_datetime(moments, utc=True)), pd.Series([zone] * len(moments)))


def first_instant_by_scan(wall: datetime, zone: str) -> datetime:
    """The slow definition: walk forward minute by minute until the wall clock reaches `wall`."""
    moment = wall.replace(tzinfo=UTC) - timedelta(hours=27)
    while moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) < wall:
        moment += timedelta(minutes=1)
    return moment


def test_offsets_equal_zoneinfo_at_every_transition_of_every_zone() -> None:
    for zone in ZONES:
        seconds = around_transitions(zone)
        expected = [datetime.fromtimestamp(int(s), ZoneInfo(zone)).utcoffset() for s in seconds]
        assert utc_offsets(seconds, zone).tolist() == [int(e.total_seconds()) for e in expected], zone


@settings(deadline=None)
@given(instants, zones)
def test_local_times_equal_zoneinfo(moment: datetime, zone: str) -> None:
    row = local_rows([moment], zone).iloc[0]
    local = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    assert row.local_ts.to_pydatetime() == local
    assert (row.local_hour, row.local_weekday) == (local.hour, local.weekday())
    assert row.local_day == (local.date() - date(1970, 1, 1)).days
    assert row.daypart == daypart_of_hour(local.hour)


@settings(deadline=None)
@given(st.lists(st.tuples(instants, zones), min_size=1, max_size=8))
def test_many_zones_at_once_keep_index_and_order(pairs: list[tuple[datetime, str]]) -> None:
    index = [f"row{n}" for n in range(len(pairs))]
    moments = pd.Series(pd.to_datetime([moment for moment, _ in pairs], utc=True), index=index)
    together = local_times(moments, pd.Series([zone for _, zone in pairs], index=index))
    assert together.index.tolist() == index
    for name, (moment, zone) in zip(index, pairs, strict=True):
        assert together.loc[name, "local_ts"] == local_rows([moment], zone).loc[0, "local_ts"]


@settings(deadline=None)
@given(days, slots, zones)
def test_send_time_round_trips_to_its_slot(day: date, slot: str, zone: str) -> None:
    opens, closes = slot_send_at(day, slot, zone), slot_ends_at(day, slot, zone)
    assert opens.tzinfo is UTC
    assert opens <= closes
    local = opens.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    wall = datetime.combine(day, time(DAYPART_START_HOUR[slot]))
    assert local >= wall
    if local != wall:  # only a gap may move it, and then to the gap's very end
        just_before = (opens - timedelta(seconds=1)).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        assert just_before < wall


def test_midnights_at_transitions_of_every_zone_are_the_first_valid_instant() -> None:
    for zone in ZONES:
        starts, _ = offset_changes(zone, 2015, 2025)
        for second in starts[1:3]:
            day = datetime.fromtimestamp(int(second), ZoneInfo(zone)).date()
            midnight = local_midnight(day, zone)
            assert midnight == first_instant_by_scan(datetime.combine(day, time()), zone), zone
            assert local_midnight(day + timedelta(days=1), zone) > midnight, zone


@pytest.mark.parametrize(
    ("day", "slot", "zone", "expected"),
    [
        (date(2017, 3, 12), "morning", "America/New_York", "2017-03-12T10:00"),  # spring, after the gap
        (date(2017, 11, 5), "morning", "America/New_York", "2017-11-05T11:00"),  # autumn, after the fold
        (date(2018, 11, 4), "night", "America/Sao_Paulo", "2018-11-04T03:00"),  # midnight is skipped
        (date(2022, 10, 30), "night", "Asia/Amman", "2022-10-29T21:00"),  # DST made permanent
        (date(2017, 11, 5), "night", "America/Havana", "2017-11-05T04:00"),  # 00:00 twice: the first
        (date(2011, 12, 30), "morning", "Pacific/Apia", "2011-12-30T10:00"),  # the day that never was
        (date(2024, 1, 1), "midday", "Asia/Kathmandu", "2024-01-01T04:15"),  # +05:45
        (date(2024, 10, 6), "night", "Australia/Lord_Howe", "2024-10-05T13:30"),  # half-hour DST
    ],
)
def test_known_send_times(day: date, slot: str, zone: str, expected: str) -> None:
    assert slot_send_at(day, slot, zone) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@settings(deadline=None)
@given(days, zones)
def test_slots_of_a_day_tile_it(day: date, zone: str) -> None:
    bounds = [slot_send_at(day, slot, zone) for slot in DAYPARTS]
    assert [slot_ends_at(day, slot, zone) for slot in DAYPARTS[:-1]] == bounds[1:]
    assert slot_ends_at(day, "late", zone) == local_midnight(day + timedelta(days=1), zone)


def test_every_hour_has_one_daypart() -> None:
    assert {daypart_of_hour(hour) for hour in range(24)} == set(DAYPARTS)
    assert all(daypart_of_hour(start) == name for name, start in DAYPART_START_HOUR.items())
    with pytest.raises(ValueError, match="hour == 24"):
        daypart_of_hour(24)


def test_empty_input_gives_typed_empty_output() -> None:
    empty = local_times(pd.Series([], dtype="datetime64[us, UTC]"), pd.Series([], dtype=object))
    assert empty.dtypes.astype(str).tolist() == ["datetime64[us]", "int64", "int64", "int64", "object"]


@pytest.mark.parametrize(
    ("moments", "zone", "words"),
    [
        (pd.Series(pd.to_datetime(["2017-01-01"])), ["UTC"], "timezone-aware"),
        (pd.Series(pd.to_datetime(["2017-01-01T00:00Z", None])), ["UTC", "UTC"], "no nulls"),
        (pd.Series(pd.to_datetime(["2017-01-01T00:00Z"])), ["Mars/Base"], "Mars/Base"),
    ],
)
def test_bad_input_is_one_clear_line(moments: pd.Series, zone: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        local_times(moments, pd.Series(zone))
    assert "\n" not in str(caught.value)


def test_unknown_zone_and_slot() -> None:
    with pytest.raises(UsageError, match="Europe/Paris"):
        zone_named("Paris")
    with pytest.raises(UsageError, match="must be one of night"):
        slot_send_at(date(2017, 1, 1), "dawn", "UTC")


def test_holiday_distance_counts_days_both_ways() -> None:
    christmas = (date(2017, 12, 25) - date(1970, 1, 1)).days
    to_next, since_last = holiday_distance(np.array([christmas - 2, christmas, christmas + 3]), "US")
    assert to_next.tolist() == [2, 0, 4]
    assert since_last.tolist()[1:] == [0, 3]


@pytest.mark.parametrize("country", ["unknown", "", "XX"])
def test_holidays_of_an_unknown_country_are_nan(country: str) -> None:
    to_next, since_last = holiday_distance(np.array([17_000, 17_001]), country)
    assert np.isnan(to_next).all() and np.isnan(since_last).all()
