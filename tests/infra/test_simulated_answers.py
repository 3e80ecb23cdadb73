"""How the simulated market answers pushes: as its declared truth says, the same however often it is asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from small_simulation import SMALL, USERS, pushes_to

from features.contracts import EVENTS
from features.errors import KairosError, UsageError
from infra.sources.simulated.answers import answers, sale_chances
from infra.sources.simulated.days import date_of, instants
from infra.sources.simulated.diary import MarketDiary
from infra.sources.simulated.event_table import ARRIVES, item_id, numbers_of
from infra.sources.simulated.market import DESKTOP, PHONE, Market, market_of
from infra.sources.simulated.memory import PushMemory
from infra.sources.simulated.params import MarketParams, Truth
from infra.sources.simulated.source import SimulatedSource
from infra.sources.simulated.truth import most_frequent_daypart, plan_truth, push_truth
from infra.sources.simulated.visits import visits

DAY = 40
_STARTS = np.array([2, 7, 11, 15, 18, 21])  # an hour of each daypart


@pytest.fixture(scope="module")
def market() -> Market:
    return market_of(SMALL)


@pytest.fixture
def nothing(market: Market) -> PushMemory:
    return PushMemory.empty(market)


def as_frame(events: pa.Table) -> pd.DataFrame:
    return events.to_pandas().sort_values("event_id", ignore_index=True)


def happened(events: pd.DataFrame, pushes: pd.DataFrame, name: str) -> np.ndarray:
    return pushes["push_id"].isin(events.loc[events["event_type"] == name, "push_id"]).to_numpy()


def test_what_happens_is_as_probable_as_the_truth_says() -> None:
    """One push to each of many, who were never pushed: counts lie within four standard errors."""
    lively = market_of(
        replace(
            SMALL, users=8_000, truth=replace(SMALL.truth, open_base=-2.0, buy_base=-1.5, opt_out_base=0.01)
        )
    )
    rng, user = np.random.default_rng(5), np.arange(8_000)
    item, hour = rng.integers(SMALL.items, size=len(user)), rng.integers(8, 21, size=len(user))
    pushes, nothing = pushes_to(lively, user, item, day=DAY, hour=hour), PushMemory.empty(lively)
    truth = plan_truth(lively, pushes, nothing)
    events = answers(lively, pushes, nothing).to_pandas()
    assert happened(events, pushes, "push_sent").all()
    seen = truth["p_delivered"]
    expected = {
        "push_delivered": seen,
        "push_opened": seen * truth["p_open"],
        "push_dismissed": seen * (1 - truth["p_open"]) * SMALL.truth.dismissed,
        "purchase": seen * truth["p_purchase"],
        "opt_out": seen * truth["p_opt_out"],
        "complaint": seen * truth["p_complaint"],
    }
    for name, chance in expected.items():
        found = happened(events, pushes, name)
        for half in (chance >= chance.median(), chance < chance.median()):
            off = found[half].sum() - chance[half].sum()
            spread = np.sqrt((chance[half] * (1 - chance[half])).sum())
            assert abs(off) <= 4 * spread + 1e-9, (name, off, spread)
    assert happened(events, pushes, "purchase").sum() > 100


def test_a_push_of_several_items_sells_any_of_them_as_often_as_its_truth_says() -> None:
    lively = market_of(replace(SMALL, users=8_000, truth=replace(SMALL.truth, open_base=-1.0, buy_base=-1.5)))
    rng, user = np.random.default_rng(6), np.arange(8_000)
    pushes = pushes_to(lively, user, rng.integers(SMALL.items, size=len(user)), day=DAY)
    more = rng.integers(SMALL.items, size=(len(user), 4))
    both = zip(pushes["item_id"], more, strict=True)
    pushes["items"] = [[first, *map(item_id, rest)] for first, rest in both]
    nothing = PushMemory.empty(lively)
    chance = sale_chances(lively, pushes, nothing)
    found = happened(answers(lively, pushes, nothing).to_pandas(), pushes, "purchase")
    assert abs(found.sum() - chance.sum()) <= 4 * np.sqrt((chance * (1 - chance)).sum())
    alone = sale_chances(lively, pushes.assign(items=[[one] for one in pushes["item_id"]]), nothing)
    assert (chance >= alone).all() and chance.sum() > 1.1 * alone.sum()
    first = plan_truth(lively, pushes, nothing)
    assert alone == pytest.approx(first["p_delivered"] * first["p_purchase"])


def test_the_same_plan_has_the_same_answers_alone_or_among_others(
    market: Market, nothing: PushMemory
) -> None:
    pushes = pushes_to(market, np.arange(200), np.arange(200) % SMALL.items, day=DAY)
    whole = as_frame(answers(market, pushes, nothing))
    pd.testing.assert_frame_equal(as_frame(answers(market, pushes[::-1], nothing)), whole)
    some = pushes.iloc[50:90]
    expected = whole[whole["push_id"].isin(some["push_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(as_frame(answers(market, some, nothing)), expected)
    split = EVENTS.split(whole.drop(columns=ARRIVES), now=datetime(2026, 1, 1, tzinfo=UTC))
    assert len(split.accepted) == len(whole) == whole["event_id"].nunique()
    assert whole["push_id"].notna().all()


def test_pushes_of_late_tire_and_drive_away(market: Market, nothing: PushMemory) -> None:
    everyone = np.arange(SMALL.users)
    told = pushes_to(market, everyone, everyone % SMALL.items, day=DAY)
    before = nothing
    for back in (1, 2, 3):
        earlier = pushes_to(market, everyone, everyone % SMALL.items, day=DAY - back, name=f"d{back}-")
        delivered = earlier[["push_id", "user_id"]].assign(
            event_id=earlier["push_id"],
            event_ts=earlier["send_at"],
            event_type="push_delivered",
            item_id=None,
        )
        before = before.with_events(market, delivered)
    fresh, tired = plan_truth(market, told, nothing), plan_truth(market, told, before)
    assert (tired["p_open"] < fresh["p_open"]).all()
    assert (tired["p_opt_out"] > fresh["p_opt_out"]).all()
    rested = told.assign(send_at=told["send_at"] + pd.Timedelta(days=7))
    gap = plan_truth(market, rested, before)["p_open"] / plan_truth(market, rested, nothing)["p_open"]
    assert (gap > tired["p_open"] / fresh["p_open"]).all()


def test_whoever_leaves_or_never_agreed_gets_nothing(market: Market, nothing: PushMemory) -> None:
    user = np.flatnonzero(market.people.consents)[:20]
    pushes = pushes_to(market, user, user % SMALL.items, day=DAY)
    gone = pushes[["push_id", "user_id"]].assign(
        event_id="x" + pushes["push_id"],
        event_ts=pushes["send_at"] - timedelta(hours=1),
        event_type=["opt_out", "complaint"] * 10,
        item_id=None,
    )
    left = nothing.with_events(market, gone)
    assert (plan_truth(market, pushes, nothing)["p_delivered"] > 0.9).all()
    assert (plan_truth(market, pushes, left)["p_delivered"] == 0).all()
    assert set(as_frame(answers(market, pushes, left))["event_type"]) == {"push_sent"}
    silent = np.flatnonzero(~market.people.consents)[:20]
    others = pushes_to(market, silent, silent % SMALL.items, day=DAY)
    assert set(as_frame(answers(market, others, nothing))["event_type"]) == {"push_sent"}


def test_a_second_push_of_a_day_meets_whom_the_first_left_behind(nothing: PushMemory) -> None:
    angry = market_of(replace(SMALL, truth=Truth(opt_out_base=9.0, opt_out_most=1.0)))
    user = np.flatnonzero(angry.people.consents)[:30]
    first = pushes_to(angry, user, user % SMALL.items, day=DAY, hour=8, name="a")
    second = pushes_to(angry, user, user % SMALL.items, day=DAY, hour=20, name="b")
    events = as_frame(answers(angry, pd.concat([first, second], ignore_index=True), nothing))
    first_ones = events["push_id"].str.startswith("a")
    out = events.loc[(events["event_type"] == "opt_out") & first_ones, "user_id"]
    assert len(out) > 20
    reached = events[(events["event_type"] == "push_delivered") & ~first_ones]
    assert not set(reached["user_id"]) & set(out)


def test_what_a_push_sold_is_not_needed_for_a_while(market: Market, nothing: PushMemory) -> None:
    """The organic history changes after the purchase only, by needs of that kind alone."""
    days = range(SMALL.days)
    plain = visits(market, USERS, days, nothing).to_pandas()
    bought = plain[plain["event_type"] == "purchase"].drop_duplicates("user_id")
    sold = bought.assign(event_id="s" + bought["event_id"], push_id="p", event_ts=bought["event_ts"].min())
    memory = nothing.with_events(market, sold)
    after = visits(market, USERS, days, memory).to_pandas()
    missing = plain[~plain["event_id"].isin(after["event_id"])]
    assert after["event_id"].isin(plain["event_id"]).all()
    lines = missing[missing["event_type"] == "purchase"]
    assert len(lines) > 20
    assert (lines["event_ts"] > sold["event_ts"].min()).all()
    kind = market.goods.kind
    pairs = {tuple(one) for one in zip(sold["user_id"], kind[numbers_of(sold["item_id"], 120)], strict=True)}
    assert {
        tuple(one) for one in zip(lines["user_id"], kind[numbers_of(lines["item_id"], 120)], strict=True)
    } <= pairs
    soon = sold.assign(send_at=sold["event_ts"] + pd.Timedelta(hours=1), device="unknown")
    needs, without = (plan_truth(market, soon, one) for one in (memory, nothing))
    assert (needs["p_purchase"] <= without["p_purchase"]).all()
    assert (needs["p_purchase"] < without["p_purchase"]).mean() > 0.5


def _choices(market: Market, users: np.ndarray) -> np.ndarray:
    """True P(purchase) of every item, hour of a daypart and device: users x items x 6 x 2."""
    items, hands = np.arange(SMALL.items), np.array([PHONE, DESKTOP])
    user, item, part, hand = (
        one.ravel() for one in np.meshgrid(users, items, np.arange(6), hands, indexing="ij")
    )
    at = instants(market.params, market.people.place[user], np.full(len(user), DAY), _STARTS[part] * 3600)
    truth = push_truth(market, user, item, at, hand, PushMemory.empty(market))
    return truth["p_purchase"].to_numpy().reshape(len(users), len(items), 6, 2)


def test_time_scene_and_item_pay_more_together_than_one_by_one(market: Market) -> None:
    """The gain a joint policy can have over item-only at the most frequent daypart is known, and large."""
    users = np.flatnonzero(market.people.consents)[:100]
    chance, row = _choices(market, users), np.arange(len(users))
    joint = chance.reshape(len(users), -1).max(axis=1).mean()
    item = chance.mean(axis=(2, 3)).argmax(axis=1)
    part = most_frequent_daypart(market)[users]
    apart = chance[row, item, part].mean(axis=1).mean()
    timed = chance[row, item].max(axis=(1, 2)).mean()
    assert joint > 1.3 * apart
    assert joint > timed > apart


def test_rates_are_those_of_real_pushes(market: Market, nothing: PushMemory) -> None:
    """Of a plain policy: each user's most bought item, when the user mostly comes."""
    rows = visits(market, USERS, range(DAY), nothing).to_pandas()
    bought = rows[rows["event_type"] == "purchase"]
    top = bought.groupby("user_id")["item_id"].agg(lambda items: items.value_counts().index[0])
    user = numbers_of(top.index.to_series(), SMALL.users)
    hour = _STARTS[most_frequent_daypart(market)[user]]
    truth = plan_truth(market, pushes_to(market, user, numbers_of(top, 120), day=DAY, hour=hour), nothing)
    assert 0.03 < truth["p_open"].mean() < 0.15
    assert 0.005 < truth["p_purchase"].mean() < 0.04
    assert 0 < truth["p_complaint"].mean() < truth["p_opt_out"].mean() < 0.01


def test_the_diary_turns_back_forgets_and_lives_again(
    tmp_path: Path, market: Market, nothing: PushMemory
) -> None:
    source = SimulatedSource(SMALL, tmp_path)
    diary, first = source.diary, source.diary.today
    assert first == date_of(SMALL, SMALL.days)
    events = answers(market, pushes_to(market, np.arange(90), np.arange(90), day=SMALL.days), nothing)
    seen = [source.fingerprint()]
    diary.write_day(first, events)
    assert diary.today == first + timedelta(days=1)
    seen.append(source.fingerprint())
    assert len(source.memory().pushed) == (np.asarray(events["event_type"]) == "push_delivered").sum() > 0
    diary.turn_to(first)
    assert source.fingerprint() == seen[0] != seen[1]
    assert len(source.memory().pushed) == 0
    diary.write_day(first, events)
    assert source.fingerprint() == seen[1]
    with pytest.raises(UsageError, match="one after the other"):
        diary.turn_to(first + timedelta(days=2))
    with pytest.raises(KairosError, match="another market"):
        _ = MarketDiary(MarketParams(users=11), tmp_path).today


def test_answers_reach_the_platform_once_their_day_is_over(
    tmp_path: Path, market: Market, nothing: PushMemory
) -> None:
    """Late ones later; and nothing that was told before changes."""
    source = SimulatedSource(SMALL, tmp_path)
    before = pa.concat_tables(source.read("events")).to_pandas()
    everyone = np.arange(SMALL.users)
    source.diary.write_day(
        source.diary.today,
        answers(market, pushes_to(market, everyone, everyone % 120, day=SMALL.days, hour=9), nothing),
    )
    after = pa.concat_tables(source.read("events")).to_pandas()
    assert before["event_id"].isin(after["event_id"]).all()
    told = after[after["push_id"].notna()]
    assert 0.9 * SMALL.users < told["push_id"].nunique() <= SMALL.users
    assert after["event_ts"].max() < pd.Timestamp(date_of(SMALL, SMALL.days + 1), tz="Europe/Berlin")
