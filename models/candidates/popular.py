"""Popular items: what everyone buys, what is bought at this time of day, what is bought in this store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.sparse import csr_matrix

from features.errors import UsageError
from models.candidates.retriever import decay, full_rows
from models.histories import Histories, QueryCodes
from models.interaction_log import InteractionLog
from models.vocabulary import Floats, Ints

Context = Literal["everywhere", "daypart", "store"]


@dataclass(frozen=True)
class Popular:
    """Decayed purchase shares per context, shrunk towards the shares everywhere.

    score(item | context) = (n(item, context) + shrinkage p(item)) / (n(context) + shrinkage): the posterior
    mean under a Dirichlet prior centred on the overall share p. An unknown context falls back to p.

    Attributes:
        context: What the shares are conditioned on.
        half_life_days: Days until a purchase's weight halves; must be > 0.
        shrinkage: Strength of the prior, in purchases; must be > 0.

    Source:
        MacKay and Peto (1995), A hierarchical Dirichlet language model.
    """

    context: Context = "everywhere"
    half_life_days: float = 45.0
    shrinkage: float = 500.0

    def __post_init__(self) -> None:
        for field in ("half_life_days", "shrinkage"):
            if getattr(self, field) <= 0:
                raise UsageError(f"{field} == {getattr(self, field)}, must be > 0.")

    @property
    def name(self) -> str:
        """popular, popular_daypart or popular_store."""
        return "popular" if self.context == "everywhere" else f"popular_{self.context}"

    def fit(self, log: InteractionLog) -> FittedPopular:
        """The shares as of `log.known_until`.

        Examples:
            >>> Popular("store").name
            'popular_store'
        """
        weight = log.weight * decay(log.age_days, self.half_life_days)
        overall = np.bincount(log.item, weights=weight, minlength=log.n_items)
        share = (overall / max(overall.sum(), 1e-12)).astype(np.float32)
        place = _context_of(self.context, log.daypart, log.store)
        n_contexts = {"everywhere": 0, "daypart": len(log.dayparts), "store": len(log.stores)}[self.context]
        known = place >= 0
        counts = csr_matrix(
            (weight[known], (place[known], log.item[known])),
            shape=(n_contexts + 1, log.n_items),
            dtype=np.float32,
        )
        return FittedPopular(self, share, counts, np.asarray(counts.sum(axis=1), dtype=np.float32).ravel())


@dataclass(frozen=True)
class FittedPopular:
    """Shares per context; the last row of `counts` is empty and serves unknown contexts."""

    params: Popular
    share: Floats
    counts: csr_matrix
    totals: Floats

    def scores(self, queries: QueryCodes, histories: Histories) -> csr_matrix:
        """Every item's share in each query's context, queries x items."""
        place = _context_of(self.params.context, queries.daypart, queries.store)
        block: Floats = self.counts[place].toarray()
        block += np.float32(self.params.shrinkage) * self.share
        block /= (self.totals[place] + np.float32(self.params.shrinkage))[:, None]
        return full_rows(block)


def _context_of(context: Context, daypart: Ints, store: Ints) -> Ints:
    """Each entry's row of the counts; -1, the last row, where there is no context."""
    if context == "everywhere":
        return np.full(len(store), -1, dtype=np.int32)
    return daypart if context == "daypart" else store
