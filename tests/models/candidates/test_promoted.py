"""Promotions: what runs where, what it does to sales, and what follows for a user."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.errors import UsageError
from models.candidates.announced import Announced
from models.candidates.promoted import Promoted
from models.candidates.promotion_sales import Places, promotion_sales
from models.interaction_log import InteractionLog
from models.shop import Shop

DAY = 86_400
FIT = 42 * DAY


def running_at(shop: Shop, store: int, region: int, moment: int) -> set[int]:
    """Items on promotion, one row of the table at a time."""
    found = set()
    for row in range(len(shop.promo_item)):
        if not shop.promo_start[row] <= moment < shop.promo_end[row]:
            continue
        in_store = shop.promo_store[row] >= 0
        here = shop.promo_store[row] == store if in_store else shop.promo_region[row] in (-1, region)
        if here:
            found.add(int(shop.promo_item[row]))
    return found


def test_what_runs_is_what_the_table_says(shop_log, shop, market_queries):
    codes = shop_log.encode(market_queries)
    found = Promoted(min_lift=0.0).fit(shop_log.before(FIT)).scores(codes, shop_log.expand(codes))
    regions = np.append(shop.user_region, -1)
    for query in range(len(codes)):
        region = regions[codes.user[query]]
        wanted = running_at(shop, codes.store[query], region if region >= 0 else -2, codes.cutoff[query])
        assert set(found[query].indices) == wanted
        assert (found[query].data > 0).all()


def test_a_stranger_in_an_unknown_store_gets_what_runs_everywhere(shop_log, shop, market_queries):
    row = market_queries.iloc[[-1]].assign(store_id="never seen")
    codes = shop_log.encode(row)
    assert codes.user[0] == codes.store[0] == -1
    found = Promoted(min_lift=0.0).fit(shop_log.before(FIT)).scores(codes, shop_log.expand(codes))
    assert set(found.indices) == running_at(shop, -1, -2, int(codes.cutoff[0]))


def test_without_a_shop_nothing_is_proposed(market_log, market_queries):
    codes = market_log.encode(market_queries)
    found = Promoted().fit(market_log.before(FIT)).scores(codes, market_log.expand(codes))
    assert found.shape == (len(codes), 14)
    assert found.nnz == 0


def promoted_market(lift: float) -> tuple[InteractionLog, Shop]:
    """One store; 20 items that sell in a tenth of 4,000 baskets, and `lift` times that when promoted.

    Every basket holds bread too, the first item, so that none is empty and goes unseen.
    """
    rng = np.random.default_rng(3)
    n_items, n_days = 20, 100
    promoted = np.zeros((n_days // 10, n_items), dtype=bool)
    for period in range(len(promoted)):
        promoted[period, rng.choice(n_items, 6, replace=False)] = True
    rows = []
    for basket in range(4_000):
        day = basket % n_days
        chance = np.where(promoted[day // 10], 0.1 * lift, 0.1)
        rows.append((f"u{basket % 50:02d}", "bread", day * DAY + 40_000, f"s{basket}"))
        rows += [
            (f"u{basket % 50:02d}", f"i{item:02d}", day * DAY + 40_000, f"s{basket}")
            for item in np.flatnonzero(rng.random(n_items) < chance)
        ]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "epoch_seconds", "session_id"])
    day = frame["epoch_seconds"] // DAY
    log = InteractionLog.from_frame(
        frame.assign(
            category="c",
            event_type="purchase",
            store_id="m",
            daypart="midday",
            local_day=day,
            local_weekday=(day + 3) % 7,
            local_midnight_epoch_seconds=day * DAY,
        )
    )
    period, item = (place.astype(np.int64) for place in np.nonzero(promoted))
    nobody = np.full(log.n_users, -1, dtype=np.int32)
    shop = Shop(
        texts=("",) * log.n_items,
        created=np.full(log.n_items, -1, dtype=np.int64),
        promo_item=(item + 1).astype(np.int32),
        promo_store=np.zeros(len(item), dtype=np.int32),
        promo_start=period * 10 * DAY,
        promo_end=(period + 1) * 10 * DAY,
        user_region=nobody,
        user_segment=nobody,
    )
    return log.with_shop(shop), shop


@pytest.mark.parametrize("lift", [0.5, 1.0, 3.0])
def test_a_planted_lift_is_found(lift):
    log, _ = promoted_market(lift)
    sales = promotion_sales(log, Places.of(log), half_life_days=1e9, shrinkage=1.0)
    assert sales.kind_lift == pytest.approx([lift], rel=0.08)
    assert sales.rate[1:].mean() == pytest.approx(0.1, rel=0.1)
    assert sales.pair_lift.mean() == pytest.approx(lift, rel=0.1)


def test_promotions_that_lift_nothing_do_not_count():
    log, _ = promoted_market(0.5)
    places = Places.of(log)
    known = log.before(95 * DAY)
    sales = promotion_sales(known, places, half_life_days=1e9, shrinkage=1.0)
    assert len(Announced.of(known, places, sales, min_lift=0.0).item) == 6
    assert len(Announced.of(known, places, sales, min_lift=1.1).item) == 0


def test_what_a_promotion_sells_later_is_not_known(shop_log, shop):
    known = shop_log.before(FIT)
    places = Places.of(known)
    before = promotion_sales(known, places, 60.0, 5.0)
    fewer = replace(
        shop, **{name: getattr(shop, name)[shop.promo_start < FIT] for name in vars(shop) if "promo" in name}
    )
    after = promotion_sales(known.with_shop(fewer), places, 60.0, 5.0)
    np.testing.assert_array_equal(before.rate, after.rate)
    np.testing.assert_array_equal(before.kind_lift, after.kind_lift)
    np.testing.assert_array_equal(before.pair_lift, after.pair_lift)


def test_of_overlapping_promotions_the_largest_lift_counts(market_log):
    places = Places.of(market_log)
    one = np.ones(3)
    announced = Announced(
        places=places,
        n_items=14,
        item=np.array([4, 4, 4], dtype=np.int32),
        place=np.array([0, 0, places.everywhere], dtype=np.int32),
        start=(one * 0).astype(np.int64),
        end=(one * 10).astype(np.int64),
        lift=np.array([2.0, 3.0, 1.5], dtype=np.float32),
    )
    running = announced.running(9).toarray()
    assert running[0, 4] == 3.0
    assert running[places.everywhere, 4] == 1.5
    assert announced.running(10).nnz == 0


@pytest.mark.parametrize("field", ["half_life_days", "store_shrinkage", "taste_half_life_days"])
def test_parameters_must_be_positive(field):
    with pytest.raises(UsageError, match=f"{field} == 0"):
        Promoted(**{field: 0})
