"""Who buys what on promotion only: how much of a user's purchases of each item were made on promotion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from features.errors import UsageError
from models.candidates.retriever import full_rows
from models.histories import Histories, QueryCodes
from models.interaction_log import InteractionLog


@dataclass(frozen=True)
class PromotionHabit:
    """Share of the user's purchases that were on promotion, for each item shrunk to the user's own.

    An opinion for the ranker rather than a way to find items: whether a promotion matters to this user.

    Attributes:
        item_shrinkage: Purchases of an item that outweigh the user's share; must be > 0.
        user_shrinkage: Purchases of a user that outweigh everyone's share; must be > 0.

    Source:
        Beta-binomial means; the trait is 'deal proneness': Lichtenstein, Netemeyer and Burton (1990).
    """

    item_shrinkage: float = 1.0
    user_shrinkage: float = 10.0
    name: str = "promotion_habit"

    def __post_init__(self) -> None:
        for field in ("item_shrinkage", "user_shrinkage"):
            if not getattr(self, field) > 0:
                raise UsageError(f"{field} == {getattr(self, field)}, must be > 0.")

    def fit(self, log: InteractionLog) -> FittedPromotionHabit:
        """Everyone's share as of `log.known_until`; 0 where nothing was ever announced."""
        told = np.zeros(0) if log.on_promotion is None else log.on_promotion[~np.isnan(log.on_promotion)]
        return FittedPromotionHabit(self, float(told.mean()) if len(told) else 0.0)


@dataclass(frozen=True)
class FittedPromotionHabit:
    """Everyone's share, which a user without purchases has."""

    params: PromotionHabit
    share: float

    def scores(self, queries: QueryCodes, histories: Histories) -> csr_matrix:
        """The share for every item, queries x items; no opinion where nothing was ever announced."""
        shape = (len(queries), histories.n_items)
        if histories.on_promotion is None or not self.share:
            return csr_matrix(shape, dtype=np.float32)
        told = ~np.isnan(histories.on_promotion)
        query, item = histories.query[told], histories.item[told]
        promoted = histories.on_promotion[told]
        bought = np.bincount(query, minlength=len(queries))
        own = np.bincount(query, weights=promoted, minlength=len(queries))
        prior = self.params.user_shrinkage
        usual = ((own + prior * self.share) / (bought + prior)).astype(np.float32)
        times = csr_matrix((np.ones(len(query), np.float32), (query, item)), shape=shape)
        deals = csr_matrix((promoted, (query, item)), shape=shape).toarray()
        strength = np.float32(self.params.item_shrinkage)
        deals += strength * usual[:, None]
        deals /= times.toarray() + strength
        return full_rows(np.asarray(deals, dtype=np.float32))
