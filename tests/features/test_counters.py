"""The counting primitive against counting by hand: at every whole hour, what the events before it say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.counters import SECONDS_PER_DAY, session_counts

HOUR = 3_600
BASE = 1_488_326_400  # 2017-03-01 00:00 UTC
HALF_LIVES = (7, 30)
FAR = BASE + 400 * SECONDS_PER_DAY
CONNECTION = duckdb.connect()
CONNECTION.execute("SET TimeZone = 'UTC'")


@dataclass(frozen=True)
class Event:
    """One interaction, `second` after BASE."""

    key: str
    session: str
    second: int
    weight: float
    amount: float


moments = st.builds(
    lambda day, hour, second: day * SECONDS_PER_DAY + hour * HOUR + second,
    st.sampled_from([0, 1, 40]),
    st.integers(0, 3),
    st.sampled_from([0, 1, 1_799, 3_599]) | st.integers(0, 3_599),
)
histories = st.lists(
    st.builds(
        Event,
        st.sampled_from("ab"),
        st.sampled_from(["s0", "s1", "s2"]),
        moments,
        st.sampled_from([0.1, 0.4, 1.0]),
        st.integers(0, 10_000).map(lambda cents: cents / 100.0),
    ),
    min_size=1,
    max_size=14,
)


def counted(events: list[Event], as_of: int, **parameters: object) -> pd.DataFrame:
    """`session_counts` of the events, in an order that is not theirs, by key."""
    frame = pd.DataFrame([vars(event) for event in events]).rename(columns={"session": "session_id"})
    frame["epoch_seconds"] = BASE + frame.pop("second")
    relation = CONNECTION.from_df(frame.sample(frac=1.0, random_state=1))
    parameters = {"half_lives_days": HALF_LIVES, "totals": ("amount",), **parameters}
    moment = datetime.fromtimestamp(as_of, UTC)
    rows = session_counts(relation, ("key",), moment, prefix="n", **parameters).df()
    return rows.sort_values(["key", "event_timestamp"], ignore_index=True)


def read(rows: pd.DataFrame, key: str, at: int) -> dict | None:
    """The key's newest row that is valid at the instant, as a point-in-time join finds it."""
    moment = pd.Timestamp(at, unit="s", tz="UTC")
    found = rows[(rows["key"] == key) & (rows["event_timestamp"] <= moment)]
    return None if found.empty else found.iloc[-1].to_dict()


def by_hand(events: list[Event], key: str, at: int) -> dict | None:
    """What counting the key's sessions one event after the other knows just before the instant."""
    known = sorted((e for e in events if e.key == key and BASE + e.second < at), key=lambda e: e.second)
    if not known:
        return None
    parts: dict[tuple[int, str], list[Event]] = {}  # a session's events within one hour
    for event in known:
        parts.setdefault((event.second // HOUR, event.session), []).append(event)
    best: dict[str, float] = {}
    gains: list[tuple[int, str, float]] = []
    opened: dict[str, tuple[int, str]] = {}
    for (_, session), part in sorted(parts.items()):
        top, last = max(event.weight for event in part), BASE + part[-1].second
        gains.append((last, session, max(top - best.get(session, 0.0), 0.0)))
        best[session] = max(top, best.get(session, 0.0))
        opened.setdefault(session, (last, session))
    order = sorted((last, session) for last, session, _ in gains)
    newest = order.index(max(opened.values()))
    return {
        "n_sessions": sum(best.values()),
        "n_first_epoch_seconds": BASE + known[0].second,
        "n_last_epoch_seconds": BASE + known[-1].second,
        "n_previous_epoch_seconds": order[newest - 1][0] if newest else math.nan,
        "n_amount": sum(event.amount for event in known),
        **{
            f"n_decayed_{days}d": sum(
                gain * 2.0 ** (-(at - last) / SECONDS_PER_DAY / days) for last, _, gain in gains
            )
            for days in HALF_LIVES
        },
    }


def carried(row: dict, at: int) -> dict:
    """A row as its reader sees it at the instant: decayed counts aged from the last event."""
    age_days = (at - row["n_last_epoch_seconds"]) / SECONDS_PER_DAY
    aged = {
        f"n_decayed_{days}d": row[f"n_decayed_{days}d"] * 2.0 ** (-age_days / days) for days in HALF_LIVES
    }
    return {**row, **aged}


def whole_hours(events: list[Event]) -> list[int]:
    """The hours just before and just after every event, and one far later."""
    starts = {BASE + event.second // HOUR * HOUR for event in events}
    return sorted(starts | {start + HOUR for start in starts} | {FAR})


@settings(max_examples=50, deadline=None)
@given(histories)
def test_every_hour_knows_what_counting_by_hand_knows(events: list[Event]) -> None:
    rows = counted(events, FAR)
    for at in whole_hours(events):
        for key in "ab":
            found, expected = read(rows, key, at), by_hand(events, key, at)
            assert (found is None) == (expected is None), (key, at)
            if found is not None and expected is not None:
                seen = {name: carried(found, at)[name] for name in expected}
                assert seen == pytest.approx(expected, rel=1e-9, abs=1e-6, nan_ok=True), (key, at)


@settings(max_examples=12, deadline=None)
@given(histories)
def test_later_knowledge_never_changes_what_an_earlier_hour_reads(events: list[Event]) -> None:
    later = counted(events, FAR)
    for at in whole_hours(events):
        then = counted(events, at)
        moment = pd.Timestamp(at, unit="s", tz="UTC")
        known = later[later["event_timestamp"] <= moment].reset_index(drop=True)
        pd.testing.assert_frame_equal(then, known, check_exact=True, check_dtype=False)


def test_bits_of_long_histories_do_not_depend_on_what_came_later_or_on_other_keys() -> None:
    rng = np.random.default_rng(5)
    count = 30_000
    events = [
        Event(f"k{key}", f"s{session}", int(second), float(weight), float(amount) / 100.0)
        for key, session, second, weight, amount in zip(
            rng.integers(0, 12, count),
            rng.integers(0, 4_000, count),
            rng.integers(0, 300 * SECONDS_PER_DAY, count),
            rng.choice([0.1, 0.4, 1.0], count),
            rng.integers(0, 9_999, count),
            strict=True,
        )
    ]
    at = BASE + 200 * SECONDS_PER_DAY
    later = counted(events, FAR)
    later = later[later["event_timestamp"] <= pd.Timestamp(at, unit="s", tz="UTC")].reset_index(drop=True)
    pd.testing.assert_frame_equal(counted(events, at), later, check_exact=True)
    alone = counted([event for event in events if event.key == "k7"], at)
    beside = later[later["key"] == "k7"].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, beside, check_exact=True)


def test_rows_are_unique_and_later_than_what_they_count() -> None:
    events = [Event("a", f"s{n % 5}", n * 977, 1.0, 1.0) for n in range(200)]
    rows = counted(events, FAR)
    assert not rows.duplicated(["key", "event_timestamp"]).any()
    last = pd.to_datetime(rows["n_last_epoch_seconds"], unit="s", utc=True)
    assert (rows["event_timestamp"] > last).all()
    assert (rows["event_timestamp"] - last <= pd.Timedelta(hours=1)).all()


def test_an_event_on_the_hour_is_known_an_hour_later() -> None:
    rows = counted([Event("a", "s0", 2 * HOUR, 1.0, 3.0)], FAR)
    assert read(rows, "a", BASE + 2 * HOUR) is None
    found = read(rows, "a", BASE + 3 * HOUR)
    assert found is not None
    assert found["n_last_epoch_seconds"] == BASE + 2 * HOUR


@pytest.mark.parametrize("second", [5 * HOUR, 5 * HOUR + 1, 9 * HOUR])
def test_events_at_or_after_the_cut_off_are_ignored(second: int) -> None:
    early = [Event("a", "s0", HOUR, 0.4, 3.0)]
    late = [Event("a", "s0", second, 1.0, 5.0), Event("b", "s1", second, 1.0, 5.0)]
    as_of = BASE + 5 * HOUR
    pd.testing.assert_frame_equal(counted([*early, *late], as_of), counted(early, as_of))


def test_a_session_counts_from_its_first_hour_on_and_once() -> None:
    events = [
        Event("a", "s0", 30, 0.1, 0.0),
        Event("a", "s0", 40, 0.4, 0.0),
        Event("a", "s0", HOUR + 30, 0.1, 0.0),
        Event("a", "s0", 2 * HOUR + 30, 1.0, 9.5),
        Event("a", "s1", 2 * HOUR + 60, 1.0, 0.5),
    ]
    rows = counted(events, FAR)
    assert rows["n_sessions"].tolist() == [0.4, 0.4, 2.0]
    assert rows["n_amount"].tolist() == [0.0, 0.0, 10.0]
    assert rows["n_first_epoch_seconds"].tolist() == [BASE + 30] * 3
    assert rows["n_previous_epoch_seconds"].iloc[:2].isna().all()
    assert rows["n_previous_epoch_seconds"].iloc[2] == BASE + 2 * HOUR + 30


def test_sums_of_money_are_exact() -> None:
    events = [Event("a", f"s{n}", n * HOUR, 1.0, 0.1) for n in range(1_000)]
    assert counted(events, FAR)["n_amount"].tolist() == [round(0.1 * (n + 1), 1) for n in range(1_000)]


def test_a_decayed_count_outlives_a_thousand_half_lives() -> None:
    events = [Event("a", f"s{n}", n * SECONDS_PER_DAY, 1.0, 0.0) for n in (0, 900, 901)]
    newest = counted(events, BASE + 1_000 * SECONDS_PER_DAY, half_lives_days=(1,)).iloc[-1]
    assert newest["n_decayed_1d"] == pytest.approx(1.5)


def test_what_the_condition_excludes_is_not_counted() -> None:
    events = [Event("a", "s0", 0, 1.0, 1.0), Event("a", "s1", 60, 0.1, 5.0)]
    rows = counted(events, FAR, where="weight >= 1")
    assert rows[["n_sessions", "n_amount"]].values.tolist() == [[1.0, 1.0]]


def test_wrong_arguments_are_named() -> None:
    events = [Event("a", "s0", 0, 1.0, 1.0)]
    with pytest.raises(ValueError, match=r"half_lives_days == \(0,\), must be > 0"):
        counted(events, FAR, half_lives_days=(0,))
    relation = CONNECTION.sql("SELECT 1 AS key")
    with pytest.raises(ValueError, match="must carry a time zone"):
        session_counts(relation, ("key",), datetime(2017, 3, 1), prefix="n")  # noqa: DTZ001
