"""Intervals over users: resamples shared by everything that is compared, so that differences are paired.

Means over queries or targets are bootstrapped. What is no mean, such as coverage, would shrink in every
resample, because a third of the users is missing from it: that takes the delete-a-group jackknife.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from features.errors import UsageError
from models.evaluation import Estimate, EvaluationParams
from models.metrics import Doubles
from models.vocabulary import Column

_CELLS_AT_ONCE = 4_000_000  # of resamples x users: 32 MB
_GROUPS = 50  # of the jackknife


@dataclass(frozen=True)
class UserSample:
    """Who was measured, and how resamples of them are drawn: the same ones for every question.

    Attributes:
        user: Code of each query's user, 0 .. n_users - 1, one entry a query.
        n_users: Distinct users.
        params: Resamples, confidence and seed.
    """

    user: NDArray[np.intp]
    n_users: int
    params: EvaluationParams

    @classmethod
    def of(cls, users: Column, params: EvaluationParams | None = None) -> UserSample:
        """The sample of the queries' users, one entry a query.

        Raises:
            UsageError: There is no query.
        """
        user, distinct = pd.factorize(pd.Series(users), sort=True)
        if not len(distinct):
            raise UsageError("there are 0 queries, must be >= 1; check the split that is measured.")
        return cls(user, len(distinct), params or EvaluationParams())

    def totals(self, values: Doubles) -> Doubles:
        """The sum of each column over each user's queries, users x columns.

        Args:
            values: One row a query.
        """
        sums = [np.bincount(self.user, weights=column, minlength=self.n_users) for column in values.T]
        return np.stack(sums, axis=1) if sums else np.zeros((self.n_users, 0))

    def resampled(self, totals: Doubles) -> Doubles:
        """The columns' sums in every resample of the users, resamples x columns.

        Args:
            totals: users x columns, as `totals` gives them.
        """
        return np.concatenate([draws @ totals for draws in self._draws()])

    def _draws(self) -> Iterator[Doubles]:
        """How often each user is drawn, some resamples at a time; all blocks together are one stream."""
        rng = np.random.default_rng(self.params.seed)
        even = np.full(self.n_users, 1 / self.n_users)
        step = max(_CELLS_AT_ONCE // self.n_users, 1)
        for begin in range(0, self.params.bootstraps, step):
            size = min(step, self.params.bootstraps - begin)
            yield rng.multinomial(self.n_users, even, size=size).astype(np.float64)

    def interval(self, mean: float, drawn: Doubles) -> Estimate:
        """`mean` with the percentiles of its resamples; those that are undefined are left out."""
        defined = drawn[np.isfinite(drawn)]
        if not np.isfinite(mean) or not len(defined):
            return Estimate(float(mean), float("nan"), float("nan"))
        tail = (1 - self.params.confidence) / 2
        low, high = np.quantile(defined, [tail, 1 - tail])
        return Estimate(float(mean), float(low), float(high))

    @cached_property
    def groups(self) -> NDArray[np.intp]:
        """The jackknife's group of each query, dealt out evenly over the users; at most _GROUPS."""
        n_groups = min(_GROUPS, self.n_users)
        dealt = np.random.default_rng(self.params.seed).permutation(self.n_users) % n_groups
        return np.asarray(dealt[self.user], dtype=np.intp)

    def jackknife_interval(self, value: float, left_out: Doubles) -> Estimate:
        """`value` with the normal interval of its jackknife variance.

        Args:
            value: Of all queries; of a difference the difference.
            left_out: Without each of `groups`; of a difference the differences.

        Source: Efron and Tibshirani (1993), An introduction to the bootstrap, chapter 11; for the number of
        distinct kinds in a sample: Heltshe and Forrester (1983), Estimating species richness.
        """
        n_groups = len(left_out)
        if n_groups < 2 or not np.isfinite(value):
            return Estimate(float(value), float("nan"), float("nan"))
        spread = float(np.sqrt((n_groups - 1) / n_groups * ((left_out - left_out.mean()) ** 2).sum()))
        width = float(ndtri((1 + self.params.confidence) / 2)) * spread
        return Estimate(float(value), float(value - width), float(value + width))
