"""The difference of two arms whose shares moved while the experiment ran (Thompson), with honest errors.

A plain mean of an arm that got more units because it looked good is biased downwards (an arm that looked
bad by chance stays small) and is not normal either. Each unit is instead scored by its inverse propensity
about what was known of the arm before its batch, which has no bias, and scores are weighed by the root of
the propensity, which evens out their variances and makes the weighted mean normal.

Source: Hadad, Hirshberg, Zhan, Wager and Athey (2021), Confidence intervals for policy evaluation in adaptive
experiments, PNAS 118(15): weights of constant allocation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.errors import RefusedError, UsageError
from monitoring.experiments.cuped import Difference
from monitoring.experiments.metrics import Doubles


@dataclass(frozen=True)
class ArmMean:
    """One arm's mean as it would be of all units, and its standard error."""

    mean: float
    error: float
    units: int


def adaptive_mean(
    values: Doubles, in_arm: NDArray[np.bool_], propensity: Doubles, batch: NDArray[np.int64]
) -> ArmMean:
    """The mean that an arm would have if every unit were in it.

    Args:
        values: Each unit's, of all arms.
        in_arm: Whether it is in the arm.
        propensity: The chance it had of that arm when it came, > 0, whichever it is in.
        batch: Shares were constant within a batch and set by earlier batches only.

    Raises:
        UsageError: A propensity that is none.
        RefusedError: The arm has fewer than two units, or they are all alike.

    Examples:
        >>> even = adaptive_mean(np.array([1.0, 0.0, 1.0, 0.0]), np.array([True, True, False, False]),
        ...                      np.full(4, 0.5), np.zeros(4, dtype=np.int64))
        >>> even.mean
        0.5
    """
    if not ((propensity > 0.0) & (propensity <= 1.0)).all():
        raise UsageError("a propensity is not in (0, 1]; log each unit's chance of every arm when it comes.")
    if int(in_arm.sum()) < 2:
        raise RefusedError(f"an arm has {int(in_arm.sum())} units, must be >= 2; wait for more.")
    guess = _known_before(values, in_arm, batch)
    score = guess + np.where(in_arm, (values - guess) / propensity, 0.0)
    weight = np.sqrt(propensity)
    total = float(weight.sum())
    mean = float(weight @ score) / total
    error = float(np.sqrt((weight**2) @ (score - mean) ** 2)) / total
    if not error > 0.0:
        raise RefusedError("every unit of an arm has the same value: there is no spread to judge by; wait.")
    return ArmMean(mean, error, int(in_arm.sum()))


def adaptive_difference(treatment: ArmMean, control: ArmMean) -> Difference:
    """Treatment minus control; the errors of the two add up, as the source has it."""
    return Difference(
        effect=treatment.mean - control.mean,
        error=float(np.hypot(treatment.error, control.error)),
        control_mean=control.mean,
        units=(treatment.units, control.units),
        variance_cut=0.0,
    )


def _known_before(values: Doubles, in_arm: NDArray[np.bool_], batch: NDArray[np.int64]) -> Doubles:
    """For each unit the arm's plain mean over earlier batches; 0 where there is none."""
    codes = np.unique(batch, return_inverse=True)[1]
    sums = np.bincount(codes, weights=np.where(in_arm, values, 0.0))
    counts = np.bincount(codes, weights=in_arm.astype(np.float64))
    before = np.cumsum(sums) - sums
    seen = np.cumsum(counts) - counts
    return np.asarray(np.divide(before, seen, out=np.zeros_like(before), where=seen > 0)[codes])
