"""BPR: users and items as short vectors, learned so that what was bought ranks above what was not."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.special import expit

from features.errors import UsageError
from models.candidates.retriever import decayed_counts, full_rows
from models.histories import Histories, QueryCodes
from models.interaction_log import InteractionLog
from models.vocabulary import Floats, Longs

_ADAGRAD_START = 1e-6
_LEAST_STEPS = 100


@dataclass(frozen=True)
class Bpr:
    """Bayesian personalised ranking: ln sigmoid(s_ui - s_uj), s_ui = b_i + p_u . q_i, by AdaGrad.

    A draw is a bought pair (u, i), in proportion to its decayed count to the given power, and an item j
    that the user has not bought, uniform. The cost is that of the draws, however large the log.

    Attributes:
        factors: Length of the vectors.
        learning_rate: AdaGrad's; must be > 0.
        l2: Ridge penalty per draw on the vectors it touches, >= 0.
        draws: At most this many (u, i, j) are learned from.
        passes: Draws per bought pair, where that makes fewer: a small log is not learned by heart.
        batch: Draws per step, fewer where that would make less than 100 steps.
        half_life_days: Forgetting in the counts; infinite for none.
        power: Exponent on each decayed count; must be > 0.
        seed: The same seed gives the same vectors.

    Source:
        Rendle, Freudenthaler, Gantner and Schmidt-Thieme (2009), BPR: Bayesian personalized ranking from
        implicit feedback, UAI; Duchi, Hazan and Singer (2011), Adaptive subgradient methods, JMLR.
    """

    factors: int = 32
    learning_rate: float = 0.05
    l2: float = 0.001
    draws: int = 3_000_000
    passes: int = 50
    batch: int = 20_000
    half_life_days: float = math.inf
    power: float = 1.0
    seed: int = 20_171_204
    name: str = "bpr"

    def __post_init__(self) -> None:
        for field in ("learning_rate", "half_life_days", "power"):
            if not getattr(self, field) > 0:
                raise UsageError(f"{field} == {getattr(self, field)}, must be > 0.")
        for field in ("factors", "draws", "passes", "batch"):
            if getattr(self, field) < 1:
                raise UsageError(f"{field} == {getattr(self, field)}, must be >= 1.")
        if not self.l2 >= 0:
            raise UsageError(f"l2 == {self.l2}, must be >= 0.")

    def fit(self, log: InteractionLog) -> FittedBpr:
        """The vectors as of `log.known_until`."""
        bought = decayed_counts(log.everyone(), self.half_life_days, self.power)
        rng = np.random.default_rng(self.seed)
        buys = np.diff(bought.indptr) > 0
        users = rng.normal(0, 0.1, (log.n_users, self.factors)).astype(np.float32) * buys[:, None]
        # The bias rides as a last column of the items; the users' last column is fixed at one.
        users = np.hstack([users, np.ones((log.n_users, 1), dtype=np.float32)])
        items = rng.normal(0, 0.1, (log.n_items, self.factors + 1)).astype(np.float32)
        items[:, -1] = 0
        if bought.nnz and log.n_items > 1:
            self._learn(users, items, bought, rng)
        return FittedBpr(self, users[:, :-1], items)

    def _learn(self, users: Floats, items: Floats, bought: csr_matrix, rng: np.random.Generator) -> None:
        """Nothing; changes users and items in place."""
        n_items = bought.shape[1]
        user_of = np.repeat(np.arange(bought.shape[0], dtype=np.int64), np.diff(bought.indptr))
        key = user_of * n_items + bought.indices
        chance = np.cumsum(bought.data, dtype=np.float64)
        squares = (
            np.full(users.shape, _ADAGRAD_START, np.float32),
            np.full(items.shape, _ADAGRAD_START, np.float32),
        )
        draws = min(self.draws, self.passes * bought.nnz)
        batch = min(self.batch, -(-draws // _LEAST_STEPS))
        for begin in range(0, draws, batch):
            size = min(batch, draws - begin)
            pair = np.searchsorted(chance, rng.random(size) * chance[-1], side="right")
            pair = np.minimum(pair, len(key) - 1)
            user, liked = user_of[pair], bought.indices[pair].astype(np.int64)
            other = rng.integers(0, n_items, size)
            wanted = user * n_items + other
            kept = key[np.minimum(np.searchsorted(key, wanted), len(key) - 1)] != wanted
            user, liked, other = user[kept], liked[kept], other[kept]
            own, gap = users[user], items[liked] - items[other]
            error = expit(-(own * gap).sum(axis=1))[:, None]
            step_users = error * gap - self.l2 * own
            step_users[:, -1] = 0
            step_liked = error * own - self.l2 * items[liked]
            step_other = -error * own - self.l2 * items[other]
            _climb(users, squares[0], user, step_users, self.learning_rate)
            both = np.concatenate([liked, other])
            _climb(items, squares[1], both, np.concatenate([step_liked, step_other]), self.learning_rate)


@dataclass(frozen=True)
class FittedBpr:
    """Vectors of users (zero where nothing was bought) and items, the items' with their bias last."""

    params: Bpr
    users: Floats
    items: Floats

    def scores(self, queries: QueryCodes, histories: Histories) -> csr_matrix:
        """sigmoid(s_ui), queries x items; a user unknown at the fit is served by the items' bias alone."""
        own = self.users[np.maximum(queries.user, 0)] * (queries.user >= 0)[:, None]
        return full_rows(expit(own @ self.items[:, :-1].T + self.items[:, -1]))


def _climb(vectors: Floats, squares: Floats, rows: Longs, steps: NDArray[np.float32], rate: float) -> None:
    """Nothing; adds each row's summed steps, scaled by AdaGrad, in place."""
    touched, place = np.unique(rows, return_inverse=True)
    order = np.argsort(place, kind="stable")
    bounds = np.concatenate([[0], np.cumsum(np.bincount(place, minlength=len(touched)))])
    gather = csr_matrix((np.ones(len(rows), np.float32), order, bounds), shape=(len(touched), len(rows)))
    total = gather @ steps
    squares[touched] += total**2
    vectors[touched] += np.float32(rate) * total / np.sqrt(squares[touched])
