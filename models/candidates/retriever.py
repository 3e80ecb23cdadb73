"""What every retriever offers, and the two ways its scores are read."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.histories import Histories, QueryCodes
from models.interaction_log import InteractionLog
from models.vocabulary import Floats, Ints, Longs

BLOCK_CELLS = 8_000_000  # dense cells in flight at once: 32 MB of float32


class FittedRetriever(Protocol):
    """A retriever that has seen a log and scores any query."""

    def scores(self, queries: QueryCodes, histories: Histories) -> csr_matrix:
        """Scores >= 0, queries x items; higher is better, absent means no opinion."""
        ...


class Retriever(Protocol):
    """Parameters of one way to find candidates; `fit` sees only what the log holds."""

    @property
    def name(self) -> str:
        """Short, unique in a blend, a valid column name."""
        ...

    def fit(self, log: InteractionLog) -> FittedRetriever:
        """The retriever as of `log.known_until`."""
        ...


def block_rows(width: int) -> int:
    """Rows of a dense block of this width that keep it within BLOCK_CELLS, at least one."""
    return max(1, BLOCK_CELLS // max(width, 1))


def decay(age_days: Floats, half_life_days: float) -> Floats:
    """Weights that halve every `half_life_days`; all one when it is infinite.

    Examples:
        >>> decay(np.array([0, 30, 60], dtype=np.float32), 30.0).tolist()
        [1.0, 0.5, 0.25]
    """
    return np.asarray(np.exp2(-age_days / np.float32(half_life_days)), dtype=np.float32)


def decayed_counts(histories: Histories, half_life_days: float, power: float) -> csr_matrix:
    """How much each query's user buys each item, queries x items: sums that halve, to a power.

    Args:
        histories: What was bought.
        half_life_days: Infinite counts all alike.
        power: Below 1 it damps habits so that variety decides, above 1 it lifts them.
    """
    counts = histories.matrix(histories.weight * decay(histories.age_days, half_life_days))
    counts.data **= np.float32(power)
    return counts


def most_popular(log: InteractionLog, limit: int) -> Ints:
    """Codes of the `limit` items that weigh most in the log, in code order; among equals the lower code."""
    weight = np.bincount(log.item, weights=log.weight, minlength=log.n_items)
    return np.sort(np.argsort(-weight, kind="stable")[:limit]).astype(np.int32)


def top_of_row(values: NDArray[Any], k: int) -> NDArray[np.intp]:
    """Positions of the k largest values, best first; among equals the lower position wins.

    Examples:
        >>> top_of_row(np.array([1, 3, 3, 0, 3]), 2).tolist()
        [1, 2]
    """
    if len(values) > k:
        positive = np.flatnonzero(values > 0)
        if k <= len(positive) < len(values) // 2:  # mostly zeros: the best are among the few that are not
            return positive[top_of_row(values[positive], k)]
        bar = np.partition(values, len(values) - k)[len(values) - k]
        above = np.flatnonzero(values > bar)
        level = np.flatnonzero(values == bar)[: k - len(above)]
        chosen = np.concatenate([above, level])
        chosen.sort()
    else:
        chosen = np.arange(len(values))
    return chosen[np.argsort(-values[chosen], kind="stable")]


def top_items(matrix: csr_matrix, k: int) -> tuple[Ints, Ints]:
    """(query, item) of the k best-scored items of each row, best first, only scores > 0."""
    queries: list[Ints] = []
    items: list[Ints] = []
    for row in range(matrix.shape[0]):
        begin, end = matrix.indptr[row], matrix.indptr[row + 1]
        best = begin + top_of_row(matrix.data[begin:end], k)
        best = best[matrix.data[best] > 0]
        items.append(matrix.indices[best].astype(np.int32))
        queries.append(np.full(len(best), row, dtype=np.int32))
    if not items:
        return np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32)
    return np.concatenate(queries), np.concatenate(items)


def values_at(matrix: csr_matrix, query: Ints, item: Ints) -> Floats:
    """The score of each (query, item) pair, 0 where the matrix stores none; rows must be sorted.

    Examples:
        >>> scores = csr_matrix(np.array([[0, 2.0], [3.0, 0]], dtype=np.float32))
        >>> values_at(scores, np.array([0, 0, 1], np.int32), np.array([1, 0, 0], np.int32)).tolist()
        [2.0, 0.0, 3.0]
    """
    place, found = _places(matrix, query, item)
    values = np.zeros(len(query), dtype=np.float32)
    values[found] = matrix.data[place[found]]
    return values


def _places(matrix: csr_matrix, query: Ints, item: Ints) -> tuple[Longs, NDArray[np.bool_]]:
    """Where each (query, item) pair is stored, and whether it is."""
    width = np.int64(matrix.shape[1])
    asked = query.astype(np.int64) * width + item
    if matrix.nnz == matrix.shape[0] * width:  # every cell is stored: no search needed
        return asked, np.ones(len(asked), dtype=np.bool_)
    rows = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
    stored = np.append(rows * width + matrix.indices, np.iinfo(np.int64).max)
    place = np.searchsorted(stored, asked)
    return place, stored[place] == asked


def without(matrix: csr_matrix, query: Ints, item: Ints) -> csr_matrix:
    """A copy of the scores in which these (query, item) pairs have none; rows must be sorted.

    Examples:
        >>> scores = csr_matrix(np.array([[1.0, 2.0], [3.0, 0]], dtype=np.float32))
        >>> without(scores, np.array([0, 1], np.int32), np.array([1, 1], np.int32)).toarray().tolist()
        [[1.0, 0.0], [3.0, 0.0]]
    """
    place, found = _places(matrix, query, item)
    data = matrix.data.copy()
    data[place[found]] = 0
    return csr_matrix((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def full_rows(block: Floats) -> csr_matrix:
    """A csr matrix that stores every cell of a dense block, without searching it for zeros."""
    n, width = block.shape
    indices = np.tile(np.arange(width, dtype=np.int32), n)
    indptr = np.arange(0, n * width + 1, width, dtype=np.int64) if width else np.zeros(n + 1, dtype=np.int64)
    return csr_matrix((block.ravel(), indices, indptr), shape=(n, width))
