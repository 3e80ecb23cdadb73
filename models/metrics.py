"""Ranking metrics, one value per query, for binary relevance.

A target that no candidate list contains counts as missed: ideals and recalls are taken over `n_targets`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.vocabulary import Ints

Hits = NDArray[np.bool_]
Doubles = NDArray[np.float64]


def ndcg_at(hits: Hits, n_targets: Ints, k: int = 10) -> Doubles:
    """Normalised discounted cumulative gain of the first k ranks; the ideal holds min(k, n_targets) hits.

    Args:
        hits: Whether the item at each rank is a target, queries x ranks, best rank first.
        n_targets: Targets of each query, found or not; must be >= 1.

    Source:
        Järvelin and Kekäläinen (2002), Cumulated gain-based evaluation of IR techniques.

    Examples:
        >>> ndcg_at(np.array([[True, False], [False, True]]), np.array([1, 1], np.int32), 2).round(3).tolist()
        [1.0, 0.631]
    """
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discount)])
    gained = hits[:, :k] @ discount[: hits.shape[1]]
    return np.asarray(gained / ideal[np.minimum(n_targets, k)], dtype=np.float64)


def recall_at(hits: Hits, n_targets: Ints, k: int) -> Doubles:
    """Share of the targets among the first k ranks."""
    return np.asarray(hits[:, :k].sum(axis=1) / n_targets, dtype=np.float64)


def hit_rate_at(hits: Hits, k: int) -> Doubles:
    """1 where any of the first k ranks is a target, else 0."""
    return np.asarray(hits[:, :k].any(axis=1), dtype=np.float64)


def average_precision_at(hits: Hits, n_targets: Ints, k: int = 12) -> Doubles:
    """Average precision of the first k ranks, divided by min(k, n_targets); its mean over queries is MAP.

    Examples:
        >>> hits = np.array([[True, False, True]])
        >>> average_precision_at(hits, np.array([2], np.int32), 3).round(3).tolist()
        [0.833]
    """
    first = hits[:, :k]
    precision = np.cumsum(first, axis=1) / np.arange(1, first.shape[1] + 1)
    return np.asarray((precision * first).sum(axis=1) / np.minimum(n_targets, k), dtype=np.float64)


def coverage_at(ranked: Ints, n_items: int, k: int = 10) -> float:
    """Share of the catalogue that appears in anyone's first k ranks; -1 marks an empty rank."""
    shown = np.unique(ranked[:, :k])
    return float((shown >= 0).sum() / max(n_items, 1))
