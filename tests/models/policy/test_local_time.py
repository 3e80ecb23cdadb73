"""Local time in every zone there is: a push goes in its slot, on its day, and not in quiet hours."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.calendar import DAYPARTS, daypart_of_hour, known_timezones, offset_changes
from models.plan import build_plan
from models.policy.facts import PolicyContext
from models.policy.params import PolicyParams
from models.policy.quiet_hours import in_quiet_window
from models.policy.send_options import send_options

ZONES = sorted(known_timezones())
ORDINARY = date(2025, 5, 14)
LONG_AGO = [("Pacific/Apia", date(2011, 12, day)) for day in (29, 30, 31)]  # the 30th never was
LONG_AGO += [("America/Sao_Paulo", date(2017, 10, 15)), ("Atlantic/Azores", date(2017, 10, 29))]
LONG_AGO += [("Australia/Lord_Howe", date(2017, 4, 2)), ("Asia/Pyongyang", date(2018, 5, 5))]


def critical_days(zone: str) -> list[date]:
    """An ordinary day, and those on which the zone's clock jumps in a year, with their neighbours."""
    starts, _ = offset_changes(zone, 2026, 2026)
    jumps = {datetime.fromtimestamp(int(second), ZoneInfo(zone)).date() for second in starts[1:]}
    around = {day + timedelta(days=shift) for day in jumps for shift in (-1, 0)}
    return sorted({ORDINARY, *around, *(day for name, day in LONG_AGO if name == zone)})


WINDOWS = [(21 * 60, 8 * 60), (0, 0), (9 * 60 + 20, 18 * 60 + 45)]


def test_every_send_in_every_zone_is_in_its_slot_on_its_day_and_not_quiet():
    sends = 0
    for turn, (zone, day) in enumerate((name, day) for name in ZONES for day in critical_days(name)):
        clock = ZoneInfo(zone)  # the very rules that plan: pandas' own names may follow older ones
        start, end = WINDOWS[turn % len(WINDOWS)]
        found = [send_options(day, slot, zone, start, end, 30) for slot in DAYPARTS]
        slots = np.repeat(DAYPARTS, [len(options.send) for options in found])
        send, expires = (np.concatenate([getattr(o, name) for o in found]) for name in ("send", "expires"))
        local = pd.DatetimeIndex(pd.to_datetime(send, unit="s", utc=True)).tz_convert(clock)
        assert [daypart_of_hour(hour) for hour in local.hour] == slots.tolist(), (zone, day)
        assert (local.date == day).all(), (zone, day)
        sent = ~np.isnan(expires)
        last = pd.DatetimeIndex(pd.to_datetime(expires[sent] - 1, unit="s", utc=True)).tz_convert(clock)
        for moments in (local[sent], last):
            minutes = np.asarray(moments.hour * 60 + moments.minute, dtype=np.int64)
            assert not in_quiet_window(minutes, start, end).any(), (zone, day)
        assert (expires[sent] - send[sent] >= 1800).all() and (np.diff(send) > 0).all()
        sends += int(sent.sum())
    assert sends > 10_000


def test_sends_fall_on_local_half_hours_in_zones_of_any_offset():
    for zone in ("Asia/Kathmandu", "Australia/Eucla", "Asia/Kolkata", "America/St_Johns", "Pacific/Chatham"):
        options = send_options(ORDINARY, "afternoon", zone, 0, 0, 30)
        assert options.hour.tolist() == [14.0, 14.5, 15.0, 15.5, 16.0, 16.5], zone


def test_the_whole_day_can_be_quiet_and_none_of_it():
    for slot in DAYPARTS:
        assert np.isnan(send_options(ORDINARY, slot, "Europe/Paris", 0, 24 * 60, 1).expires).all()
        assert not np.isnan(send_options(ORDINARY, slot, "Europe/Paris", 600, 600, 1).expires).any()


def test_a_day_that_never_was_has_no_send():
    assert all(
        len(send_options(date(2011, 12, 30), slot, "Pacific/Apia", 0, 0, 30).send) == 0 for slot in DAYPARTS
    )


PLANNED = pd.DataFrame(
    [("u1", slot, "i1", "c", 1.0, 0.5, 9.0) for slot in DAYPARTS],
    columns=["user_id", "slot", "item_id", "category", "score", "p_item", "price"],
)
ITEMS = pd.DataFrame({"item_id": ["i1"]})
NOTHING = pd.DataFrame({"user_id": [], "item_id": [], "last_bought_epoch_seconds": [], "mean_gap_days": []})


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.sampled_from(ZONES), min_size=3, max_size=3),
    st.dates(date(2024, 1, 1), date(2026, 12, 1)),
    st.integers(0, 10_000),
    st.sampled_from([12.0, 20.0]),
)
def test_whoever_moves_across_the_world_is_still_left_in_peace(zones, first, seed, gap):
    rng, pushes = np.random.default_rng(seed), []
    params = PolicyParams(
        max_per_week=2, min_gap_hours=gap, default_quiet_start="00:00", default_quiet_end="00:00"
    )
    for step, zone in enumerate(zones):
        day = first + timedelta(days=step)
        users = pd.DataFrame({"user_id": ["u1"], "timezone": [zone], "push_consent": [True]})
        timing = PLANNED[["user_id", "slot"]].assign(p_engage=rng.uniform(0.1, 0.9, len(DAYPARTS)))
        hours = pd.DataFrame(rng.dirichlet(np.ones(24), 1) + 1e-6, index=["u1"])
        history = pd.DataFrame(pushes, columns=["user_id", "sent_at", "channel"])
        as_of = datetime.combine(first, datetime.min.time(), UTC) - timedelta(days=2)
        context = PolicyContext(as_of, ITEMS, NOTHING, history)
        plan = build_plan(PLANNED, timing, users, context, params, day, "m", hours)
        for push in plan.pushes.itertuples():
            local = push.send_at.astimezone(ZoneInfo(zone))
            assert (local.date(), daypart_of_hour(local.hour)) == (day, push.slot)
            pushes.append(("u1", push.send_at, "push"))
    sent = sorted(moment for _, moment, _ in pushes)
    assert len(sent) <= 2
    assert all((late - early) >= timedelta(hours=gap) for early, late in pairwise(sent))
