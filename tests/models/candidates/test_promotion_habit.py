"""Whether a promotion matters to a user: literal readings of the definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.errors import UsageError
from models.bought_on_promotion import bought_on_promotion
from models.candidates.promotion_habit import PromotionHabit

FIT = 42 * 86_400


def literally(log, shop) -> np.ndarray:
    found = []
    for user, item, store, time in zip(log.user, log.item, log.store, log.time, strict=True):
        there = (shop.promo_store == store) | ((shop.promo_store < 0) & (shop.promo_region < 0))
        there |= (shop.promo_store < 0) & (shop.promo_region == shop.user_region[user])
        there &= (shop.promo_store >= 0) | (shop.promo_region < 0) | (shop.user_region[user] >= 0)
        runs = (shop.promo_item == item) & (shop.promo_start <= time) & (time < shop.promo_end)
        found.append(float((there & runs).any()))
    return np.where(log.time < shop.promo_start.min(), np.nan, found)


def test_a_purchase_is_on_promotion_when_one_runs_then_and_there(shop_log, shop) -> None:
    wanted = literally(shop_log, shop)
    assert 0.05 < np.nanmean(wanted) < 0.95
    np.testing.assert_array_equal(shop_log.on_promotion, wanted)


def test_before_the_first_promotion_nothing_is_known_and_overlaps_count_once(shop_log, shop) -> None:
    # Longer promotions that begin earlier still run when a shorter one of the same item has ended.
    longer = replace(
        shop,
        promo_start=shop.promo_start + 20 * 86_400,
        promo_end=np.where(np.arange(len(shop.promo_end)) % 5, shop.promo_end, 60 * 86_400) + 20 * 86_400,
    )
    found = bought_on_promotion(shop_log, longer)
    assert 0 < np.isnan(found).sum() < len(found)
    np.testing.assert_array_equal(found, literally(shop_log, longer))


def test_cuts_of_a_log_keep_what_is_known(shop_log) -> None:
    early = shop_log.time < FIT
    np.testing.assert_array_equal(shop_log.before(FIT).on_promotion, shop_log.on_promotion[early])
    assert shop_log.with_shop(None).on_promotion is None


def test_the_share_of_an_item_is_shrunk_to_the_users_and_that_to_everyones(shop_log, market_queries) -> None:
    codes = shop_log.encode(market_queries)
    known, histories = shop_log.before(FIT), shop_log.expand(codes)
    found = PromotionHabit(2.0, 5.0).fit(known).scores(codes, histories).toarray()
    everyone = np.nanmean(known.on_promotion)
    for query in range(len(market_queries)):
        mine = histories.query == query
        promoted, items = histories.on_promotion[mine], histories.item[mine]
        told = ~np.isnan(promoted)
        usual = (np.nansum(promoted) + 5 * everyone) / (told.sum() + 5)
        for item in range(shop_log.n_items):
            of_item = told & (items == item)
            wanted = (promoted[of_item].sum() + 2 * usual) / (of_item.sum() + 2)
            assert found[query, item] == pytest.approx(wanted, rel=1e-4)


def test_without_promotions_there_is_no_opinion(market_log, market_queries) -> None:
    codes = market_log.encode(market_queries)
    fitted = PromotionHabit().fit(market_log.before(FIT))
    assert fitted.scores(codes, market_log.expand(codes)).nnz == 0
    with pytest.raises(UsageError, match="item_shrinkage"):
        PromotionHabit(item_shrinkage=0)
