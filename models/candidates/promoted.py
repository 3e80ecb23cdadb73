"""What is on promotion now in the query's store, by how it sells then and what the user is fond of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from features.errors import UsageError
from models.candidates.announced import Announced
from models.candidates.promotion_sales import Places, promotion_sales
from models.candidates.retriever import decay, values_at
from models.candidates.taste import Tastes
from models.histories import Histories, QueryCodes
from models.interaction_log import InteractionLog
from models.vocabulary import Floats


@dataclass(frozen=True)
class Promoted:
    """Items on promotion at the query's cut-off in its store, the user's region or everywhere.

    score = sales a basket in the store * lift of the item under this kind of promotion * taste for its
    category. A log without a shop, or a place without promotions, gets no proposals.

    Attributes:
        half_life_days: Days until a sale's weight halves, of sales as of lifts; must be > 0.
        lift_shrinkage: Expected sales that outweigh a kind's lift for one item; must be > 0.
        store_shrinkage: Baskets in a store that outweigh the sales of all stores; must be > 0.
        taste_shrinkage: Purchases of the user that outweigh everyone's taste; must be > 0.
        taste_half_life_days: Forgetting of the user's taste; must be > 0.
        min_lift: Promotions that lift a sale less do not count as such: coupons that nobody uses, say.

    Source:
        Empirical Bayes means of a Poisson model; see `promotion_sales`.
    """

    half_life_days: float = 60.0
    lift_shrinkage: float = 5.0
    store_shrinkage: float = 1_000.0
    taste_shrinkage: float = 5.0
    taste_half_life_days: float = 180.0
    min_lift: float = 1.1
    name: str = "promoted"

    def __post_init__(self) -> None:
        for field in (
            "half_life_days",
            "lift_shrinkage",
            "store_shrinkage",
            "taste_shrinkage",
            "taste_half_life_days",
        ):
            if not getattr(self, field) > 0:
                raise UsageError(f"{field} == {getattr(self, field)}, must be > 0.")

    def fit(self, log: InteractionLog) -> FittedPromoted:
        """Rates, lifts and what is announced as of `log.known_until`.

        Examples:
            >>> Promoted(min_lift=1.5).name
            'promoted'
        """
        places = Places.of(log)
        sales = promotion_sales(log, places, self.half_life_days, self.lift_shrinkage)
        n_stores = len(log.stores)
        store = np.where(log.store < 0, n_stores, log.store)
        weight = log.weight * decay(log.age_days, self.half_life_days)
        shape = (n_stores + 1, log.n_items)
        sold = csr_matrix((weight, (store, log.item)), shape=shape, dtype=np.float32)
        sold.sort_indices()
        opens = np.unique(log.basket, return_index=True)[1]
        visits = np.bincount(
            store[opens], weights=decay(log.age_days[opens], self.half_life_days), minlength=n_stores + 1
        )
        return FittedPromoted(
            params=self,
            announced=Announced.of(log, places, sales, self.min_lift),
            rate=sales.rate.astype(np.float32),
            sold=sold,
            visits=visits.astype(np.float32),
            tastes=Tastes.of(log, self.taste_shrinkage, self.taste_half_life_days),
        )


@dataclass(frozen=True)
class FittedPromoted:
    """What is announced, and what it takes to order it.

    Attributes:
        params: How all was read.
        announced: Promotions and their lifts.
        rate: Sales a basket without promotion, one an item.
        sold, visits: Decayed sales and baskets of each store; the last row is of unknown stores.
        tastes: The tree of categories.
    """

    params: Promoted
    announced: Announced
    rate: Floats
    sold: csr_matrix
    visits: Floats
    tastes: Tastes

    def scores(self, queries: QueryCodes, histories: Histories) -> csr_matrix:
        """Expected sales a basket of what is on promotion, queries x items."""
        found = self.announced.lifts(queries)
        query = np.repeat(np.arange(len(queries), dtype=np.int32), np.diff(found.indptr))
        store = queries.store[query]
        here = values_at(self.sold[queries.store], query, found.indices)
        taste = self.tastes.at(self.tastes.of_queries(histories), query, found.indices)
        found.data *= self.rates(here, self.visits[store], self.rate[found.indices]) * taste
        return found

    def lifts(self, queries: QueryCodes) -> csr_matrix:
        """The lift of each item on promotion for each query, queries x items."""
        return self.announced.lifts(queries)

    def place_rates(self, queries: QueryCodes, histories: Histories) -> Floats:
        """Expected sales a basket of every item, promoted or not, dense queries x items."""
        block = self.rates(self.sold[queries.store].toarray(), self.visits[queries.store][:, None], self.rate)
        return self.tastes.of_items(histories) * block

    def rates(self, sold: Floats, visits: Floats, rate: Floats) -> Floats:
        """Sales a basket in a store, shrunk to `rate`, that of all stores."""
        shrinkage = np.float32(self.params.store_shrinkage)
        return np.asarray((sold + shrinkage * rate) / (visits + shrinkage), dtype=np.float32)
