"""Single rules: quiet hours on every clock of the world, names as promised, facts as asked."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.calendar import DAYPARTS, known_timezones, slot_ends_at, slot_send_at
from models.policy import registry
from models.policy.facts import PolicyContext, hours_to_nearest, push_keys, user_facts
from models.policy.params import PolicyParams
from models.policy.quiet_hours import QUIET_HOURS, in_quiet_window, minute_of_day
from models.policy.rule import SUPPRESSION_COLUMNS, kept_by, ledger_rows
from models.policy.send_options import send_options

CONTRACT_NAMES = {
    *("no_consent", "quiet_hours", "daily_cap", "weekly_cap", "min_gap", "below_value", "unavailable"),
    *("recently_bought", "sensitive", "diversity", "expired", "kill_switch"),
}
MINUTES = st.integers(0, 24 * 60 - 1)
DAYS = st.dates(date(2007, 1, 1), date(2035, 12, 31))


def send_window(day, slot, zone, start, end, least) -> tuple[int, int] | None:
    """(first instant one could send at, when it expires)."""
    options = send_options(day, slot, zone, start, end, least)
    first = np.flatnonzero(~np.isnan(options.expires))[:1]
    return (int(options.send[first[0]]), int(options.expires[first[0]])) if len(first) else None


@given(MINUTES, MINUTES, MINUTES)
def test_a_window_holds_what_walking_from_its_start_reaches(minute, start, end):
    walked = {(start + step) % 1440 for step in range((end - start) % 1440)}
    assert in_quiet_window(np.array([minute]), start, end)[0] == (minute in walked)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(known_timezones())), DAYS, st.sampled_from(DAYPARTS), MINUTES, MINUTES)
def test_no_minute_of_a_send_window_is_quiet_on_any_clock(zone, day, slot, start, end):
    assert_first_lasting_run(zone, day, slot, start, end, 30)


CLOCK_CHANGES = st.sampled_from(
    [
        ("America/New_York", date(2017, 3, 12)),
        ("America/New_York", date(2017, 11, 5)),
        ("America/Sao_Paulo", date(2017, 10, 15)),  # midnight is skipped
        ("Atlantic/Azores", date(2017, 10, 28)),  # the fold reaches back over midnight
        ("Australia/Lord_Howe", date(2017, 4, 2)),  # half an hour
        ("Pacific/Apia", date(2011, 12, 30)),  # no such day
    ]
)


@settings(max_examples=150, deadline=None)
@given(CLOCK_CHANGES, st.sampled_from(["night", "late"]), MINUTES, MINUTES, st.integers(1, 400))
def test_no_minute_of_a_send_window_is_quiet_on_days_clocks_change(change, slot, start, end, least):
    assert_first_lasting_run(*change, slot, start, end, least)


def assert_first_lasting_run(zone: str, day: date, slot: str, start: int, end: int, least: int) -> None:
    opens, closes = (int(at(day, slot, zone).timestamp()) for at in (slot_send_at, slot_ends_at))
    local = [datetime.fromtimestamp(instant, ZoneInfo(zone)) for instant in range(opens, closes, 60)]
    minutes = np.array([moment.hour * 60 + moment.minute for moment in local], dtype=np.int64)
    loud = "".join("x" if quiet else "." for quiet in in_quiet_window(minutes, start, end))
    window = send_window(day, slot, zone, start, end, least)
    if window is None:
        assert "." * least not in loud
    else:
        first, last = ((bound - opens) // 60 for bound in window)
        assert first >= 0 and last <= len(loud) and last - first >= least
        assert set(loud[first:last]) == {"."}
        assert first == loud.index("." * least)  # none earlier would have done
        assert last == len(loud) or loud[last] == "x"  # and none of it is given away


def test_gaps_and_folds_in_new_york():
    def local(day: date, slot: str, start: str, end: str) -> list[str]:
        zone = "America/New_York"
        window = send_window(day, slot, zone, minute_of_day(start), minute_of_day(end), 30)
        return [pd.Timestamp(bound, unit="s", tz=zone).isoformat()[11:] for bound in window]

    gap, fold = date(2017, 3, 12), date(2017, 11, 5)
    assert local(gap, "night", "22:00", "02:15") == ["03:00:00-04:00", "06:00:00-04:00"]
    assert local(gap, "night", "02:15", "02:45") == ["00:00:00-05:00", "06:00:00-04:00"]  # never shown
    assert local(fold, "night", "22:00", "01:30") == ["01:30:00-04:00", "01:00:00-05:00"]  # 01:00 comes again


def test_a_send_window_ends_where_quiet_hours_begin():
    def local(start: str, end: str, least: int = 30) -> list[str] | None:
        window = send_window(
            date(2017, 12, 4), "evening", "UTC", minute_of_day(start), minute_of_day(end), least
        )
        return window and [pd.Timestamp(bound, unit="s").strftime("%H:%M") for bound in window]

    assert local("20:00", "08:00") == ["17:00", "20:00"]
    assert local("17:20", "18:00") == ["18:00", "21:00"]  # the first 20 minutes are too few
    assert local("17:30", "18:00") == ["17:00", "17:30"]
    assert local("17:29", "20:31") is None  # 29 minutes on either side are not 58 in a row
    assert local("09:00", "09:00", 240) == ["17:00", "21:00"] and local("09:00", "09:00", 241) is None


def test_too_little_of_a_slot_is_none():
    slots = pd.DataFrame(
        {
            "user_id": ["u1", "u2", "u3"],
            "slot": "morning",
            "quiet_start": 1260,
            "quiet_end": 480,
            "expires_epoch_seconds": [1800.0, np.nan, np.nan],
            "best_time_quiet": [False, True, True],
        }
    )
    params = PolicyParams(min_window_minutes=30)
    kept = kept_by(QUIET_HOURS, slots, params)
    assert kept.tolist() == [True, False, False]
    rows = ledger_rows(QUIET_HOURS, slots[~kept], params)
    assert list(rows.columns) == list(SUPPRESSION_COLUMNS) and rows["item_id"].isna().all()
    assert rows["detail"][0] == "quiet 21:00-08:00 local leaves less than 30 unbroken minutes of the morning"


def test_rule_names_are_those_of_the_contract_and_files_and_rules_match():
    groups = (registry.USER_RULES, registry.SLOT_RULES, registry.ITEM_RULES, registry.PUSH_RULES)
    rules = [rule for group in (*groups, registry.AFTER_A_CHOICE_RULES) for rule in group]
    assert {rule.name for rule in rules} == CONTRACT_NAMES
    assert len(set(rules)) == len(CONTRACT_NAMES), "one rule a name"
    folder = Path(registry.__file__).parent
    assert all((folder / f"{name.removeprefix('no_')}.py").is_file() for name in CONTRACT_NAMES)


def test_a_rule_names_the_fact_it_lacks():
    with pytest.raises(ValueError, match=r"rule quiet_hours reads \['quiet_start'"):
        kept_by(QUIET_HOURS, pd.DataFrame({"slot": []}), PolicyParams())


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 10_000_000)), max_size=12),
    st.integers(0, 3),
    st.integers(0, 10_000_000),
)
def test_the_nearest_push_is_the_users_own(pushes, user, instant):
    sent = np.sort(push_keys(np.array([u for u, _ in pushes]), np.array([t for _, t in pushes])))
    found = hours_to_nearest(np.array([user]), np.array([float(instant)]), sent)[0]
    own = [abs(t - instant) / 3600 for u, t in pushes if u == user]
    assert found == pytest.approx(min(own)) if own else np.isnan(found)


def test_user_facts_fall_back_one_by_one():
    users = pd.DataFrame(
        {
            "user_id": ["a", "b", "c", "d"],
            "push_consent": [True] * 4,
            "timezone": ["Europe/Paris", None, "", "Mars"],
            "quiet_start": ["22:00", "22:00", None, "x"],
            "quiet_end": ["07:00", None, None, "07:00"],
            "max_per_day": [2, None, 9, -1],
        }
    )
    empty = pd.DataFrame({"user_id": [], "sent_at": [], "channel": []})
    context = PolicyContext(datetime(2017, 12, 4, tzinfo=UTC), pd.DataFrame(), pd.DataFrame(), empty)
    facts = user_facts(users, pd.Index(list("abcde")), context, PolicyParams(), date(2017, 12, 4))
    assert facts["timezone"].tolist() == ["Europe/Paris", *["UTC"] * 4]
    assert facts["quiet_start"].tolist() == [1320, *[1260] * 4] and facts["quiet_end"][0] == 420
    assert facts["cap"].tolist() == [2, 1, 3, 0, 1]
    assert facts["push_consent"].isna().tolist() == [False] * 4 + [True]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"max_items": 0}, "max_items == 0, must be >= 1"),
        ({"min_gap_hours": -1.0}, "min_gap_hours == -1.0, must be >= 0"),
        ({"margin": float("nan")}, "margin == nan"),
    ],
)
def test_impossible_limits_are_refused(values, words):
    with pytest.raises(ValueError, match=words):
        PolicyParams(**values)
