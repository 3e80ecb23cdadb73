"""What the user is expected to buy here and now: people alike, the store, taste and promotions together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from features.errors import UsageError
from models.candidates.neighbours import UserNeighbours
from models.candidates.promoted import FittedPromoted, Promoted
from models.candidates.retriever import FittedRetriever, Retriever, full_rows
from models.histories import Histories, QueryCodes
from models.interaction_log import InteractionLog
from models.vocabulary import Floats


@dataclass(frozen=True)
class Expected:
    """Every item by the share of sales that people alike and the place give it, times its promotion's lift.

    score = (share among people alike + place_share * share in the store * taste for the category) * lift.
    It finds items that are new to the user: what is bought by habit is the personal retrievers' business.

    Attributes:
        alike: Score every item by what people alike buy; each is read as shares of each query's sum, and
            their mean counts.
        context: How sales, lifts and tastes are read from the log; its `min_lift` plays no part.
        place_share: Weight of store and taste beside people alike; must be >= 0.

    Source:
        A product of multiplicative effects, as in demand models of retail: Cohen et al. (2017), The impact
        of linear optimization on promotion planning, Operations Research.
    """

    alike: tuple[Retriever, ...] = (UserNeighbours(),)
    context: Promoted = Promoted(min_lift=0.0)
    place_share: float = 0.5
    name: str = "expected"

    def __post_init__(self) -> None:
        if not self.place_share >= 0:
            raise UsageError(f"place_share == {self.place_share}, must be >= 0.")

    def fit(self, log: InteractionLog) -> FittedExpected:
        """People alike, places and promotions as of `log.known_until`."""
        return FittedExpected(self, tuple(one.fit(log) for one in self.alike), self.context.fit(log))


@dataclass(frozen=True)
class FittedExpected:
    """Both halves, fitted on one log."""

    params: Expected
    alike: tuple[FittedRetriever, ...]
    context: FittedPromoted

    def scores(self, queries: QueryCodes, histories: Histories) -> csr_matrix:
        """Expected sales in shares of a query's own, queries x items.

        Examples:
            >>> [one.name for one in Expected().alike]
            ['user_neighbours']
        """
        block = np.zeros((len(queries), histories.n_items), dtype=np.float32)
        for one in self.alike:
            _add_shares(block, one.scores(queries, histories).toarray(), 1 / len(self.alike))
        _add_shares(block, self.context.place_rates(queries, histories), self.params.place_share)
        lifts = self.context.lifts(queries)
        query = np.repeat(np.arange(len(queries)), np.diff(lifts.indptr))
        block[query, lifts.indices] *= lifts.data
        return full_rows(block)


def _add_shares(block: Floats, scores: Floats, weight: float) -> None:
    """Adds each row of scores, in shares of its sum, to the block."""
    scores *= np.float32(weight) / np.maximum(scores.sum(axis=1, keepdims=True), 1e-12)
    block += scores
