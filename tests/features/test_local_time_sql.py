"""Local time in SQL equals zoneinfo: at every gap and fold of every IANA zone, and in odd offsets."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from features.calendar import known_timezones, local_midnight, local_times, offset_changes, utc_offsets
from features.counters import GRID_SECONDS
from features.interactions import build_interactions
from features.visits import create_visits

FIRST_YEAR, LAST_YEAR = 2015, 2025
STEPS = (-86_400, -3_601, -1, 0, 1, 1_799, 3_599, 3_600, 43_200)
"""Seconds from an offset change: the day before, both sides of the gap or fold, and inside it."""


def around_changes(zone: str) -> list[int]:
    """UTC seconds about the zone's last two offset changes; about a plain day where it has none."""
    starts, _ = offset_changes(zone, FIRST_YEAR, LAST_YEAR)
    changes = starts[1:][-2:] if len(starts) > 1 else [int(datetime(2024, 2, 29, tzinfo=UTC).timestamp())]
    return [int(change) + step for change in changes for step in STEPS]


@pytest.fixture(scope="module")
def events() -> pd.DataFrame:
    """A purchase at each of those seconds, by a user of each zone."""
    zones = sorted(known_timezones())
    rows = [(f"in {zone}", zone, second) for zone in zones for second in around_changes(zone)]
    frame = pd.DataFrame(rows, columns=["user_id", "timezone", "second"])
    frame["event_ts"] = pd.to_datetime(frame["second"], unit="s", utc=True).astype("datetime64[us, UTC]")
    frame["session_id"] = [f"s{n}" for n in range(len(frame))]
    return frame


def users_of(events: pd.DataFrame) -> pd.DataFrame:
    return events[["user_id", "timezone"]].drop_duplicates(ignore_index=True)


def first_instant_of_day(day: int, zone: str) -> int:
    return int(local_midnight(date(1970, 1, 1) + timedelta(days=int(day)), zone).timestamp())


def test_local_times_in_sql_equal_zoneinfo_at_every_change_of_every_zone(events, open_shop) -> None:
    shop = open_shop(events.drop(columns=["timezone", "second"]), users_of(events))
    found = build_interactions(shop).df().sort_values(["user_id", "epoch_seconds"], ignore_index=True)
    asked = events.sort_values(["user_id", "second"], ignore_index=True)
    wanted = local_times(asked["event_ts"], asked["timezone"])
    wrong = asked[
        (found["daypart"] != wanted["daypart"])
        | (found["local_day"] != wanted["local_day"])
        | (found["local_weekday"] != wanted["local_weekday"])
        | (found["weekday"] != wanted["local_weekday"].astype(str))
    ]
    assert wrong.empty, wrong.to_string()
    days = pd.DataFrame({"timezone": asked["timezone"], "day": wanted["local_day"]})
    distinct = days.drop_duplicates()
    midnight = {
        (zone, day): first_instant_of_day(day, zone)
        for zone, day in distinct.itertuples(index=False, name=None)
    }
    expected = np.array([midnight[key] for key in days.itertuples(index=False, name=None)])
    late = found["local_midnight_epoch_seconds"].to_numpy() != expected
    assert not late.any(), asked[late].assign(expected=expected[late]).to_string()


def test_visits_know_the_daypart_and_weekday_at_every_change_of_every_zone(events, open_shop) -> None:
    shop = open_shop(events.drop(columns=["timezone", "second"]), users_of(events))
    lines = create_visits(shop)["visits"].df()[["user_id", "first_at", "daypart", "weekday"]]
    found = lines.astype({"daypart": "object", "weekday": "object"})
    found = found.sort_values(["user_id", "first_at"], ignore_index=True)
    asked = events.sort_values(["user_id", "second"], ignore_index=True)
    wanted = local_times(asked["event_ts"], asked["timezone"])
    assert found["first_at"].tolist() == asked["second"].tolist()
    wrong = (found["daypart"] != wanted["daypart"]) | (
        found["weekday"] != wanted["local_weekday"].astype(str)
    )
    assert not wrong.any(), asked[wrong].to_string()


def test_every_local_midnight_is_on_the_grid_of_the_tables() -> None:
    for zone in known_timezones():
        starts, _ = offset_changes(zone, FIRST_YEAR, LAST_YEAR)
        for second in (*starts[1:], starts[0] + 40 * 86_400):
            day = (int(second) + int(utc_offsets(np.array([second]), zone)[0])) // 86_400
            assert first_instant_of_day(day, zone) % GRID_SECONDS == 0, (zone, day)


@pytest.mark.parametrize(
    ("zone", "utc", "daypart", "weekday"),
    [
        ("America/New_York", "2017-03-12T06:59:59", "night", "6"),  # the last second before the gap
        ("America/New_York", "2017-03-12T09:59:59", "night", "6"),  # 05:59:59, four hours behind now
        ("America/New_York", "2017-03-12T10:00:00", "morning", "6"),
        ("America/New_York", "2017-11-05T10:59:59", "night", "6"),
        ("America/New_York", "2017-11-05T11:00:00", "morning", "6"),
        ("Asia/Kolkata", "2024-01-01T04:29:59", "morning", "0"),  # 09:59:59 at +05:30
        ("Asia/Kolkata", "2024-01-01T04:30:00", "midday", "0"),
        ("Asia/Kathmandu", "2024-01-01T18:14:59", "late", "0"),  # 23:59:59 at +05:45
        ("Asia/Kathmandu", "2024-01-01T18:15:00", "night", "1"),
        ("Australia/Lord_Howe", "2024-10-05T15:30:00", "night", "6"),  # half an hour of summer time
        ("Pacific/Chatham", "2024-01-01T10:15:00", "night", "1"),  # +13:45
        ("America/St_Johns", "2024-07-01T02:29:59", "late", "6"),  # -02:30
    ],
)
def test_dayparts_in_odd_zones(open_shop, zone, utc, daypart, weekday) -> None:
    moment = pd.Timestamp(utc, tz="UTC").as_unit("us")
    shop = open_shop(
        pd.DataFrame({"user_id": ["u"], "event_ts": [moment]}),
        pd.DataFrame({"user_id": ["u"], "timezone": [zone]}),
    )
    line = create_visits(shop)["visits"].df().iloc[0]
    assert (line["daypart"], line["weekday"]) == (daypart, weekday)
