"""Rivals: what promotions do to an item's whole category here and now, its own promotion among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.candidates.promoted import FittedPromoted, Promoted
from models.candidates.retriever import full_rows, values_at
from models.histories import Histories, QueryCodes
from models.interaction_log import InteractionLog
from models.vocabulary import Floats, Ints


@dataclass(frozen=True)
class Rivals:
    """The multiple of each category's expected sales under all promotions that run at the query's cut-off.

    score(i) = sum over items j of i's category of rate(j) lift(j) / sum of rate(j), with the store's rates
    and a lift of 1 where no promotion runs. An opinion for the ranker rather than a way to find items: a
    yogurt at its usual price is bought less while the yogurts beside it are on promotion, and promoted alone
    it gains more than among ten. 1 for an item without a category.

    Attributes:
        context: How sales and lifts are read from the log; its `min_lift` plays no part.

    Source:
        Brand switching under promotion: Gupta (1988), Impact of sales promotions on when, what, and how much
        to buy, Journal of Marketing Research.
    """

    context: Promoted = Promoted(min_lift=0.0)
    name: str = "rivals"

    def fit(self, log: InteractionLog) -> FittedRivals:
        """Rates, lifts and what is announced as of `log.known_until`.

        Examples:
            >>> Rivals().name
            'rivals'
        """
        used, category = np.unique(log.item_category, return_inverse=True)
        context = self.context.fit(log)
        cells = (np.ones(log.n_items, np.float32), (np.arange(log.n_items), category))
        members = csr_matrix(cells, shape=(log.n_items, len(used)), dtype=np.float32)
        return FittedRivals(
            context=context,
            members=members,
            category=category.astype(np.int32),
            sold=(context.sold @ members).toarray(),
            rate=np.asarray(members.T @ context.rate, dtype=np.float32),
            untold=log.item_category < 0,
        )


@dataclass(frozen=True)
class FittedRivals:
    """The categories of one log, and their sales.

    Attributes:
        context: Rates of items and what is announced.
        members: 1 where the item is of the category, items x categories.
        category: Its column for each item.
        sold: Decayed sales of each category in each store; the last row is of unknown stores.
        rate: Sales a basket of each category without promotion.
        untold: Whether nobody told the item's category.
    """

    context: FittedPromoted
    members: csr_matrix
    category: Ints
    sold: Floats
    rate: Floats
    untold: NDArray[np.bool_]

    def scores(self, queries: QueryCodes, histories: Histories) -> csr_matrix:
        """The multiple for every item, queries x items; no opinion where nothing is announced at all."""
        if not len(self.context.announced.item):
            return csr_matrix((len(queries), histories.n_items), dtype=np.float32)
        more = self.context.lifts(queries)
        query = np.repeat(np.arange(len(queries), dtype=np.int32), np.diff(more.indptr))
        here = values_at(self.context.sold[queries.store], query, more.indices)
        visits = self.context.visits[queries.store]
        more.data = (more.data - 1) * self.context.rates(here, visits[query], self.context.rate[more.indices])
        usual = self.context.rates(self.sold[queries.store], visits[:, None], self.rate)
        multiple = 1 + (more @ self.members).toarray() / np.maximum(usual, 1e-12)
        found = multiple[:, self.category]
        found[:, self.untold] = 1
        return full_rows(found.astype(np.float32))
