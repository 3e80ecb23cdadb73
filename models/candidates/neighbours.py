"""Users alike: who resembles whom, and what they buy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.sparse import csr_matrix, diags

from features.errors import UsageError
from models.candidates.retriever import block_rows, decay, full_rows, top_of_row
from models.histories import Histories, QueryCodes
from models.interaction_log import InteractionLog
from models.vocabulary import Floats, Ints

Metric = Literal["cosine", "euclidean"]


def nearest_users(
    asking: csr_matrix, asking_user: Ints, others: csr_matrix, other_user: Ints, k: int, metric: Metric
) -> csr_matrix:
    """Similarities of the k nearest others of each asking row, asking x others; a user is not its own.

    Args:
        asking: One vector per query.
        asking_user: The user behind each asking row.
        others: One vector per possible neighbour; empty vectors are never neighbours.
        other_user: The user behind each row of `others`.
        k: Neighbours kept per row.
        metric: 'cosine' keeps positive cosines; 'euclidean' keeps the nearest and stores 1 for each.

    Returns:
        Sparse; memory is bounded by working through blocks of rows.
    """
    length = np.sqrt(_squared_lengths(others))
    candidates = np.flatnonzero(length > 0)
    pool = others[candidates]
    if metric == "cosine":
        pool = diags(1 / length[candidates]) @ pool
        reach = np.sqrt(_squared_lengths(asking))
        asking = diags(1 / np.where(reach > 0, reach, 1)) @ asking
    pool_t = pool.T.tocsr()
    pool_user = other_user[candidates]
    half = (length[candidates] ** 2 / 2).astype(np.float32)
    step = block_rows(len(candidates))
    data: list[Floats] = []
    indices: list[Ints] = []
    counts = np.zeros(asking.shape[0], dtype=np.int64)
    for begin in range(0, asking.shape[0], step):
        block = np.asarray((asking[begin : begin + step] @ pool_t).toarray(), dtype=np.float32)
        if metric == "euclidean":
            # argmin |a - b|^2 = argmax a.b - |b|^2 / 2
            block -= half
        for offset, row in enumerate(block):
            row[pool_user == asking_user[begin + offset]] = -np.inf
            best = top_of_row(row, k)
            best = best[row[best] > (0 if metric == "cosine" else -np.inf)]
            counts[begin + offset] = len(best)
            indices.append(candidates[best].astype(np.int32))
            data.append(row[best] if metric == "cosine" else np.ones(len(best), dtype=np.float32))
    indptr = np.concatenate([[0], np.cumsum(counts)])
    flat = np.concatenate(data) if data else np.zeros(0, dtype=np.float32)
    where = np.concatenate(indices) if indices else np.zeros(0, dtype=np.int32)
    return csr_matrix((flat, where, indptr), shape=(asking.shape[0], others.shape[0]))


def mean_of(near: csr_matrix, vectors: csr_matrix) -> Floats:
    """The weighted mean of each row's neighbours, a dense block; zero for a row without neighbours."""
    total = np.asarray(near.sum(axis=1), dtype=np.float32).ravel()
    # Dense at once: hundreds of neighbours together hold most items, and sorting them would cost more.
    block = np.asarray((near @ vectors).toarray(), dtype=np.float32)
    block /= np.where(total > 0, total, 1)[:, None]
    return block


def spread_sample(n: int, limit: int) -> Ints:
    """At most `limit` of the positions 0..n-1, evenly spread.

    Examples:
        >>> spread_sample(10, 4).tolist(), spread_sample(3, 4).tolist()
        ([0, 2, 5, 7], [0, 1, 2])
    """
    if n <= limit:
        return np.arange(n, dtype=np.int32)
    return (np.arange(limit, dtype=np.int64) * n // limit).astype(np.int32)


def _squared_lengths(vectors: csr_matrix) -> Floats:
    """The squared Euclidean length of each row."""
    return np.asarray(vectors.multiply(vectors).sum(axis=1), dtype=np.float32).ravel()


@dataclass(frozen=True)
class UserNeighbours:
    """User-KNN: cosine-weighted purchases of the users whose decayed baskets look most alike.

    Attributes:
        neighbours: How many are asked.
        half_life_days: Forgetting in every user's vector; infinite for none.
        power: Exponent on each decayed count; below 1 it damps habits so that variety decides.
        pool_users: At most this many users serve as neighbours, evenly spread, so that cost per query is
            bounded on large audiences.

    The defaults find the most items that are new to the user; `models.baselines` holds those that rank best.

    Source:
        Sarwar et al. (2000), Analysis of recommendation algorithms for e-commerce.
    """

    neighbours: int = 100
    half_life_days: float = 60.0
    power: float = 0.5
    pool_users: int = 20_000
    name: str = "user_neighbours"

    def __post_init__(self) -> None:
        for field in ("neighbours", "half_life_days", "power", "pool_users"):
            if not getattr(self, field) > 0:
                raise UsageError(f"{field} == {getattr(self, field)}, must be > 0.")

    def fit(self, log: InteractionLog) -> FittedUserNeighbours:
        """The vectors of possible neighbours as of `log.known_until`."""
        pool = spread_sample(log.n_users, self.pool_users)
        return FittedUserNeighbours(self, pool, self.vectors(log.everyone())[pool])

    def vectors(self, histories: Histories) -> csr_matrix:
        """One vector per query of the histories."""
        matrix = histories.matrix(histories.weight * decay(histories.age_days, self.half_life_days))
        matrix.data **= np.float32(self.power)
        return matrix


@dataclass(frozen=True)
class FittedUserNeighbours:
    """Vectors of possible neighbours, one row per user of `pool`."""

    params: UserNeighbours
    pool: Ints
    vectors: csr_matrix

    def scores(self, queries: QueryCodes, histories: Histories) -> csr_matrix:
        """Similarity-weighted mean of the neighbours' unit vectors, queries x items."""
        asking = self.params.vectors(histories)
        near = nearest_users(asking, queries.user, self.vectors, self.pool, self.params.neighbours, "cosine")
        length = np.sqrt(_squared_lengths(self.vectors))
        return full_rows(mean_of(near, diags(1 / np.where(length > 0, length, 1)) @ self.vectors))
