"""Promotions that are running at a query's moment and place, with what each does to its item's sales."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix, vstack

from models.candidates.promotion_sales import Places, PromotionSales, kinds_of
from models.histories import QueryCodes
from models.interaction_log import InteractionLog
from models.shop import NO_SHOP
from models.vocabulary import Floats, Ints, Longs


@dataclass(frozen=True)
class Announced:
    """Promotions that end after a fit; they are announced ahead, so those to come are known.

    Attributes:
        places: Codes of stores, regions and everywhere.
        n_items: Items of the log.
        item, place: What is promoted where, one a promotion row.
        start, end: UTC seconds, half open.
        lift: What it multiplies the item's sales by.
    """

    places: Places
    n_items: int
    item: Ints
    place: Ints
    start: Longs
    end: Longs
    lift: Floats

    @classmethod
    def of(cls, log: InteractionLog, places: Places, sales: PromotionSales, min_lift: float) -> Announced:
        """What ends after `log.known_until` and lifts sales by at least `min_lift`; none without a shop."""
        shop = log.shop or NO_SHOP
        ahead = np.flatnonzero(shop.promo_end > log.known_until)
        lift = sales.lift(shop.promo_item[ahead], kinds_of(shop)[ahead])
        ahead, lift = ahead[lift >= min_lift], lift[lift >= min_lift]
        return cls(
            places=places,
            n_items=log.n_items,
            item=shop.promo_item[ahead],
            place=places.of_promotions(shop)[ahead],
            start=shop.promo_start[ahead],
            end=shop.promo_end[ahead],
            lift=lift,
        )

    def running(self, moment: int) -> csr_matrix:
        """The largest lift of what runs at this UTC second, places x items."""
        rows = np.flatnonzero((self.start <= moment) & (self.end > moment))
        rows = rows[np.lexsort((-self.lift[rows], self.item[rows], self.place[rows]))]
        key = self.place[rows].astype(np.int64) * self.n_items + self.item[rows]
        rows = rows[np.append(True, key[1:] != key[:-1])] if len(rows) else rows
        shape = (self.places.everywhere + 1, self.n_items)
        return csr_matrix((self.lift[rows], (self.place[rows], self.item[rows])), shape, dtype=np.float32)

    def lifts(self, queries: QueryCodes) -> csr_matrix:
        """The lift of each item that is on promotion for each query, queries x items."""
        region = self.places.of_users(queries.user)
        everywhere = np.full(len(queries), self.places.everywhere, dtype=np.int32)
        parts = [csr_matrix((0, self.n_items), dtype=np.float32)]
        order = []
        for moment in np.unique(queries.cutoff):
            rows = np.flatnonzero(queries.cutoff == moment)
            running = self.running(int(moment))
            lifts = _rows(running, everywhere[rows])
            for place in (region[rows], queries.store[rows]):
                lifts = lifts.maximum(_rows(running, place))
            parts.append(lifts)
            order.append(rows)
        stacked = vstack(parts, format="csr")
        if order:
            stacked = stacked[np.argsort(np.concatenate(order), kind="stable")]
        stacked.sort_indices()
        return stacked.astype(np.float32)


def _rows(matrix: csr_matrix, place: Ints) -> csr_matrix:
    """The matrix' row of each place; an empty one for place -1.

    Examples:
        >>> held = csr_matrix(np.array([[0, 2.0], [3.0, 0]], dtype=np.float32))
        >>> _rows(held, np.array([1, -1], dtype=np.int32)).toarray().tolist()
        [[3.0, 0.0], [0.0, 0.0]]
    """
    asked = np.flatnonzero(place >= 0)
    ones = np.ones(len(asked), dtype=np.float32)
    return csr_matrix((ones, (asked, place[asked])), shape=(len(place), matrix.shape[0])) @ matrix
