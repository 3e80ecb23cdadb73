"""A first guess for newcomers: what sells in their region, segment, store and time of day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from features.errors import UsageError
from models.candidates.retriever import decay, full_rows
from models.histories import Histories, QueryCodes
from models.interaction_log import InteractionLog
from models.vocabulary import Floats, Ints


@dataclass(frozen=True)
class Onboarding:
    """Popularity times how much more an item sells in each part of what is known of a newcomer.

    score(i) = p(i) * product over parts of p(i | value) / p(i), with
    p(i | value) = (n(i, value) + shrinkage p(i)) / (n(value) + shrinkage).
    A part that is unknown, or whose value hardly sold, falls back to the others: its factor is one.

    Attributes:
        max_baskets: Users with more baskets before the cut-off get no proposals; must be >= 0.
        half_life_days: Days until a purchase's weight halves; must be > 0.
        shrinkage: Purchases with a value that outweigh everyone's; must be > 0.

    Source:
        Naive Bayes over the parts, each a Dirichlet mean; MacKay and Peto (1995).
    """

    max_baskets: int = 4
    half_life_days: float = 45.0
    shrinkage: float = 2_000.0
    name: str = "onboarding"

    def __post_init__(self) -> None:
        for field in ("half_life_days", "shrinkage"):
            if not getattr(self, field) > 0:
                raise UsageError(f"{field} == {getattr(self, field)}, must be > 0.")
        if self.max_baskets < 0:
            raise UsageError(f"max_baskets == {self.max_baskets}, must be >= 0.")

    def fit(self, log: InteractionLog) -> FittedOnboarding:
        """Shares and factors as of `log.known_until`."""
        weight = log.weight * decay(log.age_days, self.half_life_days)
        sold = np.bincount(log.item, weights=weight, minlength=log.n_items)
        share = (sold / max(sold.sum(), 1e-12)).astype(np.float32)
        nobody = np.full(log.n_users, -1, dtype=np.int32)
        region, segment = (
            (nobody, nobody) if log.shop is None else (log.shop.user_region, log.shop.user_segment)
        )
        parts = {
            "region": (region[log.user], int(region.max(initial=-1)) + 1),
            "segment": (segment[log.user], int(segment.max(initial=-1)) + 1),
            "store": (log.store, len(log.stores)),
            "daypart": (log.daypart, len(log.dayparts)),
        }
        factors = {}
        for name, (value, n_values) in parts.items():
            if n_values < 2:  # one value is everyone: it tells nothing
                continue
            known = value >= 0
            cells = (weight[known], (value[known], log.item[known]))
            factors[name] = csr_matrix(cells, shape=(n_values + 1, log.n_items), dtype=np.float32)
        return FittedOnboarding(self, share, factors, region, segment)


@dataclass(frozen=True)
class FittedOnboarding:
    """Popularity, and sales by value of each part; the last row of each is empty and serves unknown values.

    Attributes:
        params: How they were counted.
        share: Share of all sales, one an item.
        sold: Decayed sales, values x items, by part.
        region, segment: Of each user; -1 unknown.
    """

    params: Onboarding
    share: Floats
    sold: dict[str, csr_matrix]
    region: Ints
    segment: Ints

    def scores(self, queries: QueryCodes, histories: Histories) -> csr_matrix:
        """Every item's share where the newcomer is, queries x items; nothing for users with a history.

        Examples:
            >>> Onboarding(max_baskets=0).name
            'onboarding'
        """
        thin = np.flatnonzero(histories.n_baskets <= self.params.max_baskets)
        block = np.tile(self.share, (len(thin), 1))
        shrinkage = np.float32(self.params.shrinkage)
        # A stranger's code is -1, and so is what an appended last entry answers for it.
        places = {
            "region": np.append(self.region, -1)[queries.user],
            "segment": np.append(self.segment, -1)[queries.user],
            "store": queries.store,
            "daypart": queries.daypart,
        }
        for name, sold in self.sold.items():
            here = sold[places[name][thin]]
            total = np.asarray(here.sum(axis=1), dtype=np.float32)
            factor = here.toarray() / np.maximum(self.share, np.float32(1e-9)) + shrinkage
            block *= factor / (total + shrinkage)
        found = full_rows(block)
        indptr = np.zeros(len(queries) + 1, dtype=np.int64)
        indptr[thin + 1] = block.shape[1]
        return csr_matrix(
            (found.data, found.indices, np.cumsum(indptr)), shape=(len(queries), len(self.share))
        )
