"""One score from two: half of each, unless validation tells for certain that one is better."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.metrics import ndcg_at
from models.vocabulary import Floats, Ints

_HALF = 0.5
_SHARES = (0.0, 0.25, _HALF, 0.75, 1.0)
_ERRORS = 2.0


def query_ndcg(
    score: NDArray[np.float64], relevant: NDArray[np.bool_], sizes: Ints, k: int = 10
) -> NDArray[np.float64]:
    """NDCG@k of each query that has a relevant row; rows of a query lie together.

    Examples:
        >>> relevant = np.array([True, False, False, True])
        >>> query_ndcg(np.array([1.0, 2, 3, 4]), relevant, np.array([2, 2])).round(3).tolist()
        [0.631, 1.0]
    """
    query = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((-score, query))
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    rank = np.arange(len(order)) - np.repeat(starts, sizes)
    hits = np.zeros((len(sizes), k), dtype=bool)
    first = rank < k
    hits[query[order][first], rank[first]] = relevant[order][first]
    targets = np.bincount(query, weights=relevant, minlength=len(sizes)).astype(np.int32)
    return ndcg_at(hits[targets > 0], targets[targets > 0], k)


def share_of_first(
    first: NDArray[np.float64], second: NDArray[np.float64], label: Floats, sizes: Ints
) -> float:
    """How much of a mix of two scores should be the first, in quarters: half, unless validation tells.

    The share that orders validation best is taken where it beats half by two standard errors of the paired
    difference. Less may be chance, and the mean of two rankers is rarely worse than either.

    Args:
        first, second: Scores of the same rows, alike in scale (see `evened`).
        label: Relevance of the rows; what is > 0 counts alike.
        sizes: Rows of each query, in order.

    Source:
        In the spirit of the standard-error rule of Breiman et al. (1984), Classification and Regression
        Trees.
    """
    relevant = label > 0
    found = {share: query_ndcg(share * first + (1 - share) * second, relevant, sizes) for share in _SHARES}
    best = max(_SHARES, key=lambda share: (found[share].mean() if len(found[share]) else 0, share == _HALF))
    gain = found[best] - found[_HALF]
    if len(gain) and gain.mean() > _ERRORS * gain.std() / np.sqrt(len(gain)):
        return best
    return _HALF


def evened(score: NDArray[np.float64], sizes: Ints) -> float:
    """What to multiply a score by so that it spreads by one within queries."""
    return 1.0 / max(_spread(score, sizes), 1e-12)


def _spread(score: NDArray[np.float64], sizes: Ints) -> float:
    """The standard deviation within queries."""
    query = np.repeat(np.arange(len(sizes)), sizes)
    mean = np.bincount(query, weights=score) / np.maximum(sizes, 1)
    return float(np.sqrt(np.mean((score - mean[query]) ** 2))) if len(score) else 0.0
