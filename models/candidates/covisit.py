"""Items that go into one basket: what belongs to the user's recent purchases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix, diags

from features.errors import UsageError
from models.candidates.retriever import block_rows, decay, full_rows, top_items, values_at
from models.histories import Histories, QueryCodes
from models.interaction_log import InteractionLog

_FORGOTTEN = 0.02  # purchases that weigh less than this no longer ask; it bounds the work of long histories


@dataclass(frozen=True)
class Covisit:
    """Item-item similarity from shared baskets, summed over the user's recent purchases.

    similarity(i, j) = baskets with both / (n_i^damping * n_j^damping): 0.5 is the cosine, more turns
    towards lift and so towards rare items.

    Attributes:
        window_days: Only baskets this recent teach similarity; must be > 0.
        half_life_days: How fast the user's own purchases stop asking for company; must be > 0.
        damping: Exponent on the popularity of either item, in [0, 1].
        companions: Most similar items kept per item.
        min_together: Baskets that two items must share.

    Source:
        Linden, Smith and York (2003), Amazon.com recommendations: item-to-item collaborative filtering.
    """

    window_days: float = 180.0
    half_life_days: float = 21.0
    damping: float = 0.5
    companions: int = 200
    min_together: int = 3
    name: str = "covisit"

    def __post_init__(self) -> None:
        for field in ("window_days", "half_life_days", "companions", "min_together"):
            if not getattr(self, field) > 0:
                raise UsageError(f"{field} == {getattr(self, field)}, must be > 0.")
        if not 0 <= self.damping <= 1:
            raise UsageError(f"damping == {self.damping}, must be in [0, 1].")

    def fit(self, log: InteractionLog) -> FittedCovisit:
        """Companions of every item as of `log.known_until`."""
        recent = log.take(log.age_days <= self.window_days)
        _, basket = np.unique(recent.basket, return_inverse=True)
        shape = (int(basket.max(initial=-1)) + 1, log.n_items)
        held = csr_matrix((np.ones(len(recent), np.float32), (basket, recent.item)), shape=shape)
        n = np.asarray(held.sum(axis=0), dtype=np.float32).ravel()
        scale = np.where(n > 0, np.maximum(n, 1) ** -np.float32(self.damping), 0).astype(np.float32)
        held_t = held.T.tocsr()
        step = block_rows(log.n_items)
        rows, columns, values = [], [], []
        for begin in range(0, log.n_items, step):
            together = (held_t[begin : begin + step] @ held).tocsr()
            together.setdiag(0, k=begin)
            together.data[together.data < self.min_together] = 0
            together = (together @ diags(scale)).tocsr()
            together.sort_indices()
            item, companion = top_items(together, self.companions)
            rows.append(item + begin)
            columns.append(companion)
            values.append(values_at(together, item, companion))
        if not rows:
            return FittedCovisit(self, csr_matrix((log.n_items, log.n_items), dtype=np.float32))
        kept = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
        similarity = diags(scale) @ csr_matrix(kept, shape=(log.n_items, log.n_items))
        return FittedCovisit(self, similarity.tocsr().astype(np.float32))


@dataclass(frozen=True)
class FittedCovisit:
    """Similarities to each item's companions, items x items."""

    params: Covisit
    similarity: csr_matrix

    def scores(self, queries: QueryCodes, histories: Histories) -> csr_matrix:
        """Similarity to the user's recent purchases, queries x items.

        Examples:
            >>> Covisit(half_life_days=7).half_life_days
            7
        """
        recent = histories.matrix(histories.weight * decay(histories.age_days, self.params.half_life_days))
        recent.data[recent.data < _FORGOTTEN] = 0
        recent.eliminate_zeros()
        return full_rows(np.asarray((recent @ self.similarity).toarray(), dtype=np.float32))
