"""The counting primitive against counting by hand: at every instant, what the events before it say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.counters import GRID_SECONDS, SECONDS_PER_DAY, Counts, count_changes, utc_midnight
from features.visits import create_visits

HOUR = 3_600
DAY = SECONDS_PER_DAY
BASE = 1_488_326_400  # 2017-03-01 00:00 UTC
FAR = BASE + 400 * DAY
WEIGHTS = {"view": 0.1, "add_to_cart": 0.4, "purchase": 1.0}
OF_USERS = Counts(
    ("user_id",), "n", visits=True, half_lives_days=(7, 30), windows_hours=(1, 24), totals=("amount",)
)
OF_USER_ITEMS = Counts(("user_id", "item_id"), "n", visits=True, half_lives_days=(7,), totals=("quantity",))
OF_DEVICES = Counts(("device",), "n", recency=False, where="device <> 'unknown'", windows_hours=(48,))
COARSE = Counts(("item_id",), "n", half_lives_days=(30,), windows_hours=(24, 48), grid_seconds=DAY)
MONEY = Counts(("item_id",), "n", recency=False, windows_hours=(24, 48), grid_seconds=DAY, measure="amount")
KINDS = (
    (OF_USERS, "visits"),
    (OF_USER_ITEMS, "item_visits"),
    (OF_DEVICES, "visits"),
    (COARSE, "item_visits"),
    (MONEY, "item_visits"),
)


@dataclass(frozen=True)
class Event:
    """One interaction, `second` after BASE."""

    user: str
    item: str
    session: str
    second: int
    kind: str
    device: str
    cents: int


moments = st.builds(
    lambda day, hour, second: day * DAY + hour * HOUR + second,
    st.sampled_from([0, 1, 2, 3, 40]),
    st.sampled_from([0, 1, 2, 12, 23]),
    st.sampled_from([0, 1, 899, 900, 3_599]) | st.integers(0, 3_599),
)
histories = st.lists(
    st.builds(
        Event,
        st.sampled_from("ab"),
        st.sampled_from("xy"),
        st.sampled_from(["s0", "s1", "s2"]),
        moments,
        st.sampled_from(sorted(WEIGHTS)),
        st.sampled_from(["ios", "web", "unknown"]),
        st.integers(0, 10_000),
    ),
    min_size=1,
    max_size=14,
)


def shop_of(events: list[Event]) -> duckdb.DuckDBPyConnection:
    """A connection over the events, in an order that is not theirs."""
    frame = pd.DataFrame(
        {
            "event_id": [f"e{n}" for n in range(len(events))],
            "user_id": [event.user for event in events],
            "item_id": [event.item for event in events],
            "event_type": [event.kind for event in events],
            "event_ts": pd.to_datetime([BASE + event.second for event in events], unit="s", utc=True),
            "quantity": 1.0,
            "amount": [event.cents / 100.0 for event in events],
            "session_id": [event.session for event in events],
            "device": [event.device for event in events],
            **dict.fromkeys(("network", "region", "store_id", "channel", "weather"), "unknown"),
        }
    ).sample(frac=1.0, random_state=1)
    users = pd.DataFrame({"user_id": ["a"], "timezone": ["Asia/Kolkata"]})
    items = pd.DataFrame({"item_id": ["x"], "category_path": ["kind"], "available": [True]})
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET threads = 1")
    for name, rows in {"events": frame, "users": users, "items": items}.items():
        connection.register(f"{name}_frame", rows)
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM {name}_frame")
    return connection


def at_second(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def counted(
    events: list[Event], counts: Counts, source: str, until: int = FAR, **parts: object
) -> pd.DataFrame:
    """The rows of the events before `until`, by key and time."""
    known = [event for event in events if BASE + event.second < until]
    if not known:
        return pd.DataFrame(columns=[*counts.keys, "event_timestamp", *counts.columns])
    lines = create_visits(shop_of(known))[source]
    return in_order(count_changes(lines, counts, until=at_second(until), **parts).df(), counts)


def in_order(rows: pd.DataFrame, counts: Counts) -> pd.DataFrame:
    return rows.sort_values([*counts.keys, "event_timestamp"], ignore_index=True)


def read(rows: pd.DataFrame, key: tuple[str, ...], keys: tuple[str, ...], at: int) -> dict | None:
    """The key's newest row that is valid at the instant, as a point-in-time join finds it."""
    found = rows[rows["event_timestamp"] <= pd.Timestamp(at, unit="s", tz="UTC")]
    for name, value in zip(keys, key, strict=True):
        found = found[found[name] == value]
    return None if found.empty else found.iloc[-1].to_dict()


def gains_by_hand(
    events: list[Event], of_items: bool, money: bool
) -> list[tuple[Event, int, int, float, bool]]:
    """(an event of the line, first second, last second, gain, opens) of each line of a session."""
    dayparts = {"a": 19_800, "b": 0}  # the zones' offsets: lines are split by local daypart

    def context(event: Event) -> tuple[str, int, int]:
        local = BASE + event.second + dayparts[event.user]
        hour = local // HOUR % 24
        return event.device, sum(hour >= start for start in (0, 6, 10, 14, 17, 21)), local // DAY

    lines: dict[tuple, list[Event]] = {}
    for event in sorted(events, key=lambda e: e.second):
        thing = event.item if of_items else ""
        line = (event.user, event.session, thing, (BASE + event.second) // GRID_SECONDS, context(event))
        lines.setdefault(line, []).append(event)
    gains = []
    order = sorted(lines, key=lambda line: (line[3], lines[line][0].second, _sql_context(line[4])))
    for position, line in enumerate(order):
        user, session, thing, bucket, _ = line
        before = [
            max(WEIGHTS[event.kind] for event in lines[other])
            for other in order[:position]
            if other[:3] == (user, session, thing) and bucket - other[3] <= 24 * HOUR // GRID_SECONDS
        ]
        top = max(WEIGHTS[event.kind] for event in lines[line])
        first, last = lines[line][0], lines[line][-1]
        paid = sum(event.cents for event in lines[line]) / 100.0
        gain = paid if money else max(top - max(before, default=0.0), 0.0)
        gains.append((first, BASE + first.second, BASE + last.second, gain, not before))
    return gains


def _sql_context(context: tuple[str, int, int]) -> tuple[str, str, int]:
    names = ("night", "morning", "midday", "afternoon", "evening", "late")
    return context[0], names[context[1] - 1], (context[2] + 3) % 7


def by_hand(events: list[Event], counts: Counts, key: tuple[str, ...], at: int) -> dict | None:
    """What counting the key's sessions one line after the other knows at a whole grid instant."""
    columns = {"user_id": "user", "item_id": "item", "device": "device"}

    def key_of(event: Event) -> tuple[str, ...]:
        return tuple(getattr(event, columns[name]) for name in counts.keys)

    of_items = "item_id" in counts.keys
    grid = counts.grid_seconds
    known = [
        line
        for line in gains_by_hand(events, of_items, counts.measure == "amount")
        if key_of(line[0]) == key and line[1] // grid * grid < at
    ]
    if not known:
        return None
    last = max(line[2] for line in known)
    values: dict[str, float] = {f"n_{counts.running}": sum(line[3] for line in known)}
    if counts.visits:
        values["n_visits"] = sum(line[4] for line in known)
        begun: dict[int, int] = {}
        for line in sorted((line for line in known if line[4]), key=lambda line: line[1]):
            begun.setdefault(line[1] // grid, line[1])
        newest = sorted(begun.values(), reverse=True)
        values["n_began_epoch_seconds"] = newest[0]
        values["n_previous_epoch_seconds"] = newest[1] if len(newest) > 1 else math.nan
    for days in counts.half_lives_days:
        steps: dict[int, list] = {}
        for line in known:
            steps.setdefault(line[1] // grid, []).append(line)
        values[f"n_decayed_{days}d"] = sum(
            sum(line[3] for line in step) * 2.0 ** (-(at - max(line[2] for line in step)) / DAY / days)
            for step in steps.values()
        )
    for hours in counts.windows_hours:
        values[f"n_last_{hours}h"] = sum(
            line[3] for line in known if (line[1] // grid + 1) * grid > at - hours * HOUR
        )
    if counts.recency:
        values["n_first_epoch_seconds"] = min(line[1] for line in known)
        values["n_last_epoch_seconds"] = last
    return values


def carried(row: dict, counts: Counts, at: int) -> dict:
    """A row as its reader sees it at the instant: decayed counts aged from the last event."""
    aged = {
        f"n_decayed_{days}d": row[f"n_decayed_{days}d"]
        * 2.0 ** (-(at - row["n_last_epoch_seconds"]) / DAY / days)
        for days in counts.half_lives_days
    }
    return {**row, **aged}


def instants(events: list[Event], counts: Counts) -> list[int]:
    """The grid instants around every event and around its leaving of every window, and one far later."""
    grid = counts.grid_seconds
    starts = {(BASE + event.second) // grid * grid for event in events}
    ends = {start + grid for start in starts}
    left = {
        end + hours * HOUR + late for end in ends for hours in counts.windows_hours for late in (-grid, 0)
    }
    return sorted(starts | ends | left | {FAR})


@pytest.mark.parametrize(("counts", "source"), KINDS)
@settings(max_examples=8, deadline=None)
@given(events=histories)
def test_every_instant_knows_what_counting_by_hand_knows(
    counts: Counts, source: str, events: list[Event]
) -> None:
    rows = counted(events, counts, source)
    assert not rows.duplicated([*counts.keys, "event_timestamp"]).any()
    keys = {"user_id": "ab", "item_id": "xy", "device": ["ios", "web", "unknown"]}
    combinations = [()]
    for name in counts.keys:
        combinations = [(*some, value) for some in combinations for value in keys[name]]
    for at in instants(events, counts):
        for key in combinations:
            found, expected = read(rows, key, counts.keys, at), by_hand(events, counts, key, at)
            if key == ("unknown",):
                expected = None
            assert (found is None) == (expected is None), (key, at)
            if found is not None and expected is not None:
                seen = {name: carried(found, counts, at)[name] for name in expected}
                assert seen == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True), (key, at)


@pytest.mark.parametrize(("counts", "source"), KINDS)
@settings(max_examples=8, deadline=None)
@given(events=histories, days=st.sets(st.sampled_from([1, 2, 3, 4, 40, 41, 42]), min_size=1))
def test_counting_that_stops_at_midnights_gives_the_rows_of_one_run(
    counts: Counts, source: str, events: list[Event], days: set[int]
) -> None:
    whole = counted(events, counts, source)
    connection = shop_of(events)
    rows = pd.DataFrame()
    bounds = [BASE - DAY, *(BASE + day * DAY for day in sorted(days)), FAR]
    for begin, end in pairwise(bounds):
        connection.execute("CREATE OR REPLACE TABLE all_events AS SELECT * FROM events_frame")
        connection.execute(
            "CREATE OR REPLACE TABLE events AS SELECT * FROM all_events "
            f"WHERE epoch(event_ts) >= {begin - DAY} AND epoch(event_ts) < {end}"
        )
        lines = create_visits(connection, since=at_second(begin))[source]
        parts = {}
        if len(rows):
            newest = rows.groupby(list(counts.keys), as_index=False).tail(1)
            connection.register("state_rows", newest)
            connection.register("earlier_rows", rows)
            parts = {"state": connection.table("state_rows"), "expiring": connection.table("earlier_rows")}
        new = count_changes(lines, counts, until=at_second(end), since=at_second(begin), **parts)
        rows = in_order(pd.concat([rows, new.df()], ignore_index=True), counts)
    exact = [name for name in whole.columns if "decayed" not in name]
    pd.testing.assert_frame_equal(rows[exact], whole[exact], check_exact=True, check_dtype=False)
    pd.testing.assert_frame_equal(rows, whole, rtol=1e-12, check_dtype=False)


@pytest.mark.parametrize(("counts", "source"), KINDS)
@settings(max_examples=4, deadline=None)
@given(events=histories)
def test_later_knowledge_never_changes_what_an_earlier_instant_reads(
    counts: Counts, source: str, events: list[Event]
) -> None:
    later = counted(events, counts, source)
    for at in instants(events, counts)[-8::2]:
        then = counted(events, counts, source, at)
        known = later[later["event_timestamp"] <= pd.Timestamp(at, unit="s", tz="UTC")]
        exact = [name for name in known.columns if "decayed" not in name]
        pd.testing.assert_frame_equal(
            then[exact], known[exact].reset_index(drop=True), check_exact=True, check_dtype=False
        )


def test_bits_of_sums_do_not_depend_on_what_came_later_or_on_other_keys() -> None:
    rng = np.random.default_rng(5)
    count = 20_000
    events = [
        Event(f"k{user}", "x", f"s{session}", int(second), kind, "web", int(cents))
        for user, session, second, kind, cents in zip(
            rng.integers(0, 12, count),
            rng.integers(0, 4_000, count),
            rng.integers(0, 300 * DAY, count),
            rng.choice(sorted(WEIGHTS), count),
            rng.integers(0, 9_999, count),
            strict=True,
        )
    ]
    at = BASE + 200 * DAY
    later = counted(events, OF_USERS, "visits")
    later = later[later["event_timestamp"] <= pd.Timestamp(at, unit="s", tz="UTC")].reset_index(drop=True)
    now = counted(events, OF_USERS, "visits", at)
    exact = [name for name in now.columns if "decayed" not in name]
    pd.testing.assert_frame_equal(now[exact], later[exact], check_exact=True)
    pd.testing.assert_frame_equal(now, later, rtol=1e-12)
    alone = counted([event for event in events if event.user == "k7"], OF_USERS, "visits", at)
    beside = later[later["user_id"] == "k7"].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone[exact], beside[exact], check_exact=True)


def test_a_session_counts_from_its_first_event_on_and_once() -> None:
    def event(session: str, second: int, kind: str, cents: int = 0) -> Event:
        return Event("a", "x", session, second, kind, "web", cents)

    events = [
        event("s0", 30, "view"),
        event("s0", 40, "add_to_cart"),
        event("s0", HOUR + 30, "view"),
        event("s0", 2 * HOUR + 30, "purchase", 950),
        event("s1", 2 * HOUR + 60, "purchase", 50),
    ]
    rows = counted(events, OF_USER_ITEMS, "item_visits")
    assert rows["n_sessions"].tolist() == [0.4, 0.4, 2.0]
    assert rows["n_visits"].tolist() == [1, 1, 2]
    assert rows["n_first_epoch_seconds"].tolist() == [BASE + 30] * 3
    assert rows["n_previous_epoch_seconds"].iloc[:2].isna().all()
    assert rows["n_previous_epoch_seconds"].iloc[2] == BASE + 30


def test_a_session_seen_again_after_a_day_of_silence_is_a_new_one() -> None:
    events = [Event("a", "x", "s0", second, "purchase", "web", 0) for second in (0, 20 * HOUR, 50 * HOUR)]
    rows = counted(events, OF_USERS, "visits")
    with_events = rows[rows["n_gained"].gt(0) | ~rows["n_visits"].duplicated()]
    assert with_events["n_visits"].tolist() == [1, 2]


def test_sums_of_money_are_exact() -> None:
    events = [Event("a", "x", f"s{n}", n * HOUR, "purchase", "web", 10) for n in range(1_000)]
    amounts = counted(events, OF_USERS, "visits")["n_amount"].drop_duplicates()
    assert amounts.tolist() == [round(0.1 * (n + 1), 1) for n in range(1_000)]


def test_a_decayed_count_outlives_a_thousand_half_lives() -> None:
    events = [Event("a", "x", f"s{n}", n * DAY, "purchase", "web", 0) for n in (0, 900, 901)]
    counts = Counts(("user_id",), "n", half_lives_days=(1,))
    newest = counted(events, counts, "visits", BASE + 1_000 * DAY).iloc[-1]
    assert newest["n_decayed_1d"] == pytest.approx(1.5)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"half_lives_days == \(0,\), must be > 0"):
        Counts(("key",), "n", half_lives_days=(0,))
    with pytest.raises(ValueError, match="grid_seconds == 1000, must be a multiple of 900"):
        Counts(("key",), "n", grid_seconds=1000)
    with pytest.raises(ValueError, match="must be multiples of the grid"):
        Counts(("key",), "n", windows_hours=(1,), grid_seconds=DAY)
    relation = duckdb.connect().sql("SELECT 1 AS key")
    with pytest.raises(ValueError, match="must carry a time zone"):
        count_changes(relation, OF_USERS, until=datetime(2017, 3, 1))  # noqa: DTZ001


def test_the_rows_that_leave_meanwhile() -> None:
    day = utc_midnight(at_second(BASE + 5 * DAY))
    windows = OF_USERS.leaving(day, day + timedelta(days=1))
    assert [(window.start, window.end) for window in windows] == [
        (day - timedelta(hours=1), day + timedelta(hours=23)),
        (day - timedelta(hours=24), day),
    ]
    within = COARSE.leaving(day, day + timedelta(hours=5))
    assert [window.end for window in within] == [day, day - timedelta(days=1)]
