"""What the user buys again: personal frequency, weighted by recency."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from features.errors import UsageError
from models.candidates.retriever import decay
from models.histories import Histories, QueryCodes
from models.interaction_log import InteractionLog


@dataclass(frozen=True)
class Personal:
    """Baskets of the user that held the item, each weighing half as much every half-life.

    Attributes:
        half_life_days: Must be > 0; infinite counts all baskets alike.

    Source:
        Hu et al. (2020), the P-TopFreq baseline, with exponential forgetting.
    """

    half_life_days: float = math.inf

    def __post_init__(self) -> None:
        if not self.half_life_days > 0:
            raise UsageError(f"half_life_days == {self.half_life_days}, must be > 0.")

    @property
    def name(self) -> str:
        """personal, or personal_60d for a half-life of 60 days.

        Examples:
            >>> Personal().name, Personal(60).name
            ('personal', 'personal_60d')
        """
        return "personal" if math.isinf(self.half_life_days) else f"personal_{self.half_life_days:g}d"

    def fit(self, log: InteractionLog) -> Personal:
        """Itself: there is nothing to learn from others."""
        return self

    def scores(self, queries: QueryCodes, histories: Histories) -> csr_matrix:
        """Weighted basket counts of the items the user has bought, queries x items."""
        age = np.maximum(histories.age_days, 0)
        return histories.matrix(histories.weight * decay(age, self.half_life_days))
