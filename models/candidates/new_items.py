"""What is new: young items by how fast they started to sell, in the categories that the user buys."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from features.errors import UsageError
from models.candidates.retriever import full_rows
from models.candidates.taste import Tastes
from models.histories import Histories, QueryCodes
from models.interaction_log import SECONDS_PER_DAY, InteractionLog
from models.vocabulary import Floats


@dataclass(frozen=True)
class NewItems:
    """Items in their first weeks, by early velocity and taste.

    An item is as old as the shop says, else as its first sale in the log. A first sale says so only when the
    log had been running for `young_days` before it: what sold in its first weeks may be older than the log.

    velocity(i) = (sales + prior_days * usual velocity of young items) / (age in days + prior_days)

    Attributes:
        young_days: Oldest age of a new item; must be > 0.
        prior_days: Days of an item's own sales that outweigh those of other new items; must be > 0.
        taste_shrinkage: As in `Promoted`; must be > 0.

    Source:
        Gamma-Poisson mean of a rate.
    """

    young_days: float = 42.0
    prior_days: float = 7.0
    taste_shrinkage: float = 5.0
    name: str = "new_items"

    def __post_init__(self) -> None:
        for field in ("young_days", "prior_days", "taste_shrinkage"):
            if not getattr(self, field) > 0:
                raise UsageError(f"{field} == {getattr(self, field)}, must be > 0.")

    def fit(self, log: InteractionLog) -> FittedNewItems:
        """Ages and velocities as of `log.known_until`."""
        age = self.ages(log)
        young = (age >= 0) & (age <= self.young_days)
        sold = np.bincount(log.item, weights=log.weight, minlength=log.n_items)
        usual = sold[young].sum() / max(float(age[young].sum()), 1.0)
        velocity = (sold + self.prior_days * usual) / (np.maximum(age, 0.0) + self.prior_days)
        score = np.where(young, velocity, 0.0).astype(np.float32)
        return FittedNewItems(score, Tastes.of(log, self.taste_shrinkage, half_life_days=180.0))

    def ages(self, log: InteractionLog) -> Floats:
        """Days since each item appeared; infinite where nothing tells, < 0 for what is yet to come."""
        first = np.full(log.n_items, np.iinfo(np.int64).max, dtype=np.int64)
        np.minimum.at(first, log.item, log.time)
        begun = log.time.min(initial=np.iinfo(np.int64).max)
        seen = first < np.iinfo(np.int64).max
        telling = seen & ((first - begun) / SECONDS_PER_DAY > self.young_days)
        appeared = np.where(telling, first, 0)
        told = telling
        if log.shop is not None:
            created = log.shop.created
            appeared = np.where(created >= 0, created, appeared)
            told = told | (created >= 0)
        return np.where(told, (log.known_until - appeared) / SECONDS_PER_DAY, np.inf).astype(np.float32)


@dataclass(frozen=True)
class FittedNewItems:
    """The velocity of each young item; 0 for others."""

    score: Floats
    tastes: Tastes

    def scores(self, queries: QueryCodes, histories: Histories) -> csr_matrix:
        """Young items by velocity and taste, queries x items.

        Examples:
            >>> NewItems(young_days=28).young_days
            28
        """
        if not self.score.any():
            return csr_matrix((len(queries), len(self.score)), dtype=np.float32)
        return full_rows(self.tastes.of_items(histories) * self.score)
