"""Trending, new items, onboarding, facet neighbours and the expected: literal readings of their formulas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.errors import UsageError
from models.candidates.expected import Expected
from models.candidates.facet_neighbours import FacetNeighbours
from models.candidates.neighbours import UserNeighbours
from models.candidates.new_items import NewItems
from models.candidates.onboarding import Onboarding
from models.candidates.personal import Personal
from models.candidates.promoted import Promoted
from models.candidates.repurchase import Repurchase
from models.candidates.taste import Tastes
from models.candidates.trending import Trending
from models.interaction_log import InteractionLog

DAY = 86_400
FIT = 42 * DAY
NO_TASTE = 1e12


def scored(retriever, log, queries):
    codes = log.encode(queries)
    return retriever.fit(log.before(FIT)).scores(codes, log.expand(codes)).toarray()


def decayed(market, items, half_life):
    early = market[market["epoch_seconds"] < FIT]
    weight = 0.5 ** ((FIT - early["epoch_seconds"]) / DAY / half_life)
    return weight.groupby(early["item_id"]).sum().reindex(items, fill_value=0.0).to_numpy()


def test_trending(market, market_log, market_queries):
    found = scored(Trending(5.0, 30.0, 2.0, 1.5, taste_shrinkage=NO_TASTE), market_log, market_queries)
    short, long = (decayed(market, market_log.items.values, days) for days in (5.0, 30.0))
    trend = (short + 2) / (short.sum() * long / long.sum() + 2)
    wanted = np.where(trend > 1, short * trend**1.5, 0)
    assert 0 < (wanted > 0).sum() < 14
    np.testing.assert_allclose(found, np.tile(wanted, (len(market_queries), 1)), rtol=1e-3)


def test_taste_reorders_what_trends(market_log, market_queries):
    plain = scored(Trending(5.0, 30.0, taste_shrinkage=NO_TASTE), market_log, market_queries)
    tasted = scored(Trending(5.0, 30.0, taste_shrinkage=1.0), market_log, market_queries)
    codes = market_log.encode(market_queries)
    known = market_log.before(FIT)
    taste = Tastes.of(known, 1.0, 180.0).of_items(market_log.expand(codes))
    np.testing.assert_allclose(tasted, plain * taste, rtol=1e-3)


def test_new_items_are_young_by_the_shop_or_by_their_first_sale(market_queries, market, shop):
    late = market[~((market["item_id"] == "i05") & (market["epoch_seconds"] < 30 * DAY))]
    log = InteractionLog.from_frame(late).restricted_to(np.unique(market["item_id"])).with_shop(shop)
    params = NewItems(young_days=20.0, prior_days=3.0, taste_shrinkage=NO_TASTE)
    found = scored(params, log, market_queries)
    assert (found > 0).any(axis=0).nonzero()[0].tolist() == [2, 5]  # i02 as the shop says, i05 as sold
    known = log.before(FIT)
    age = params.ages(known)
    assert age[2] == 12.0
    first = late.loc[late["item_id"] == "i05", "epoch_seconds"].min()
    assert age[5] == pytest.approx((FIT - first) / DAY)
    assert np.isinf(np.delete(age, [2, 5])).all()  # sold from the log's start: they may be older than it
    sold = np.bincount(known.item, minlength=14)[[2, 5]]
    velocity = (sold + 3 * sold.sum() / age[[2, 5]].sum()) / (age[[2, 5]] + 3)
    np.testing.assert_allclose(found[0, [2, 5]], velocity, rtol=1e-4)


def test_an_item_yet_to_come_is_not_new(market_log, market_queries, shop):
    created = shop.created.copy()
    created[2] = FIT + DAY
    log = market_log.with_shop(replace(shop, created=created))
    assert not scored(NewItems(20.0), log, market_queries).any()


def test_onboarding(market, shop_log, shop, market_queries):
    queries = market_queries.assign(cutoff_epoch_seconds=8 * DAY)
    found = scored(Onboarding(max_baskets=1, half_life_days=10.0, shrinkage=4.0), shop_log, queries)
    codes = shop_log.encode(queries)
    thin = shop_log.expand(codes).n_baskets <= 1
    assert 0 < thin.sum() < len(queries)
    assert not found[~thin].any()
    early = market[market["epoch_seconds"] < FIT]
    weight = 0.5 ** ((FIT - early["epoch_seconds"]) / DAY / 10)
    items = shop_log.items.values
    share = weight.groupby(early["item_id"]).sum().reindex(items, fill_value=0.0)
    share /= share.sum()
    user = shop_log.users.codes(early["user_id"])
    for place in np.flatnonzero(thin):
        who, query = codes.user[place], queries.iloc[place]
        region, segment = (shop.user_region[who], shop.user_segment[who]) if who >= 0 else (-1, -1)
        parts = [
            (shop.user_region[user] == region) & (region >= 0),
            (shop.user_segment[user] == segment) & (segment >= 0),
            (early["store_id"] == query["store_id"]).to_numpy(),
            (early["daypart"] == query["daypart"]).to_numpy(),
        ]
        wanted = share.copy()
        for rows in parts:
            here = weight[rows].groupby(early["item_id"][rows]).sum().reindex(items, fill_value=0.0)
            wanted *= (here / share + 4) / (here.sum() + 4)
        np.testing.assert_allclose(found[place], wanted, rtol=1e-3)


def test_facets_not_items_make_users_alike():
    """Two who buy the same categories at the same times are neighbours without an item in common."""
    rows = [
        (user, item, category, part, day)
        for user, item, category, part in (
            ("asks", "rye", "bread", "morning"),
            ("alike", "bun", "bread", "morning"),
            ("other", "soap", "bath", "evening"),
        )
        for day in range(0, 40, 4)
    ]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "category", "daypart", "day"])
    log = InteractionLog.from_frame(
        frame.assign(
            event_type="purchase",
            store_id="m",
            session_id=frame["user_id"] + frame["day"].astype(str),
            epoch_seconds=frame["day"] * DAY,
            local_day=frame["day"],
            local_weekday=(frame["day"] + 3) % 7,
            local_midnight_epoch_seconds=frame["day"] * DAY,
        )
    )
    asked = log.encode(
        pd.DataFrame(
            {
                "user_id": ["asks", "a stranger"],
                "store_id": "m",
                "daypart": "morning",
                "weekday": 0,
                "cutoff_epoch_seconds": log.known_until,
                "fit_epoch_seconds": log.known_until,
            }
        )
    )
    found = FacetNeighbours(neighbours=1).fit(log).scores(asked, log.expand(asked)).toarray()
    assert found[0].nonzero()[0].tolist() == log.items.codes(["bun"]).tolist()
    assert not found[1].any()


@pytest.mark.parametrize("with_shop", [True, False])
def test_expected(market_log, shop_log, market_queries, with_shop):
    log = shop_log if with_shop else market_log
    params = Expected((UserNeighbours(3), Personal(20.0)), Promoted(min_lift=0.0), place_share=0.5)
    found = scored(params, log, market_queries)
    codes = log.encode(market_queries)
    histories = log.expand(codes)
    fitted = params.context.fit(log.before(FIT))

    def shares(scores):
        return scores / np.maximum(scores.sum(axis=1, keepdims=True), 1e-12)

    alike = sum(shares(scored(one, log, market_queries)) for one in params.alike) / 2
    lifts = fitted.announced.lifts(codes).toarray()
    wanted = alike + 0.5 * shares(fitted.place_rates(codes, histories))
    np.testing.assert_allclose(found, wanted * np.where(lifts > 0, lifts, 1), rtol=1e-3)
    assert (lifts > 0).any() == with_shop


ALL = [
    Repurchase(),
    Promoted(min_lift=0.0),
    Expected((UserNeighbours(3),)),
    FacetNeighbours(neighbours=3),
    Trending(),
    NewItems(young_days=15.0),
    Onboarding(max_baskets=20),
]


@pytest.mark.parametrize("retriever", ALL, ids=lambda one: one.name)
def test_what_comes_after_the_cutoff_changes_nothing(market, shop_log, shop, market_queries, retriever):
    cutoff = market_queries["cutoff_epoch_seconds"].min()
    known = market[market["epoch_seconds"] < cutoff]
    future = market.assign(
        epoch_seconds=market["epoch_seconds"] + 60 * DAY, session_id="later-" + market["session_id"]
    )
    at_cutoff = market[:9].assign(epoch_seconds=cutoff, session_id="at the cut-off")
    queries = market_queries.assign(cutoff_epoch_seconds=cutoff)
    late = pd.concat([known, at_cutoff, future], ignore_index=True)
    before, after = (
        scored(
            retriever,
            InteractionLog.from_frame(frame).restricted_to(shop_log.items.values).with_shop(shop),
            queries,
        )
        for frame in (known, late)
    )
    assert before.any()
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("retriever", ALL, ids=lambda one: one.name)
def test_an_empty_past_scores_without_failing(shop_log, market_queries, retriever):
    nothing = shop_log.before(0)
    codes = nothing.encode(market_queries)
    found = retriever.fit(nothing).scores(codes, nothing.expand(codes))
    assert found.shape == (len(market_queries), 14)
    assert np.isfinite(found.toarray()).all()
    assert (found.toarray() >= 0).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Trending(short_days=60.0), "short_days == 60.0"),
        (lambda: NewItems(young_days=0), "young_days == 0"),
        (lambda: Onboarding(shrinkage=0), "shrinkage == 0"),
        (lambda: FacetNeighbours(0, 0, 0), "facet weights"),
        (lambda: Expected(place_share=-1), "place_share == -1"),
    ],
)
def test_parameters_are_bounded(make, message):
    with pytest.raises(UsageError, match=message):
        make()
