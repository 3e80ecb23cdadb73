"""What is on its way up: sold more of late than it used to be, in the categories that the user buys."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from features.errors import UsageError
from models.candidates.retriever import decay, full_rows
from models.candidates.taste import Tastes
from models.histories import Histories, QueryCodes
from models.interaction_log import InteractionLog
from models.vocabulary import Floats


@dataclass(frozen=True)
class Trending:
    """Short over long decayed sales, shrunk to no trend.

    expected(i) = all short sales * the item's share of long sales
    trend(i) = (short(i) + shrinkage) / (expected(i) + shrinkage)
    score(i) = short(i) * trend(i)^power * the user's taste for its category: sales tell how many may care,
    the trend how much more than usual. Only items with a trend above one are proposed.

    Attributes:
        short_days, long_days: Half-lives of both rates; 0 < short_days < long_days.
        shrinkage: Sales that outweigh what a few more or fewer say; must be > 0.
        power: How much more the trend counts than sales; must be >= 0.
        taste_shrinkage: As in `Promoted`; must be > 0.

    Source:
        The ratio of two exponential averages, as of trend detection with MACD; Gamma-Poisson shrinkage.
    """

    short_days: float = 7.0
    long_days: float = 60.0
    shrinkage: float = 10.0
    power: float = 1.0
    taste_shrinkage: float = 5.0
    name: str = "trending"

    def __post_init__(self) -> None:
        if not 0 < self.short_days < self.long_days:
            raise UsageError(
                f"short_days == {self.short_days}, must be > 0 and < long_days == {self.long_days}."
            )
        for field in ("shrinkage", "taste_shrinkage"):
            if not getattr(self, field) > 0:
                raise UsageError(f"{field} == {getattr(self, field)}, must be > 0.")
        if not self.power >= 0:
            raise UsageError(f"power == {self.power}, must be >= 0.")

    def fit(self, log: InteractionLog) -> FittedTrending:
        """Trends as of `log.known_until`."""
        short, long = (
            np.bincount(log.item, weights=log.weight * decay(log.age_days, days), minlength=log.n_items)
            for days in (self.short_days, self.long_days)
        )
        expected = short.sum() * long / max(long.sum(), 1e-12)
        trend = (short + self.shrinkage) / (expected + self.shrinkage)
        score = np.where(trend > 1, short * trend**self.power, 0.0).astype(np.float32)
        return FittedTrending(score, Tastes.of(log, self.taste_shrinkage, half_life_days=180.0))


@dataclass(frozen=True)
class FittedTrending:
    """The score of each item before taste; 0 for what does not trend."""

    score: Floats
    tastes: Tastes

    def scores(self, queries: QueryCodes, histories: Histories) -> csr_matrix:
        """Trending items by taste, queries x items.

        Examples:
            >>> Trending(short_days=3).long_days
            60.0
        """
        return full_rows(self.tastes.of_items(histories) * self.score)
