"""Open slots: what the plan could still send, and nothing else."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from features.calendar import DAYPARTS
from models.policy.open_slots import open_slots
from models.policy.params import PolicyParams
from models.policy.quiet_hours import minute_of_day
from models.policy.send_options import send_options

DAY = date(2017, 12, 4)
NEW_YORK_MIDNIGHT = datetime(2017, 12, 4, 5, tzinfo=UTC)
HOURS = st.sampled_from([None, "00:00", "07:30", "17:20", "20:45", "21:00", "23:59", "soon"])
ZONES = st.sampled_from(["America/New_York", "Pacific/Auckland", "Asia/Kathmandu", None, "Nope"])


def slots_of(zone, start=None, end=None, as_of=NEW_YORK_MIDNIGHT, params=PolicyParams()) -> list[str]:
    users = pd.DataFrame({"user_id": ["u1"], "timezone": [zone], "quiet_start": [start], "quiet_end": [end]})
    return open_slots(users, params, DAY, as_of)["slot"].tolist()


def test_default_quiet_hours_close_night_and_late():
    assert slots_of("America/New_York") == ["morning", "midday", "afternoon", "evening"]
    assert slots_of("America/New_York", "03:00", "03:00") == list(DAYPARTS)  # a user without quiet hours


def test_what_is_already_past_on_the_users_clock_is_closed():
    assert slots_of("Pacific/Auckland") == ["evening"]  # 18:00 there: the evening is not over
    assert slots_of("Pacific/Auckland", "18:20", "09:00") == []  # twenty minutes are too few
    assert slots_of("Pacific/Auckland", "19:00", "18:30") == ["evening"]
    assert slots_of("Asia/Tokyo") == ["afternoon", "evening"] != slots_of("Asia/Tokyo", "13:00", "17:00")
    after_half_past_eight = datetime(2017, 12, 4, 7, 30, 1, tzinfo=UTC)
    assert slots_of("Pacific/Auckland", as_of=after_half_past_eight) == []  # too little is left to be seen


def test_the_order_of_users_stays_and_no_users_have_no_slots():
    users = pd.DataFrame(
        {"user_id": ["b", "a"], "timezone": "America/New_York", "quiet_start": None, "quiet_end": None}
    )
    found = open_slots(users, PolicyParams(), DAY, NEW_YORK_MIDNIGHT)
    assert list(found.columns) == ["user_id", "slot"] and found["user_id"].tolist() == ["b"] * 4 + ["a"] * 4
    none = open_slots(users[:0], PolicyParams(), DAY, NEW_YORK_MIDNIGHT)
    assert none.empty and list(none.columns) == ["user_id", "slot"]


@settings(deadline=None)
@given(st.lists(st.tuples(ZONES, HOURS, HOURS), max_size=6), st.integers(-30, 30), st.integers(1, 240))
def test_a_slot_is_open_exactly_when_its_send_window_is_ahead(people, hours, least):
    params = PolicyParams(default_timezone="Europe/Paris", min_window_minutes=least)
    as_of = pd.Timestamp(NEW_YORK_MIDNIGHT) + pd.Timedelta(hours=hours)
    users = pd.DataFrame(people, columns=["timezone", "quiet_start", "quiet_end"], dtype=object)
    users["user_id"] = [f"u{number}" for number in range(len(people))]
    expected = []
    for user, (zone, *quiet) in zip(users["user_id"], people, strict=True):
        start, end = map(minute_of_day, quiet)
        if start is None or end is None:
            start, end = 21 * 60, 8 * 60
        for slot in DAYPARTS:
            known = "Europe/Paris" if zone in (None, "Nope") else zone
            options = send_options(DAY, slot, known, start, end, least)
            if (options.send[~np.isnan(options.expires)] >= as_of.timestamp()).any():
                expected.append((user, slot))
    found = open_slots(users, params, DAY, as_of)
    assert list(found.itertuples(index=False, name=None)) == expected
