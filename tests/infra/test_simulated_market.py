"""The simulated market's people, goods and visits: the same however asked, and of the contract's shape."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from small_simulation import SMALL, USERS

from features.calendar import local_times
from features.contracts import CONTRACTS, EVENTS
from features.errors import UsageError
from infra.sources import is_simulated, open_market, open_source
from infra.sources.simulated.days import day_number, instants, wall_clock, whole_seconds
from infra.sources.simulated.defects import SPOILT
from infra.sources.simulated.event_table import numbers_of
from infra.sources.simulated.kinds import KINDS
from infra.sources.simulated.market import Market, market_of
from infra.sources.simulated.memory import PushMemory
from infra.sources.simulated.needs import needs_due, pressure
from infra.sources.simulated.params import MarketParams
from infra.sources.simulated.places import PLACES
from infra.sources.simulated.promotions import discount_of
from infra.sources.simulated.source import SimulatedSource
from infra.sources.simulated.visits import visits

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def market() -> Market:
    return market_of(SMALL)


@pytest.fixture(scope="module")
def history(market: Market) -> pa.Table:
    """All visits, asked for at once."""
    return visits(market, USERS, range(SMALL.days), PushMemory.empty(market))


@pytest.fixture(scope="module")
def events(history: pa.Table) -> pd.DataFrame:
    """The good rows, each once."""
    rows = history.to_pandas().drop_duplicates("event_id", ignore_index=True)
    return rows[~rows["event_id"].str.startswith(SPOILT)].reset_index(drop=True)


def _sorted(table: pa.Table) -> pd.DataFrame:
    return table.to_pandas().sort_values(["event_id"], ignore_index=True, kind="stable")


def test_rows_are_the_same_in_any_chunks_and_order(market: Market, history: pa.Table) -> None:
    nothing = PushMemory.empty(market)
    pieces = [
        visits(market, users, days, nothing)
        for days in (range(41, 56), range(13), range(13, 14), range(14, 41))
        for users in (range(100, 240), range(100))
    ]
    pd.testing.assert_frame_equal(_sorted(pa.concat_tables(pieces)), _sorted(history))


def test_another_seed_is_another_market(history: pa.Table) -> None:
    other = market_of(replace(SMALL, seed=8))
    assert not visits(other, USERS, range(SMALL.days), PushMemory.empty(other)).equals(history)


def test_more_users_change_nobody(events: pd.DataFrame) -> None:
    more = market_of(replace(SMALL, users=300))
    first = visits(more, USERS, range(7), PushMemory.empty(more)).to_pandas()
    days = events[events["event_id"].isin(first["event_id"])]
    assert set(first["event_id"].drop_duplicates()) - set(days["event_id"]) == {
        name for name in first["event_id"] if name.startswith(SPOILT)
    }


def test_contracts_take_everything_but_what_is_spoilt(history: pa.Table) -> None:
    split = EVENTS.split(history.to_pandas(), now=NOW)
    spoilt = sum(name.startswith(SPOILT) for name in history["event_id"].to_pylist())
    assert len(split.quarantined) == spoilt
    assert set(split.quarantined["reason"]) <= {"unknown event_type", "negative amount"}
    assert len(split.accepted) + spoilt + split.repeats == len(history)
    source = SimulatedSource(SMALL)
    for name in ("users", "items", "promotions"):
        for chunk in source.read(name):
            table = CONTRACTS[name].split(chunk, now=NOW)
            assert len(table.accepted) == len(chunk) > 0
            assert table.degraded == ()


def test_defects_come_at_the_declared_rates(market: Market, history: pa.Table) -> None:
    rates, rows = SMALL.defects, history.to_pandas()
    late = (rows["arrives_at"] - rows["event_ts"]).dt.total_seconds() / 3600
    assert late.max() <= rates.late_hours
    shares = {
        rates.late: (late > 0).mean(),
        rates.repeated: rows["event_id"].duplicated().mean(),
        rates.broken: rows["event_id"].str.startswith(SPOILT).mean(),
    }
    for declared, found in shares.items():
        assert abs(found - declared) < 4 * (declared / len(rows)) ** 0.5, (declared, found)
    sound = market_of(replace(SMALL, defects=replace(rates, lost=0.0)))
    whole = len(visits(sound, USERS, range(SMALL.days), PushMemory.empty(sound)))
    lost = 1 - len(rows) / whole
    assert abs(lost - rates.lost) < 4 * (rates.lost / whole) ** 0.5


def test_late_events_arrive_once_their_time_has_come() -> None:
    early, later = (
        pa.concat_tables(SimulatedSource(replace(SMALL, days=days)).read("events")).to_pandas()
        for days in (28, 35)
    )
    end = early["event_ts"].max()
    came = later[(later["event_ts"] <= end) & ~later["event_id"].isin(early["event_id"])]
    assert 0 < len(came) < 0.01 * len(early)
    assert early["event_id"].isin(later["event_id"]).all()


def test_people_come_at_their_own_local_hours(market: Market, events: pd.DataFrame) -> None:
    """Also where the zone is off by half an hour, and across the spring's change of clocks."""
    opened = events[events["event_type"] == "app_open"]
    user = numbers_of(opened["user_id"], SMALL.users)
    zones = pd.Series([PLACES[place].timezone for place in market.people.place[user]], index=opened.index)
    local = local_times(opened["event_ts"], zones)
    expected = market.people.rhythm[user].mean(axis=1)[np.arange(len(user)), local["local_hour"]]
    assert np.log(24 * expected).mean() > 0.3  # at evenly spread hours it is below 0
    assert {"Asia/Kolkata", "Australia/Adelaide", "America/New_York"} <= set(zones)


@pytest.mark.parametrize("day", [date(2024, 3, 10), date(2024, 3, 31), date(2024, 10, 6), date(2024, 10, 27)])
def test_wall_clocks_and_instants_agree_but_where_an_hour_is_missing(day: date) -> None:
    place = np.repeat(np.arange(len(PLACES)), 24)
    second = np.tile(np.arange(24) * 3600, len(PLACES))
    number = np.full(len(place), day_number(SMALL, day))
    told_day, told = wall_clock(SMALL, place, instants(SMALL, place, number, second))
    assert (told_day == number).all()
    assert np.isin(np.abs(told - second), (0, 3600)).all()
    assert (told != second).sum() <= 3  # an hour that three places skip


def test_nothing_is_sold_before_its_launch_or_after_its_end() -> None:
    market = market_of(replace(SMALL, launched=0.4, withdrawn=0.4))
    rows = visits(market, USERS, range(28), PushMemory.empty(market)).to_pandas()
    bought = rows[rows["event_type"] == "purchase"]
    item, user = numbers_of(bought["item_id"], SMALL.items), numbers_of(bought["user_id"], SMALL.users)
    seconds = whole_seconds(bought["event_ts"])
    day, _ = wall_clock(market.params, market.people.place[user], seconds - 1800)
    assert market.goods.sold(item, day).mean() > 0.99  # a basket may be paid after midnight
    assert (market.goods.launched_day[item] <= day + 1).all()
    assert (market.goods.withdrawn_day[item] > day).all()


def test_discounts_sell(market: Market, events: pd.DataFrame) -> None:
    bought = events[events["event_type"] == "purchase"]
    item, user = numbers_of(bought["item_id"], SMALL.items), numbers_of(bought["user_id"], SMALL.users)
    day, _ = wall_clock(SMALL, market.people.place[user], whole_seconds(bought["event_ts"]))
    store, kind = market.people.store[user], market.goods.kind
    other = np.random.default_rng(1).permutation(item)  # as popular, on days not chosen for it
    off = [(discount_of(SMALL, kind, store, one, np.clip(day, 0, 55)) > 0).mean() for one in (item, other)]
    assert off[0] > 1.3 * off[1]


def test_kinds_are_bought_at_their_hours(events: pd.DataFrame, market: Market) -> None:
    bought = events[events["event_type"] == "purchase"]
    path = [KINDS[market.goods.kind[item]].path for item in numbers_of(bought["item_id"], SMALL.items)]
    user = numbers_of(bought["user_id"], SMALL.users)
    zones = pd.Series([PLACES[place].timezone for place in market.people.place[user]], index=bought.index)
    morning = local_times(bought["event_ts"], zones)["local_hour"].between(5, 10)
    share = morning.groupby(pd.Series(path, index=bought.index)).mean()
    assert share["food > breakfast > coffee"] > 1.5 * share["food > snacks > crisps"]


def test_needs_come_back_at_each_households_interval(market: Market) -> None:
    user, kind, _, due = needs_due(market, USERS, 0.0, 1000.0)
    counts = pd.Series(due).groupby([user, kind]).size()
    every = market.people.interval_days[tuple(np.array(counts.index.to_list()).T)]
    assert (np.abs(counts - 1000.0 / every) <= 2).all()
    at = np.array([200.0])
    one, of = user[:1], kind[:1]
    last = due[(user == one) & (kind == of) & (due <= at)].max()
    next_one = due[(user == one) & (kind == of) & (due > at)].min()
    assert pressure(market, one, of, at) == pytest.approx((at - last) / (next_one - last))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("simulated:user=5", "names 'user'"),
        ("simulated:users=3", "users == '3'"),
        ("simulated:days=x", "'x'"),
    ],
)
def test_a_market_that_cannot_be_is_a_usage_error(spec: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        open_source(spec)


def test_a_specification_names_its_market() -> None:
    source = open_market("simulated:users=50,seed=3", None)
    assert (source.market.params, source.name) == (
        MarketParams(users=50, seed=3),
        "simulated:seed=3,users=50",
    )
    assert is_simulated(source.name) and "no real" in source.notes()[0]
    with pytest.raises(UsageError, match="not simulated"):
        open_market("sql:postgresql://me:secret@host/shop", None)


def test_nobody_comes_before_signing_up_and_nothing_is_sold_before_it_is_listed() -> None:
    source = SimulatedSource(replace(SMALL, newcomers=0.6, launched=0.4))
    events = pa.concat_tables(source.read("events")).to_pandas()
    events = events[~events["event_id"].str.startswith(SPOILT)]
    for table, key, since in (("users", "user_id", "signup_ts"), ("items", "item_id", "created_ts")):
        known = pd.concat(source.read(table)).set_index(key)[since]
        told = events[events[key].notna()]
        assert told[key].isin(known.index).all()
        assert (told["event_ts"] >= told[key].map(known)).all()
    assert len(pd.concat(source.read("users"))) < SMALL.users
