"""The shop in the codes of a log."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.errors import UsageError
from models.interaction_log import InteractionLog
from models.shop import Shop, shop_of


@pytest.fixture
def shop(market_log: InteractionLog) -> Shop:
    items = pd.DataFrame(
        {
            "item_id": ["i03", "i00", "elsewhere"],
            "title": ["Rye Bread", "Milk 1 L", "Boat"],
            "category_path": ["Food > Bread", "unknown", "Sea"],
            "brand": ["unknown", "Oat & Co", None],
            "tags": ["vegan", None, None],
            "created_ts": pd.to_datetime(["1970-01-02T00:00Z", None, None]),
        }
    )
    users = pd.DataFrame(
        {"user_id": ["u1", "u0", "gone"], "region": ["north", "unknown", "sea"], "segment": ["b", "a", "a"]}
    )
    rows = [
        ("i03", "m1", None, "display"),
        ("i03", None, None, "coupon"),
        ("i00", None, "north", "display"),
        ("i00", None, "nowhere", "display"),  # a region without users
        ("i00", "m9", None, "display"),  # a store that nobody visits is not everywhere
        ("elsewhere", None, None, "display"),
    ]
    promotions = pd.DataFrame(rows, columns=["item_id", "store_id", "region", "kind"]).assign(
        starts_at=pd.Timestamp("1970-01-01T00:01Z"), ends_at=pd.Timestamp("1970-01-08T00:00Z")
    )
    return shop_of(market_log, items, users, promotions)


def test_items_are_told_in_the_order_of_their_codes(market_log: InteractionLog, shop: Shop) -> None:
    assert len(shop.texts) == market_log.n_items
    assert shop.texts[3] == "rye bread food > bread vegan"
    assert shop.texts[0] == "milk 1 l oat & co"
    assert set(shop.texts[4:]) == {""}
    assert shop.created[3] == 86_400
    assert (np.delete(shop.created, 3) == -1).all()


def test_users_without_region_or_segment_have_none(shop: Shop) -> None:
    assert shop.user_region.tolist() == [-1, 0, *[-1] * 7]
    assert shop.user_segment.tolist() == [0, 1, *[-1] * 7]


def test_promotions_hold_in_a_store_a_region_or_everywhere(market_log: InteractionLog, shop: Shop) -> None:
    m1 = market_log.stores.codes(["m1"])[0]
    assert shop.promo_item.tolist() == [3, 3, 0]
    assert shop.promo_store.tolist() == [m1, -1, -1]
    assert shop.promo_region.tolist() == [-1, -1, 0]
    assert shop.promo_kind.tolist() == [1, 0, 1]
    assert set(shop.promo_start) == {60}
    assert set(shop.promo_end) == {7 * 86_400}


def test_a_source_that_tells_nothing_makes_an_empty_shop(market_log: InteractionLog) -> None:
    nothing = pd.DataFrame(columns=["item_id", "region", "store_id", "starts_at", "ends_at", "kind"])
    shop = shop_of(market_log, pd.DataFrame({"item_id": ["i00"]}), pd.DataFrame({"user_id": ["u0"]}), nothing)
    assert set(shop.texts) == {""}
    assert set(shop.created) == {-1}
    assert set(shop.user_region) == set(shop.user_segment) == {-1}
    assert len(shop.promo_item) == len(shop.promo_start) == len(shop.promo_kind) == 0


def test_a_log_keeps_its_shop_until_items_are_recoded(market_log: InteractionLog, shop: Shop) -> None:
    log = market_log.with_shop(shop)
    assert log.before(20 * 86_400).shop is shop
    fewer = log.restricted_to(["i00", "i03"])
    assert fewer.shop is None
    with pytest.raises(UsageError, match="14 items and 9 users, the log of 2 and 9"):
        fewer.with_shop(shop)
