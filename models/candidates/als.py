"""ALS: users and items as short vectors, learned from what was bought and, weakly, from what was not."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from features.errors import UsageError
from models.candidates.neighbours import spread_sample
from models.candidates.retriever import decayed_counts, full_rows, most_popular
from models.histories import Histories, QueryCodes
from models.interaction_log import InteractionLog
from models.vocabulary import Floats, Ints

_SOLVED_AT_ONCE = 2_000  # systems stacked for one solve: 32 MB of 64 x 64 matrices


@dataclass(frozen=True)
class Als:
    """Implicit feedback matrix factorisation by alternating least squares.

    Minimises sum c_ui (p_ui - x_u . y_i)^2 + regularisation, p_ui = 1 where r_ui > 0, c_ui = 1 + alpha r_ui,
    r_ui the decayed count to the given power. Only item vectors are kept: each query's user is folded in
    from the history up to its cut-off, so that new users and the newest baskets count.

    Attributes:
        factors: Length of the vectors.
        alpha: Weight of a purchase over a non-purchase; must be > 0.
        l2: Ridge penalty; each vector's is l2 times its number of interactions to the power 1/2 (Rendle et
            al. find a scaled penalty decisive). Must be > 0.
        sweeps: Alternations over all users and items.
        half_life_days: Forgetting in every user's history; infinite for none.
        power: Exponent on each decayed count.
        pool_users: At most this many users teach the item vectors, evenly spread.
        item_cap: Only this many items, the most popular, are modelled; others have no score.
        seed: The same seed gives the same vectors.

    Source:
        Hu, Koren and Volinsky (2008), Collaborative filtering for implicit feedback datasets, ICDM;
        Rendle, Krichene, Zhang and Koren (2022), Revisiting the performance of iALS, RecSys.
    """

    factors: int = 64
    alpha: float = 1.0
    l2: float = 2.0
    sweeps: int = 6
    half_life_days: float = 60.0
    power: float = 1.0
    pool_users: int = 10_000
    item_cap: int = 10_000
    seed: int = 20_171_204
    name: str = "als"

    def __post_init__(self) -> None:
        for field in ("alpha", "l2", "half_life_days", "power"):
            if not getattr(self, field) > 0:
                raise UsageError(f"{field} == {getattr(self, field)}, must be > 0.")
        for field in ("factors", "sweeps", "pool_users", "item_cap"):
            if getattr(self, field) < 1:
                raise UsageError(f"{field} == {getattr(self, field)}, must be >= 1.")

    def fit(self, log: InteractionLog) -> FittedAls:
        """The item vectors as of `log.known_until`."""
        kept = most_popular(log, self.item_cap)
        pool = spread_sample(log.n_users, self.pool_users)
        counts = decayed_counts(log.everyone(), self.half_life_days, self.power)
        strength = counts[pool][:, kept]
        by_item = strength.T.tocsr()
        rng = np.random.default_rng(self.seed)
        items = rng.normal(0, 0.1, (len(kept), self.factors)).astype(np.float32)
        for _ in range(self.sweeps):
            users = solved(strength, items, self.alpha, self.l2)
            items = solved(by_item, users, self.alpha, self.l2)
        return FittedAls(self, kept, items)


@dataclass(frozen=True)
class FittedAls:
    """One vector per kept item, and the codes of those kept."""

    params: Als
    kept: Ints
    items: Floats

    def scores(self, queries: QueryCodes, histories: Histories) -> csr_matrix:
        """The predicted preference of every kept item, queries x items; never negative."""
        strength = decayed_counts(histories, self.params.half_life_days, self.params.power)
        users = solved(strength[:, self.kept], self.items, self.params.alpha, self.params.l2)
        block = np.zeros(strength.shape, dtype=np.float32)
        block[:, self.kept] = users @ self.items.T
        return full_rows(np.maximum(block, 0))


def solved(strength: csr_matrix, others: Floats, alpha: float, l2: float) -> Floats:
    """The least-squares vector of each row given the other side's, rows x factors; zero for an empty row.

    Args:
        strength: r of each row and other.
        others: One vector per column of `strength`.
        alpha, l2: As in `Als`.
    """
    n, factors = strength.shape[0], others.shape[1]
    found = np.zeros((n, factors), dtype=np.float32)
    gram = others.T @ others
    eye = np.eye(factors, dtype=np.float32)
    busy = np.flatnonzero(np.diff(strength.indptr))
    for begin in range(0, len(busy), _SOLVED_AT_ONCE):
        rows = busy[begin : begin + _SOLVED_AT_ONCE]
        left = np.empty((len(rows), factors, factors), dtype=np.float32)
        right = np.empty((len(rows), factors, 1), dtype=np.float32)
        for place, row in enumerate(rows):
            span = slice(strength.indptr[row], strength.indptr[row + 1])
            near = others[strength.indices[span]]
            extra = np.float32(alpha) * strength.data[span]
            left[place] = gram + (near.T * extra) @ near
            left[place] += np.float32(l2 * math.sqrt(len(extra))) * eye
            right[place, :, 0] = (1 + extra) @ near
        found[rows] = np.linalg.solve(left, right)[:, :, 0]
    return found
