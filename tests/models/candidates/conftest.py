"""A shop for the small random market: promotions, regions, segments and young items."""

from __future__ import annotations

import numpy as np
import pytest

from models.interaction_log import InteractionLog
from models.shop import Shop

DAY = 86_400


def weekly_promotions(log: InteractionLog, seed: int = 5, days: int = 70) -> dict[str, np.ndarray]:
    """A promotion of three items a store and week, some of them everywhere or in a region."""
    rng = np.random.default_rng(seed)
    rows = [
        (int(item), store, week * 7 * DAY, (week + 1) * 7 * DAY, int(rng.integers(-1, 2)), store % 2)
        for week in range(days // 7)
        for store in range(-1, len(log.stores))
        for item in rng.choice(log.n_items, 3, replace=False)
    ]
    item, store, start, end, region, kind = (np.array(column) for column in zip(*rows, strict=True))
    return {
        "promo_item": item.astype(np.int32),
        "promo_store": store.astype(np.int32),
        "promo_start": start.astype(np.int64),
        "promo_end": end.astype(np.int64),
        "promo_region": np.where(store < 0, region, -1).astype(np.int32),
        "promo_kind": kind.astype(np.int32),
    }


@pytest.fixture
def shop(market_log: InteractionLog) -> Shop:
    """Two regions, three segments, one item created on day 30; weekly promotions."""
    created = np.full(market_log.n_items, -1, dtype=np.int64)
    created[2] = 30 * DAY
    users = np.arange(market_log.n_users, dtype=np.int32)
    return Shop(
        texts=("",) * market_log.n_items,
        created=created,
        user_region=(users % 3 - 1).astype(np.int32),
        user_segment=(users % 4 - 1).astype(np.int32),
        **weekly_promotions(market_log),
    )


@pytest.fixture
def shop_log(market_log: InteractionLog, shop: Shop) -> InteractionLog:
    """The log of `market` that knows of the shop."""
    return market_log.with_shop(shop)
