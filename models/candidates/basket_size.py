"""Quick trips and big shops: how large a basket is expected now, and how large those with an item are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.sparse import csr_matrix

from features.errors import UsageError
from models.candidates.occasion import FittedOccasion, Occasion, basket_rows
from models.candidates.retriever import decay, full_rows
from models.histories import Histories, QueryCodes
from models.interaction_log import InteractionLog
from models.vocabulary import Floats

Whose = Literal["expected", "item"]


@dataclass(frozen=True)
class BasketSize:
    """1 + mean log of items in a basket: of the user's baskets like this one, or of those with an item.

    An opinion for the ranker: donuts sell in small baskets and flour in large ones, so that which of the two
    a user wants depends on the trip, and the trip shows in place and time.

    Attributes:
        whose: The user's on such an occasion (the same for every item), or the item's.
        half_life_days: Forgetting of the user's baskets; must be > 0.
        shrinkage: Baskets of the user that outweigh everybody's mean; must be > 0.
        item_shrinkage: The same for an item's baskets; must be > 0.

    Source:
        Bell, Corsten and Knox (2011), From point of purchase to path to purchase, Journal of Marketing: what
        is bought unplanned follows from the kind of trip.
    """

    whose: Whose = "expected"
    half_life_days: float = 60.0
    shrinkage: float = 2.0
    item_shrinkage: float = 20.0

    def __post_init__(self) -> None:
        for field in ("half_life_days", "shrinkage", "item_shrinkage"):
            if not getattr(self, field) > 0:
                raise UsageError(f"{field} == {getattr(self, field)}, must be > 0.")

    @property
    def name(self) -> str:
        """basket_expected or basket_item."""
        return f"basket_{self.whose}"

    def fit(self, log: InteractionLog) -> FittedBasketSize:
        """Everybody's and every item's baskets as of `log.known_until`.

        Examples:
            >>> BasketSize("item").name
            'basket_item'
        """
        lines = np.bincount(log.basket)
        size = np.log(np.maximum(lines[log.basket], 1)) if len(log) else np.zeros(0)
        one_each = np.unique(log.basket, return_index=True)[1]
        usual = float(size[one_each].mean()) if len(one_each) else 0.0
        sold = np.bincount(log.item, minlength=log.n_items)
        of_item = np.bincount(log.item, weights=size, minlength=log.n_items) + self.item_shrinkage * usual
        of_item /= sold + self.item_shrinkage
        return FittedBasketSize(self, Occasion().fit(log), usual, of_item.astype(np.float32))


@dataclass(frozen=True)
class FittedBasketSize:
    """The mean log size of all baskets, and of those with each item."""

    params: BasketSize
    occasion: FittedOccasion
    usual: float
    of_item: Floats

    def scores(self, queries: QueryCodes, histories: Histories) -> csr_matrix:
        """1 + mean log size for every item, queries x items."""
        n = len(queries)
        if self.params.whose == "item":
            return full_rows(np.tile(1 + self.of_item, (n, 1)))
        return full_rows(np.repeat(1 + self.expected(queries, histories)[:, None], histories.n_items, axis=1))

    def expected(self, queries: QueryCodes, histories: Histories) -> Floats:
        """The mean log size of each query's user on such an occasion, one a query."""
        n = len(queries)
        width = np.int64(histories.n_baskets.max(initial=0)) + 1
        basket = histories.query.astype(np.int64) * width + histories.basket_age
        lines = np.bincount(basket, minlength=n * int(width))
        rows = basket_rows(histories)
        query, size = histories.query[rows], np.log(np.maximum(lines[basket[rows]], 1))
        age = decay(np.maximum(histories.age_days[rows], 0), self.params.half_life_days)

        def mean(weight: Floats, prior: Floats | float) -> Floats:
            summed = np.bincount(query, weights=weight * size, minlength=n) + self.params.shrinkage * prior
            return np.asarray(
                summed / (np.bincount(query, weights=weight, minlength=n) + self.params.shrinkage),
                dtype=np.float32,
            )

        return mean(age * self.occasion.likeness(queries, histories)[rows], mean(age, self.usual))
