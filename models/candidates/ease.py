"""EASE: a linear model of each item from all others, solved in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import spotrf, spotri
from scipy.sparse import csr_matrix

from features.errors import UsageError
from models.candidates.retriever import decayed_counts, full_rows, most_popular
from models.histories import Histories, QueryCodes
from models.interaction_log import InteractionLog
from models.vocabulary import Floats, Ints


@dataclass(frozen=True)
class Ease:
    """Embarrassingly shallow autoencoder: users' vectors X are rebuilt as X B, with no item from itself.

    B = I - P / diag(P), P = (X'X + l2 I)^-1. The score is the query's own vector, up to its cut-off, times B.

    Attributes:
        l2: Ridge penalty, in units of X'X; must be > 0.
        half_life_days: Forgetting in every user's vector; infinite for none.
        power: Exponent on each decayed count; below 1 it damps habits so that variety decides.
        item_cap: Only this many items, the most popular, are modelled, others have no score: time grows
            with its cube, memory with its square (5,000: 3 s, 0.5 GB). Must be >= 2.

    Source:
        Steck (2019), Embarrassingly shallow autoencoders for sparse data, WWW.
    """

    l2: float = 200.0
    half_life_days: float = 120.0
    power: float = 0.5
    item_cap: int = 5_000
    name: str = "ease"

    def __post_init__(self) -> None:
        for field in ("l2", "half_life_days", "power"):
            if not getattr(self, field) > 0:
                raise UsageError(f"{field} == {getattr(self, field)}, must be > 0.")
        if self.item_cap < 2:
            raise UsageError(f"item_cap == {self.item_cap}, must be >= 2.")

    def fit(self, log: InteractionLog) -> FittedEase:
        """The weights between items as of `log.known_until`."""
        kept = most_popular(log, self.item_cap)
        vectors = decayed_counts(log.everyone(), self.half_life_days, self.power)[:, kept]
        gram: Floats = np.asarray((vectors.T @ vectors).toarray(), dtype=np.float32, order="F")
        gram[np.diag_indices_from(gram)] += np.float32(self.l2)
        inverse = _inverse(gram)
        inverse /= -np.diag(inverse).copy()
        np.fill_diagonal(inverse, 0)
        return FittedEase(self, kept, inverse)


@dataclass(frozen=True)
class FittedEase:
    """Weights from each kept item to each other, kept x kept, and the codes of those kept."""

    params: Ease
    kept: Ints
    weights: Floats

    def scores(self, queries: QueryCodes, histories: Histories) -> csr_matrix:
        """What the user's vector says of every kept item, queries x items; never negative."""
        vectors = decayed_counts(histories, self.params.half_life_days, self.params.power)
        block = np.zeros(vectors.shape, dtype=np.float32)
        block[:, self.kept] = vectors[:, self.kept] @ self.weights
        return full_rows(np.maximum(block, 0))


def _inverse(gram: Floats) -> Floats:
    """The inverse of a symmetric positive definite matrix, in single precision where that suffices."""
    factor, failed = spotrf(gram, lower=1, clean=0)
    if failed:  # counts so large beside l2 that single precision loses it
        return np.linalg.inv(gram.astype(np.float64)).astype(np.float32)
    inverse, _ = spotri(factor, lower=1, overwrite_c=1)
    inverse = np.tril(inverse)
    inverse += np.tril(inverse, -1).T
    return np.asarray(inverse, dtype=np.float32)
