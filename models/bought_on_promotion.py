"""Which purchases were made on promotion: what the shop had announced for the item, then and there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.shop import Shop
from models.vocabulary import Floats, Ints, Longs

if TYPE_CHECKING:  # the log keeps the result; importing it here would turn in a circle
    from models.interaction_log import InteractionLog


def bought_on_promotion(log: InteractionLog, shop: Shop) -> Floats:
    """1 for an interaction while its item was on promotion in its store, region or everywhere, else 0.

    NaN before the shop's first promotion: nothing is known of what was announced then.
    """
    found = np.zeros(len(log), dtype=np.float32)
    if not len(shop.promo_item):
        return np.full(len(log), np.nan, dtype=np.float32)
    region = shop.promo_region if len(shop.promo_region) else np.full_like(shop.promo_store, -1)
    user_region = shop.user_region[log.user] if len(shop.user_region) else np.full_like(log.user, -1)
    nowhere = np.zeros_like(log.store)
    for there, place, rows in (
        (log.store, shop.promo_store, shop.promo_store >= 0),
        (user_region, region, (shop.promo_store < 0) & (region >= 0)),
        (nowhere, np.zeros_like(region), (shop.promo_store < 0) & (region < 0)),
    ):
        if rows.any():
            announced = (place[rows], shop.promo_item[rows], shop.promo_start[rows], shop.promo_end[rows])
            found[_running(log, there, *announced)] = 1.0
    found[log.time < int(shop.promo_start.min())] = np.nan
    return found


def _running(
    log: InteractionLog, there: Ints, place: Ints, item: Ints, start: Longs, end: Longs
) -> NDArray[np.bool_]:
    """Whether a promotion of the row's item runs at its place and time; promotions may overlap."""
    first = min(int(start.min()), int(log.time.min(initial=0)))
    span = np.int64(max(int(end.max()), int(log.time.max(initial=0))) - first + 2)
    key = place.astype(np.int64) * log.n_items + item
    order = np.lexsort((start, key))
    opens = key[order] * span + (start[order] - first)
    # The latest end so far of each key: lifting keys above one another keeps the maximum in one sweep.
    closes = np.maximum.accumulate(key[order] * span + (end[order] - first))
    asked = (there.astype(np.int64) * log.n_items + log.item) * span + (log.time - first)
    last = np.searchsorted(opens, asked, side="right") - 1
    return np.asarray((there >= 0) & (last >= 0) & (closes[np.maximum(last, 0)] > asked))
