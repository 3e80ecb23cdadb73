"""What an experiment measures: a value a unit, or a ratio of two, each over the unit's own window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.errors import RefusedError, UsageError

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """A metric, declared before the first unit is seen.

    Attributes:
        name: What people call it.
        column: Outcome whose sum over the unit's window counts.
        per: Outcome that divides it: the metric is the arm's total of the one over its total of the other,
            as opens a push; None for a mean a unit.
        is_flag: Whether only counts that the unit has any, as converted or opted out.
        higher_is_better: False for opt-outs and complaints.
        cap: Winsorised: a unit's sum counts as this at most. A cap chosen after the fact is none.
        covariate: The unit's value before the experiment, which cuts variance (CUPED); may be missing.
    """

    name: str
    column: str
    per: str | None = None
    is_flag: bool = False
    higher_is_better: bool = True
    cap: float | None = None
    covariate: str | None = None

    def __post_init__(self) -> None:
        if self.cap is not None and not self.cap > 0:
            raise UsageError(f"metric {self.name!r}: cap == {self.cap:g}, must be > 0; correct or drop it.")

    @property
    def columns(self) -> tuple[str, ...]:
        """The outcomes that it needs."""
        return (self.column,) if self.per is None else (self.column, self.per)

    def numerators(self, sums: Doubles) -> Doubles:
        """What each unit's sum counts as.

        Examples:
            >>> Metric("spend", "amount", cap=100.0).numerators(np.array([0.0, 30.0, 900.0])).tolist()
            [0.0, 30.0, 100.0]
        """
        counted = (sums > 0).astype(np.float64) if self.is_flag else sums
        return counted if self.cap is None else np.minimum(counted, self.cap)

    def values(self, sums: Mapping[str, Doubles]) -> Doubles:
        """One value a unit of one arm, whose mean is the metric and whose variance is n times its variance.

        For a ratio these are its linear expansion about the arm's ratio (the delta method), so that units
        with many pushes count as often as they have pushes, and their pushes are not taken as independent.

        Args:
            sums: Outcome -> the sum over each unit's window, units of one arm.

        Raises:
            RefusedError: The denominators sum to nothing.

        Source: Deng, Knoblich and Lu (2018), Applying the delta method in metric analytics.

        Examples:
            >>> rate = Metric("open rate", "opens", per="pushes")
            >>> sums = {"opens": np.array([1.0, 0.0, 3.0]), "pushes": np.array([2.0, 2.0, 4.0])}
            >>> float(rate.values(sums).mean())
            0.5
        """
        counted = self.numerators(sums[self.column])
        if self.per is None:
            return counted
        below = sums[self.per]
        mean_below = float(below.mean()) if len(below) else 0.0
        if not mean_below > 0.0:
            raise RefusedError(
                f"metric {self.name!r}: an arm has no {self.per}, so there is nothing to divide by; "
                "wait for more units."
            )
        ratio = float(counted.mean()) / mean_below
        return np.asarray(ratio + (counted - ratio * below) / mean_below, dtype=np.float64)
