"""What promotions do to sales: how often an item sells a basket, and how many times more under each kind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.candidates.retriever import decay
from models.interaction_log import InteractionLog
from models.shop import NO_SHOP, Shop
from models.vocabulary import Floats, Ints, Longs

Doubles = NDArray[np.float64]
_ROUNDS = 6  # of the alternating fit; it settles in three or four


@dataclass(frozen=True)
class Places:
    """Where promotions hold: a store, a region or everywhere, as one code.

    Attributes:
        n_stores: Stores have the codes below; regions follow, and `everywhere` is the last.
        n_regions: Regions of users.
        user_region: Region code, one a user; -1 unknown.
    """

    n_stores: int
    n_regions: int
    user_region: Ints

    @classmethod
    def of(cls, log: InteractionLog) -> Places:
        """The places of a log; without a shop there are no regions."""
        unknown = np.full(log.n_users, -1, dtype=np.int32)
        user_region = unknown if log.shop is None else log.shop.user_region
        return cls(len(log.stores), int(user_region.max(initial=-1)) + 1, user_region)

    @property
    def everywhere(self) -> int:
        """The code of the place that holds all others."""
        return self.n_stores + self.n_regions

    def of_promotions(self, shop: Shop) -> Ints:
        """The place of each promotion row; a row that names store and region holds in the store."""
        region = shop.promo_region if len(shop.promo_region) else np.full_like(shop.promo_store, -1)
        place = np.where(region >= 0, self.n_stores + region, self.everywhere)
        return np.where(shop.promo_store >= 0, shop.promo_store, place).astype(np.int32)

    def of_users(self, user: Ints) -> Ints:
        """The place of each user's region; -1 where it is unknown."""
        region = np.append(self.user_region, -1)[user]
        return np.where(region >= 0, self.n_stores + region, -1).astype(np.int32)


@dataclass(frozen=True)
class PromotionSales:
    """Sales a basket without promotion, and the multiples of it under each kind.

    Attributes:
        rate: Baskets with the item among all, were it never promoted; one an item.
        kind_lift: Multiple of the rate under each kind, over all items.
        pair: Sorted item code * kinds + kind of the pairs that were ever on promotion.
        pair_lift: Multiple of each pair, shrunk to its kind's.
    """

    rate: Doubles
    kind_lift: Doubles
    pair: Longs
    pair_lift: Doubles

    def lift(self, item: Ints, kind: Ints) -> Floats:
        """The multiple of each item's rate under each kind; its kind's where the pair was never seen."""
        asked = item.astype(np.int64) * len(self.kind_lift) + kind
        place = np.searchsorted(self.pair, asked)
        place[place == len(self.pair)] = 0
        lift = self.kind_lift[kind]
        if len(self.pair):
            lift = np.where(self.pair[place] == asked, self.pair_lift[place], lift)
        return lift.astype(np.float32)


def kinds_of(shop: Shop) -> Ints:
    """The kind of each promotion row; 0 for all where the shop tells of none."""
    return shop.promo_kind if len(shop.promo_kind) else np.zeros(len(shop.promo_item), dtype=np.int32)


def promotion_sales(
    log: InteractionLog, places: Places, half_life_days: float, shrinkage: float
) -> PromotionSales:
    """Rates and multiples as of `log.known_until`, by alternating Poisson means.

    sales(item, place, time) ~ Poisson(baskets(place, time) rate(item) lift(kind)). Rows that overlap each
    keep the sales of both: a coupon's multiple holds some of the display's.

    Args:
        log: Interactions; each counts half as much every half-life. Promotions of its shop that start at or
            after `log.known_until` tell nothing.
        places: Codes of the places.
        half_life_days: Must be > 0.
        shrinkage: Expected sales that outweigh what a kind's multiple says of an item.
    """
    shop = log.shop or NO_SHOP
    past = np.flatnonzero((shop.promo_start < log.known_until) & (shop.promo_end > log.time.min(initial=0)))
    place, item = places.of_promotions(shop)[past], shop.promo_item[past]
    start, end = shop.promo_start[past], np.minimum(shop.promo_end[past], log.known_until)
    kinds = int(shop.promo_kind.max(initial=0)) + 1
    kind = kinds_of(shop)[past]

    weight = (log.weight * decay(log.age_days, half_life_days)).astype(np.float64)
    opens = np.unique(log.basket, return_index=True)[1]
    worth = decay(log.age_days[opens], half_life_days).astype(np.float64)
    region = places.of_users(log.user)
    everywhere = np.full(len(log), places.everywhere, dtype=np.int32)
    sold, shown = np.zeros(len(past)), np.zeros(len(past))
    for there, rows in (
        (log.store, place < places.n_stores),
        (region, (place >= places.n_stores) & (place < places.everywhere)),
        (everywhere, place == places.everywhere),
    ):
        if rows.any():
            span = (start[rows], end[rows])
            key = there.astype(np.int64) * log.n_items + log.item
            asked = place[rows].astype(np.int64) * log.n_items + item[rows]
            sold[rows] = _weight_within(key, log.time, weight, asked, *span)
            of_baskets = (there[opens].astype(np.int64), log.time[opens], worth)
            shown[rows] = _weight_within(*of_baskets, place[rows].astype(np.int64), *span)

    pair, position = np.unique(item.astype(np.int64) * kinds + kind, return_inverse=True)
    pair_sold = np.bincount(position, weights=sold, minlength=len(pair))
    pair_shown = np.bincount(position, weights=shown, minlength=len(pair))
    pair_item, pair_kind = pair // kinds, pair % kinds
    total = np.bincount(log.item, weights=weight, minlength=log.n_items)
    kind_lift = np.ones(kinds)
    for _ in range(_ROUNDS):
        more = np.bincount(pair_item, pair_shown * (kind_lift[pair_kind] - 1), minlength=log.n_items)
        rate = total / np.maximum(worth.sum() + more, 1e-9)
        expected = rate[pair_item] * pair_shown
        kind_sold = np.bincount(pair_kind, pair_sold, minlength=kinds)
        kind_expected = np.bincount(pair_kind, expected, minlength=kinds)
        kind_lift = (kind_sold + shrinkage) / (kind_expected + shrinkage)
    pair_lift = (pair_sold + shrinkage * kind_lift[pair_kind]) / (expected + shrinkage)
    return PromotionSales(rate, kind_lift, pair, pair_lift)


def _weight_within(
    key: Longs, time: Longs, weight: Doubles, asked: Longs, start: Longs, end: Longs
) -> Doubles:
    """The weight of the rows of each asked key with start <= time < end.

    Examples:
        >>> longs = lambda *values: np.array(values, dtype=np.int64)
        >>> _weight_within(longs(0, 1, 1), longs(5, 5, 9), np.ones(3), longs(1, 1), longs(5, 6), longs(9, 99))
        array([1., 1.])
    """
    if not len(time):
        return np.zeros(len(asked))
    first = int(time.min())
    span = int(time.max()) - first + 2
    at = key * span + (time - first)
    order = np.argsort(at)
    at = at[order]
    running = np.concatenate([[0.0], np.cumsum(weight[order])])
    begin = np.searchsorted(at, asked * span + np.clip(start - first, 0, span - 1))
    until = np.searchsorted(at, asked * span + np.clip(end - first, 0, span - 1))
    return np.asarray(running[until] - running[begin])
