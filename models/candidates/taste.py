"""Taste: how much more than others a user buys of each category, from the top of the tree downwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from models.candidates.retriever import decay
from models.histories import Histories
from models.interaction_log import InteractionLog
from models.vocabulary import Floats, Ints, Vocabulary

STEP = " > "
"""What parts the steps of a category path."""


@dataclass(frozen=True)
class Tastes:
    """Shares of categories in the whole log's purchases, at every depth of the tree.

    Attributes:
        leaf: Position of each item's category among `levels`' columns; -1 unknown.
        levels: Node of each category at each depth, from the top, depths x categories.
        shares: Share of each node in all purchases, one array a depth.
        shrinkage: Purchases of the user that outweigh what everyone does at each step of the path.
        half_life_days: How fast the user's own purchases are forgotten.
    """

    leaf: Ints
    levels: tuple[Ints, ...]
    shares: tuple[Floats, ...]
    shrinkage: float
    half_life_days: float

    @classmethod
    def of(cls, log: InteractionLog, shrinkage: float, half_life_days: float) -> Tastes:
        """The tree of the log's categories as of `log.known_until`."""
        used, leaf = np.unique(log.item_category, return_inverse=True)
        if len(used) and used[0] < 0:
            used, leaf = used[1:], leaf - 1
        paths = [str(name).split(STEP) for name in log.categories.decode(used)]
        sold = np.bincount(log.item, weights=log.weight, minlength=log.n_items)
        levels, shares = [], []
        for depth in range(1, max(map(len, paths), default=0) + 1):
            names = [STEP.join(path[:depth]) for path in paths]
            nodes = Vocabulary.of(names)
            level = nodes.codes(names)
            known = leaf >= 0
            total = np.bincount(level[leaf[known]], weights=sold[known], minlength=len(nodes))
            levels.append(level)
            shares.append(np.asarray(total / max(total.sum(), 1e-12), dtype=np.float32))
        return cls(leaf.astype(np.int32), tuple(levels), tuple(shares), shrinkage, half_life_days)

    def of_queries(self, histories: Histories) -> Floats:
        """How many times everyone's share of each category a user's is, queries x categories; 1 is no taste.

        Down the path, share(node) = share(parent) * (n(node) + s p(node | parent)) / (n(parent) + s): what is
        not known of the user at one step is taken from what everyone does there.

        Source:
            MacKay and Peto (1995), A hierarchical Dirichlet language model.
        """
        n, width = len(histories.n_baskets), len(self.levels[0]) if self.levels else 0
        leaf = self.leaf[histories.item]
        known = leaf >= 0
        weight = (histories.weight * decay(histories.age_days, self.half_life_days))[known]
        ratio = np.ones((n, width), dtype=np.float32)
        above = np.bincount(histories.query[known], weights=weight, minlength=n).astype(np.float32)[:, None]
        above_share = np.ones(width, dtype=np.float32)
        for level, share in zip(self.levels, self.shares, strict=True):
            cells = (weight, (histories.query[known], level[leaf[known]]))
            counts = csr_matrix(cells, shape=(n, len(share)), dtype=np.float32).toarray()[:, level]
            given = np.where(above_share > 0, share[level] / np.maximum(above_share, 1e-12), 0)
            grown = counts + np.float32(self.shrinkage) * given
            grown /= (above + np.float32(self.shrinkage)) * np.maximum(given, 1e-6)
            ratio *= np.where(given > 0, grown, 1)  # what nobody bought yet is no matter of taste
            above, above_share = counts, share[level]
        return ratio

    def at(self, ratio: Floats, query: Ints, item: Ints) -> Floats:
        """The taste of each (query, item) pair; 1 for an item without a category."""
        if not self.levels:
            return np.ones(len(item), dtype=np.float32)
        leaf = self.leaf[item]
        return np.where(leaf >= 0, ratio[query, np.maximum(leaf, 0)], 1).astype(np.float32)

    def of_items(self, histories: Histories) -> Floats:
        """The taste of every query for every item, dense queries x items; 1 for items without a category."""
        ratio = self.of_queries(histories)
        if not self.levels:
            return np.ones((len(ratio), len(self.leaf)), dtype=np.float32)
        return np.where(self.leaf >= 0, ratio[:, np.maximum(self.leaf, 0)], np.float32(1))
