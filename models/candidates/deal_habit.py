"""Who buys what when it is cheap: the price a user pays for an item beside what it usually costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from features.errors import UsageError
from models.candidates.retriever import full_rows
from models.histories import Histories, QueryCodes
from models.interaction_log import InteractionLog


@dataclass(frozen=True)
class DealHabit:
    """Mean relative price that the user paid for each item, shrunk to the user's own mean over all items.

    0.9 is somebody who buys it a tenth below its usual price. An opinion for the ranker, beside what the
    item costs these days: whether a cut matters to this user.

    Attributes:
        item_shrinkage: Purchases of an item that outweigh the user's mean; must be > 0.
        user_shrinkage: Purchases of a user that outweigh the usual price; must be > 0.

    Source:
        'Deal proneness': Lichtenstein, Netemeyer and Burton (1990), Journal of Marketing; the means are
        posterior means under a normal prior.
    """

    item_shrinkage: float = 1.0
    user_shrinkage: float = 20.0
    name: str = "deal_habit"

    def __post_init__(self) -> None:
        for field in ("item_shrinkage", "user_shrinkage"):
            if not getattr(self, field) > 0:
                raise UsageError(f"{field} == {getattr(self, field)}, must be > 0.")

    def fit(self, log: InteractionLog) -> DealHabit:
        """Itself: prices are in the histories."""
        return self

    def scores(self, queries: QueryCodes, histories: Histories) -> csr_matrix:
        """The mean relative price for every item, queries x items; no opinion where prices are not told.

        Examples:
            >>> DealHabit().name
            'deal_habit'
        """
        n, shape = len(queries), (len(queries), histories.n_items)
        if histories.relative_price is None:
            return csr_matrix(shape, dtype=np.float32)
        told = ~np.isnan(histories.relative_price)
        if not told.any():
            return csr_matrix(shape, dtype=np.float32)
        query, item = histories.query[told], histories.item[told]
        off = np.log(histories.relative_price[told])  # means of ratios are taken of their logarithms
        bought = np.bincount(query, minlength=n)
        usual = np.bincount(query, weights=off, minlength=n) / (bought + self.user_shrinkage)
        times = csr_matrix((np.ones(len(query), np.float32), (query, item)), shape=shape).toarray()
        paid = csr_matrix((off, (query, item)), shape=shape, dtype=np.float32).toarray()
        paid += np.float32(self.item_shrinkage) * usual[:, None].astype(np.float32)
        paid /= times + np.float32(self.item_shrinkage)
        return full_rows(np.exp(paid))
