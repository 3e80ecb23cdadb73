"""Occasions alike, basket sizes and kinds of things, against slow, literal readings of their formulas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.errors import UsageError
from models.candidates.basket_size import BasketSize
from models.candidates.kinds import Kinds
from models.candidates.occasion import Occasion
from models.interaction_log import InteractionLog

DAY = 86_400
FIT = 42 * DAY
PLACE = {"night": 0, "morning": 1, "midday": 2, "afternoon": 3, "evening": 4, "late": 5}


def scored(retriever, log, queries) -> np.ndarray:
    codes = log.encode(queries)
    return retriever.fit(log.before(FIT)).scores(codes, log.expand(codes)).toarray()


def past_of(market, query) -> list[dict]:
    """The user's earlier baskets: age in days, store, daypart, weekday, items."""
    own = market[
        (market["user_id"] == query.user_id) & (market["epoch_seconds"] < query.cutoff_epoch_seconds)
    ]
    return [
        {
            "age": (query.cutoff_epoch_seconds - basket["epoch_seconds"].iloc[0]) / DAY,
            "store": basket["store_id"].iloc[0],
            "daypart": basket["daypart"].iloc[0],
            "weekday": basket["local_weekday"].iloc[0],
            "items": sorted(set(basket["item_id"])),
        }
        for _, basket in own.groupby("session_id")
    ]


def same_store(basket, query) -> bool:
    return query.store_id in (basket["store"], "m3")  # nothing is known of m3


def likeness(basket, query) -> float:
    apart = abs(PLACE[basket["daypart"]] - PLACE[query.daypart])
    like = 1.0 if same_store(basket, query) else 0.3
    like *= (1.0, 0.7, 0.5, 0.4)[min(apart, 6 - apart)]
    return like * (1.0 if (basket["weekday"] >= 5) == (query.weekday >= 5) else 0.8)


def weight(kind, basket, query) -> float:
    if kind == "any":
        return 0.5 ** (basket["age"] / 60)
    if kind == "alike":
        return 0.5 ** (basket["age"] / 60) * likeness(basket, query)
    same = same_store(basket, query)
    same &= kind == "store" or basket["daypart"] == query.daypart
    return 0.5 ** (basket["age"] / 180) * same


def share(kind, baskets, query, item) -> float:
    prior = 0.0 if kind == "any" else share("any", baskets, query, item)
    held = sum(weight(kind, basket, query) for basket in baskets if item in basket["items"])
    return (held + 2 * prior) / (sum(weight(kind, basket, query) for basket in baskets) + 2)


@pytest.fixture
def asked(market_queries) -> pd.DataFrame:
    # The random market's users keep to one store; here they also ask elsewhere, and at weekends.
    return market_queries.assign(weekday=[place % 7 for place in range(len(market_queries))])


@pytest.mark.parametrize("kind", ["any", "store", "store_daypart", "alike"])
def test_the_share_of_baskets_alike(market, market_log, asked, kind) -> None:
    found = scored(Occasion(kind), market_log, asked)
    for row, query in zip(found, asked.itertuples(), strict=True):
        baskets = past_of(market, query)
        bought = {item for basket in baskets for item in basket["items"]}
        for place, item in enumerate(market_log.items.values):
            wanted = share(kind, baskets, query, item) if item in bought else 0.0
            assert row[place] == pytest.approx(wanted, rel=1e-4), (query, item)


def test_a_query_without_a_store_counts_every_basket(market_log, asked) -> None:
    nowhere = asked.assign(store_id="unknown")
    found = scored(Occasion("store", half_life_days=60.0), market_log, nowhere)
    fine = scored(Occasion("any"), market_log, nowhere)
    assert (found[fine > 0] > fine[fine > 0]).all()  # the same baskets, shrunk to their own share, not to 0


def test_a_part_of_the_scene_that_differs_counts_for_less(market, asked) -> None:
    device = market["session_id"].map(lambda name: ("phone", "tablet")[int(name[-1]) % 2])
    log = InteractionLog.from_frame(market.assign(device=device))
    phone, tablet = (scored(Occasion(), log, asked.assign(device=one)) for one in ("phone", "tablet"))
    untold = scored(Occasion(), log, asked)
    assert not np.allclose(phone, tablet)
    assert ((untold >= np.minimum(phone, tablet) - 0.05) & (untold <= np.maximum(phone, tablet) + 0.05)).all()


def test_how_large_baskets_are(market, market_log, asked) -> None:
    early = (
        market[market["epoch_seconds"] < FIT]
        .groupby("session_id")["item_id"]
        .agg(lambda one: sorted(set(one)))
    )
    usual = float(np.log(early.map(len)).mean())
    items = scored(BasketSize("item"), market_log, asked)
    for place, item in enumerate(market_log.items.values):
        sizes = [np.log(len(basket)) for basket in early if item in basket]
        assert items[0, place] == pytest.approx(1 + (sum(sizes) + 20 * usual) / (len(sizes) + 20), rel=1e-5)
    found = scored(BasketSize(), market_log, asked)
    assert (found == found[:, :1]).all()
    for row, query in zip(found[:, 0], asked.itertuples(), strict=True):
        baskets = past_of(market, query)
        sizes = np.log([len(basket["items"]) for basket in baskets])

        def mean(weights, prior, sizes=sizes):
            return (np.dot(weights, sizes) + 2 * prior) / (np.sum(weights) + 2)

        ever = mean([weight("any", basket, query) for basket in baskets], usual)
        wanted = mean([weight("alike", basket, query) for basket in baskets], ever)
        assert row == pytest.approx(1 + wanted, rel=1e-4)


def test_kinds_of_things(market, asked) -> None:
    deep = market.assign(
        category="food > " + market["category"].str[1].map({"0": "a", "1": "a"}).fillna("b") + " > x"
    )
    log = InteractionLog.from_frame(deep)
    kinds = deep.drop_duplicates("item_id").set_index("item_id")["category"]
    found = scored(Kinds(2), log, asked)
    for row, query in zip(found, asked.itertuples(), strict=True):
        baskets = past_of(deep, query)
        everything = sum(0.5 ** (basket["age"] / 60) for basket in baskets)
        for place, item in enumerate(log.items.values):
            held = sum(
                0.5 ** (basket["age"] / 60)
                for basket in baskets
                if kinds[item] in {kinds[other] for other in basket["items"]}
            )
            assert row[place] == pytest.approx(held / (everything + 1), rel=1e-4)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Occasion(shrinkage=0),
        lambda: BasketSize(half_life_days=0),
        lambda: Kinds(depth=0),
    ],
)
def test_parameters_that_mean_nothing_are_refused(make) -> None:
    with pytest.raises(UsageError, match="must be > 0"):
        make()
