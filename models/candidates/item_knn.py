"""Item-KNN: items bought by the same users as those the user buys."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from features.errors import UsageError
from models.candidates.neighbours import spread_sample
from models.candidates.retriever import block_rows, decayed_counts, full_rows, top_items, values_at
from models.histories import Histories, QueryCodes
from models.interaction_log import InteractionLog
from models.vocabulary import Floats

Similarity = Callable[[Floats, Floats, Floats], Floats]


def nearest_items(vectors: csr_matrix, k: int, similarity: Similarity) -> csr_matrix:
    """The k largest similarities of each item, items x items, none with itself.

    Args:
        vectors: One row per item.
        k: Neighbours kept per item.
        similarity: Of the two items' dot product and squared lengths, all > 0.

    Examples:
        >>> rows = csr_matrix(np.array([[3, 4], [6, 8], [1, 0]], dtype=np.float32))
        >>> nearest_items(rows, 1, shrunk_cosine(0)).toarray().round(1).tolist()
        [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.6000000238418579, 0.0, 0.0]]
    """
    squared = np.asarray(vectors.multiply(vectors).sum(axis=1), dtype=np.float32).ravel()
    turned = vectors.T.tocsr()
    n = vectors.shape[0]
    parts = [(np.zeros(0, np.float32), np.zeros(0, np.int32), np.zeros(0, np.int32))]
    for begin in range(0, n, step := block_rows(n)):
        block = (vectors[begin : begin + step] @ turned).tocsr()
        block.sort_indices()
        item = np.repeat(np.arange(block.shape[0], dtype=np.int32), np.diff(block.indptr)) + begin
        alike = similarity(block.data, squared[item], squared[block.indices])
        block.data = np.where(item == block.indices, 0, alike).astype(np.float32)
        row, near = top_items(block, k)
        parts.append((values_at(block, row, near), (row + begin).astype(np.int32), near))
    values, items, nears = (np.concatenate(column) for column in zip(*parts, strict=True))
    return csr_matrix((values, (items, nears)), shape=(n, n), dtype=np.float32)


def shrunk_cosine(shrinkage: float) -> Similarity:
    """The cosine with `shrinkage` added to the product of the lengths, so that few carriers are doubted."""
    return lambda dot, first, second: dot / (np.sqrt(first * second) + np.float32(shrinkage))


def jaccard(dot: Floats, first: Floats, second: Floats) -> Floats:
    """Shared over all, dot / (first + second - dot): of 0/1 vectors the Jaccard index.

    Examples:
        >>> jaccard(*(np.array([n], np.float32) for n in (2, 3, 3))).tolist()
        [0.5]
    """
    return dot / (first + second - dot)


@dataclass(frozen=True)
class ItemKnn:
    """Cosine between the items' columns of the users x items matrix, summed over the user's own items.

    similarity(i, j) = u_i . u_j / (|u_i| |u_j| + shrinkage), the `neighbours` largest per item, an item not
    its own neighbour. Unlike in `Covisit`, items share a user, not a basket.

    Attributes:
        neighbours: Most similar items kept per item.
        half_life_days: Forgetting in every user's vector; infinite for none.
        power: Exponent on each decayed count.
        shrinkage: Doubts similarities that few users carry; in units of |u_i| |u_j|, must be >= 0.
        pool_users: At most this many users teach similarity, evenly spread.

    Source:
        Sarwar et al. (2001), Item-based collaborative filtering recommendation algorithms, WWW;
        Deshpande and Karypis (2004), Item-based top-N recommendation algorithms, TOIS.
    """

    neighbours: int = 100
    half_life_days: float = math.inf
    power: float = 0.5
    shrinkage: float = 10.0
    pool_users: int = 20_000
    name: str = "item_knn"

    def __post_init__(self) -> None:
        for field in ("half_life_days", "power"):
            if not getattr(self, field) > 0:
                raise UsageError(f"{field} == {getattr(self, field)}, must be > 0.")
        for field in ("neighbours", "pool_users"):
            if getattr(self, field) < 1:
                raise UsageError(f"{field} == {getattr(self, field)}, must be >= 1.")
        if not self.shrinkage >= 0:
            raise UsageError(f"shrinkage == {self.shrinkage}, must be >= 0.")

    def fit(self, log: InteractionLog) -> FittedItemKnn:
        """Every item's neighbours as of `log.known_until`."""
        pool = spread_sample(log.n_users, self.pool_users)
        by_item = decayed_counts(log.everyone(), self.half_life_days, self.power)[pool].T.tocsr()
        return FittedItemKnn(self, nearest_items(by_item, self.neighbours, shrunk_cosine(self.shrinkage)))


@dataclass(frozen=True)
class FittedItemKnn:
    """Similarities to each item's neighbours, items x items."""

    params: ItemKnn
    similarity: csr_matrix

    def scores(self, queries: QueryCodes, histories: Histories) -> csr_matrix:
        """Similarity to the user's items, each weighing as much as the user buys it, queries x items."""
        counts = decayed_counts(histories, self.params.half_life_days, self.params.power)
        block = (counts @ self.similarity).toarray()
        return full_rows(np.asarray(block, dtype=np.float32))
