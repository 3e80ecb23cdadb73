"""The kind of thing: how many of the user's baskets held anything of the item's wider category."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from features.errors import UsageError
from models.candidates.occasion import basket_rows
from models.candidates.retriever import decay, full_rows
from models.candidates.taste import STEP
from models.histories import Histories, QueryCodes
from models.interaction_log import InteractionLog
from models.vocabulary import Ints, Vocabulary


@dataclass(frozen=True)
class Kinds:
    """Share of the user's baskets that held the item's category at a depth of the tree, shrunk to 0.

    An opinion for the ranker on items that are new to the user: the leaf's own share is among the features.

    Attributes:
        depth: Steps of the category path that count; must be >= 1.
        half_life_days: Forgetting; must be > 0.
        shrinkage: Baskets in which nothing of the kind was bought, added to the user's; must be > 0.
    """

    depth: int = 2
    half_life_days: float = 60.0
    shrinkage: float = 1.0

    def __post_init__(self) -> None:
        for field in ("depth", "half_life_days", "shrinkage"):
            if not getattr(self, field) > 0:
                raise UsageError(f"{field} == {getattr(self, field)}, must be > 0.")

    @property
    def name(self) -> str:
        """kind_2 for the category path's first two steps."""
        return f"kind_{self.depth}"

    def fit(self, log: InteractionLog) -> FittedKinds:
        """The kind of each item.

        Examples:
            >>> Kinds(1).name
            'kind_1'
        """
        paths = [STEP.join(str(path).split(STEP)[: self.depth]) for path in log.categories.values]
        kinds = Vocabulary.of(paths) if paths else Vocabulary.of([""])
        of_category = np.append(kinds.codes(paths), np.int32(-1)).astype(np.int32)
        return FittedKinds(self, of_category[log.item_category], len(kinds))


@dataclass(frozen=True)
class FittedKinds:
    """The kind of each item, -1 unknown, and how many there are."""

    params: Kinds
    kind: Ints
    count: int

    def scores(self, queries: QueryCodes, histories: Histories) -> csr_matrix:
        """The shares for every item, queries x items."""
        n, params = len(queries), self.params
        weight = decay(np.maximum(histories.age_days, 0), params.half_life_days)
        width = np.int64(histories.n_baskets.max(initial=0)) + 1
        kind = self.kind[histories.item]
        known = np.flatnonzero(kind >= 0)
        basket = histories.query[known].astype(np.int64) * width + histories.basket_age[known]
        _, once = np.unique(basket * self.count + kind[known], return_index=True)
        held = known[once]  # a basket with three breads is one basket with bread
        cells = (weight[held], (histories.query[held], kind[held]))
        share = csr_matrix(cells, shape=(n, self.count + 1), dtype=np.float32).toarray()
        rows = basket_rows(histories)
        baskets = np.bincount(histories.query[rows], weights=weight[rows], minlength=n)
        share /= (baskets[:, None] + params.shrinkage).astype(np.float32)
        return full_rows(share[:, self.kind])  # -1 reads the last column, in which nothing is
