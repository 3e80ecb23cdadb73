"""Content: items described by the same words as those the user buys."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.sparse import csr_matrix, diags

from features.errors import UsageError
from models.candidates.item_knn import jaccard, nearest_items
from models.candidates.retriever import decayed_counts, full_rows
from models.histories import Histories, QueryCodes
from models.interaction_log import InteractionLog
from models.vocabulary import Floats, Vocabulary

_WORD = re.compile(r"\w+")
Likeness = Literal["cosine", "jaccard"]


@dataclass(frozen=True)
class Content:
    """Likeness of items' texts to the texts of what the user buys; an item needs no buyer for it.

    'cosine' compares each item's TF-IDF vector with the user's, the sum over the decayed history.
    'jaccard' is the share of words that two items have in common, |i & j| / |i | j|, summed over the
    history, the `neighbours` likest kept per item. Without texts it proposes nothing.

    Attributes:
        likeness: 'cosine' or 'jaccard'.
        half_life_days: Forgetting in the user's history; infinite for none.
        power: Exponent on each decayed count; must be > 0.
        neighbours: Likest items kept per item, for 'jaccard'.
        popularity_power: Among items equally alike, those that sell come first: scores are multiplied by
            (1 + purchases) to this power; 0 asks nobody else.

    Source:
        Salton and Buckley (1988), Term-weighting approaches in automatic text retrieval; Jaccard (1912).
    """

    likeness: Likeness = "cosine"
    half_life_days: float = math.inf
    power: float = 1.0
    neighbours: int = 100
    popularity_power: float = 0.0

    def __post_init__(self) -> None:
        if self.likeness not in ("cosine", "jaccard"):
            raise UsageError(f"likeness == {self.likeness!r}, must be 'cosine' or 'jaccard'.")
        for field in ("half_life_days", "power"):
            if not getattr(self, field) > 0:
                raise UsageError(f"{field} == {getattr(self, field)}, must be > 0.")
        if self.neighbours < 1:
            raise UsageError(f"neighbours == {self.neighbours}, must be >= 1.")
        if not self.popularity_power >= 0:
            raise UsageError(f"popularity_power == {self.popularity_power}, must be >= 0.")

    @property
    def name(self) -> str:
        """content_cosine or content_jaccard.

        Examples:
            >>> Content().name
            'content_cosine'
        """
        return f"content_{self.likeness}"

    def fit(self, log: InteractionLog) -> FittedContent:
        """The items' texts as vectors, as of `log.known_until`."""
        counts = word_counts(log.shop.texts if log.shop is not None else [""] * log.n_items)
        sold = np.bincount(log.item, weights=log.weight, minlength=log.n_items)
        prior = ((1 + sold) ** self.popularity_power).astype(np.float32)
        if self.likeness == "cosine":
            return FittedContent(self, tf_idf(counts), prior)
        counts.data[:] = 1
        return FittedContent(self, nearest_items(counts, self.neighbours, jaccard), prior)


@dataclass(frozen=True)
class FittedContent:
    """What likeness is read from.

    Attributes:
        params: How.
        vectors: 'cosine': the items' unit vectors, items x words; 'jaccard': likenesses, items x items.
        prior: What each item's score is multiplied by.
    """

    params: Content
    vectors: csr_matrix
    prior: Floats

    def scores(self, queries: QueryCodes, histories: Histories) -> csr_matrix:
        """Likeness to the user's items, queries x items."""
        strength = decayed_counts(histories, self.params.half_life_days, self.params.power)
        if not self.vectors.nnz:
            return csr_matrix(strength.shape, dtype=np.float32)
        profile = (strength @ self.vectors).tocsr()
        if self.params.likeness == "cosine":
            profile = _unit(profile) @ self.vectors.T
        return full_rows(np.asarray(profile.toarray(), dtype=np.float32) * self.prior)


def word_counts(texts: Sequence[str]) -> csr_matrix:
    """How often each text holds each word, texts x words; words in any case, letters, digits and '_'.

    Examples:
        >>> word_counts(["red wine, RED", ""]).toarray().tolist()
        [[2.0, 1.0], [0.0, 0.0]]
    """
    words = [_WORD.findall(text.lower()) for text in texts]
    flat = [word for text in words for word in text]
    row = np.repeat(np.arange(len(words)), [len(text) for text in words])
    vocabulary = Vocabulary.of(flat)
    shape = (len(words), len(vocabulary))
    return csr_matrix((np.ones(len(flat), np.float32), (row, vocabulary.codes(flat))), shape=shape)


def tf_idf(counts: csr_matrix) -> csr_matrix:
    """Unit rows of (1 + ln tf) (1 + ln((1 + n) / (1 + df)))."""
    n = counts.shape[0]
    holding = np.bincount(counts.indices, minlength=counts.shape[1])
    rarity = 1 + np.log((1 + n) / (1 + holding))
    weighted = counts.copy()
    weighted.data = ((1 + np.log(counts.data)) * rarity[counts.indices]).astype(np.float32)
    return _unit(weighted)


def _unit(rows: csr_matrix) -> csr_matrix:
    """The rows over their lengths; empty rows stay empty."""
    length = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1), dtype=np.float32).ravel())
    return (diags(1 / np.where(length > 0, length, 1)) @ rows).tocsr()
