"""The difference of two arms, with what was known of the units before the experiment taken off (CUPED).

The covariate's arm means differ by chance alone, so any multiple of that difference may be subtracted; the
multiple that makes the variance least is estimated with each arm's own covariances. That never loses much
whatever the shares or the effect's heterogeneity, and equals regression with interactions at large numbers.
Units without a past get the arm-free mean of the others, and that they have none is a second covariate.

Source: Deng, Xu, Kohavi and Walker (2013), Improving the sensitivity of online controlled experiments by
utilizing pre-experiment data; Lin (2013), Agnostic notes on regression adjustments.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.errors import RefusedError
from monitoring.experiments.metrics import Doubles

_ALIKE = 1e-12


@dataclass(frozen=True)
class Moments:
    """One arm's units: how many, means and covariances of (value, covariates)."""

    units: int
    means: Doubles
    covariances: Doubles


@dataclass(frozen=True)
class Difference:
    """Treatment minus control.

    Attributes:
        effect, error: The estimate and its standard error, > 0.
        control_mean: Of the plain values.
        units: (treatment, control).
        variance_cut: The share of the variance that the covariates took off.
    """

    effect: float
    error: float
    control_mean: float
    units: tuple[int, int]
    variance_cut: float

    @property
    def z(self) -> float:
        """The estimate in standard errors."""
        return self.effect / self.error

    @property
    def lift_relative(self) -> float:
        """The effect as a part of the control's mean; NaN where that is 0."""
        return self.effect / self.control_mean if self.control_mean else float("nan")


def covariates(past: Doubles | None, units: int) -> Doubles:
    """What is known of each unit before, units x (0, 1 or 2 columns).

    Args:
        past: The unit's value before, NaN where it has no past; of all arms together.

    Examples:
        >>> covariates(np.array([1.0, np.nan, 3.0]), 3).tolist()
        [[1.0, 1.0], [2.0, 0.0], [3.0, 1.0]]
    """
    if past is None:
        return np.zeros((units, 0))
    known = np.isfinite(past)
    if not known.any():
        return np.zeros((units, 0))
    filled = np.where(known, past, float(past[known].mean()))
    columns = [filled] if known.all() else [filled, known.astype(np.float64)]
    return np.stack(columns, axis=1)


def moments(values: Doubles, known: Doubles) -> Moments:
    """One arm's moments.

    Args:
        values: One a unit.
        known: The arm's rows of `covariates`.
    """
    if len(values) < 2:
        return Moments(len(values), np.zeros(1 + known.shape[1]), np.zeros((1 + known.shape[1],) * 2))
    together = np.column_stack([values, known])
    means = together.mean(axis=0)
    centred = together - means
    return Moments(len(values), means, centred.T @ centred / (len(values) - 1))


def difference(treatment: Moments, control: Moments) -> Difference:
    """Treatment minus control, adjusted by the covariates.

    Raises:
        RefusedError: An arm has fewer than two units, or no value differs from another within the arms.

    Examples:
        >>> before = np.array([0.0, 1.0, 2.0, 3.0, 1.0])
        >>> noise = np.array([0.1, -0.1, 0.1, -0.1, 0.0])
        >>> arms = [moments(before + noise + effect, before[:, None]) for effect in (1.0, 0.0)]
        >>> found = difference(*arms)
        >>> round(found.effect, 3), round(found.variance_cut, 2)
        (1.0, 0.99)
    """
    for arm, name in ((treatment, "treatment"), (control, "control")):
        if arm.units < 2:
            raise RefusedError(f"the {name} has {arm.units} units, must be >= 2; wait for more.")
    sampled = treatment.covariances / treatment.units + control.covariances / control.units
    plain = float(sampled[0, 0])
    scale = max(abs(float(treatment.means[0])), abs(float(control.means[0])), 1e-300)
    if not plain > (_ALIKE * scale) ** 2:
        raise RefusedError(
            f"every unit of an arm has the same value ({treatment.means[0]:g} and {control.means[0]:g}), so "
            "there is no spread to judge by; check that the outcome arrives, or wait."
        )
    slopes = _slopes(sampled)
    apart = treatment.means - control.means
    units = treatment.units + control.units
    lost = (units - 2) / max(units - 2 - int((slopes != 0).sum()), 1)
    variance = float(plain - 2.0 * slopes @ sampled[1:, 0] + slopes @ sampled[1:, 1:] @ slopes) * lost
    if not variance > (_ALIKE * scale) ** 2:
        raise RefusedError(
            "the covariate foretells every unit's value exactly, so there is no spread to judge by; check "
            "that it is of before the experiment."
        )
    return Difference(
        effect=float(apart[0] - slopes @ apart[1:]),
        error=float(np.sqrt(variance)),
        control_mean=float(control.means[0]),
        units=(treatment.units, control.units),
        variance_cut=1.0 - variance / plain,
    )


def _slopes(sampled: Doubles) -> Doubles:
    """The multiples of the covariates' differences that leave the least variance; 0 of what does not vary."""
    spread = np.sqrt(np.diag(sampled)[1:])
    slopes = np.zeros(len(spread))
    varying = spread > 0
    if varying.any():
        size = spread[varying]
        among = sampled[1:, 1:][np.ix_(varying, varying)] / np.outer(size, size)
        slopes[varying] = np.linalg.lstsq(among, sampled[1:, 0][varying] / size, rcond=1e-10)[0] / size
    return slopes
