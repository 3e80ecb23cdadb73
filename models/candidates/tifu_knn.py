"""TIFU-KNN: a user's basket history with two rates of forgetting, mixed with that of similar users."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from features.errors import UsageError
from models.candidates.neighbours import mean_of, nearest_users, spread_sample
from models.candidates.retriever import full_rows
from models.histories import Histories, QueryCodes
from models.interaction_log import InteractionLog
from models.vocabulary import Floats, Ints


@dataclass(frozen=True)
class TifuKnn:
    """Temporal item frequency with user-KNN.

    A user's baskets, newest first, are cut into groups of `group_baskets`. Within a group the p-th newest
    basket weighs within_decay^p, groups back weigh across_decay^g; both means make the user's vector u.
    The score is own_share * u + (1 - own_share) * mean of the nearest neighbours' vectors.

    Attributes:
        neighbours: Nearest users (Euclidean), k in the paper.
        within_decay: r_b in the paper, in (0, 1].
        across_decay: r_g in the paper, in (0, 1].
        group_baskets: m in the paper, baskets per group.
        own_share: alpha in the paper, in [0, 1].
        pool_users: At most this many users serve as neighbours, evenly spread.

    Source:
        Hu, He, Gao and Zhang (2020), Modeling personalized item frequency information for next-basket
        recommendation, SIGIR.
    """

    neighbours: int = 20
    within_decay: float = 1.0
    across_decay: float = 0.9
    group_baskets: int = 2
    own_share: float = 0.6
    pool_users: int = 20_000
    name: str = "tifu_knn"

    def __post_init__(self) -> None:
        for field in ("within_decay", "across_decay"):
            if not 0 < getattr(self, field) <= 1:
                raise UsageError(f"{field} == {getattr(self, field)}, must be in (0, 1].")
        for field in ("neighbours", "group_baskets", "pool_users"):
            if getattr(self, field) < 1:
                raise UsageError(f"{field} == {getattr(self, field)}, must be >= 1.")
        if not 0 <= self.own_share <= 1:
            raise UsageError(f"own_share == {self.own_share}, must be in [0, 1].")

    def fit(self, log: InteractionLog) -> FittedTifuKnn:
        """The vectors of possible neighbours as of `log.known_until`."""
        pool = spread_sample(log.n_users, self.pool_users)
        return FittedTifuKnn(self, pool, self.vectors(log.everyone())[pool])

    def vectors(self, histories: Histories) -> csr_matrix:
        """The personalised item frequency of each query of the histories, queries x items."""
        return histories.matrix(
            self.basket_weights(histories.basket_age, histories.n_baskets[histories.query])
        )

    def basket_weights(self, basket_age: Ints, n_baskets: Ints) -> Floats:
        """What a basket of this age counts for in a history of this many baskets.

        Examples:
            >>> params = TifuKnn(within_decay=0.5, across_decay=0.1, group_baskets=2)
            >>> params.basket_weights(np.array([0, 1, 2, 3], np.int32), np.full(4, 4, np.int32)).tolist()
            [0.25, 0.125, 0.02500000037252903, 0.012500000186264515]
        """
        group, place = basket_age // self.group_baskets, basket_age % self.group_baskets
        groups = -(-n_baskets // self.group_baskets)
        # The oldest group may hold fewer baskets than the others: its mean is over those it has.
        size = np.minimum(n_baskets - group * self.group_baskets, self.group_baskets)
        weight = self.within_decay**place * self.across_decay ** group.astype(np.float64)
        return np.asarray(weight / (size * groups), dtype=np.float32)


@dataclass(frozen=True)
class FittedTifuKnn:
    """Vectors of possible neighbours, one row per user of `pool`."""

    params: TifuKnn
    pool: Ints
    vectors: csr_matrix

    def scores(self, queries: QueryCodes, histories: Histories) -> csr_matrix:
        """Own frequency mixed with the neighbours', queries x items."""
        own = self.params.vectors(histories)
        near = nearest_users(own, queries.user, self.vectors, self.pool, self.params.neighbours, "euclidean")
        block = mean_of(near, self.vectors)
        block *= np.float32(1 - self.params.own_share)
        block += (own * np.float32(self.params.own_share)).toarray()
        return full_rows(block)
