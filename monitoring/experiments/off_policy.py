"""What a challenger would have earned, from choices that another policy made and logged with their chance.

Three estimates: inverse propensities (IPS, no bias, large variance), self-normalised (SNIPS, a small bias,
less variance) and doubly robust (DR, right if either the propensities or the model of rewards are). Rows of a
unit are not taken as independent, and intervals are corrected for skewness, which weights bring with them.

Source: Horvitz and Thompson (1952); Swaminathan and Joachims (2015), The self-normalized estimator for
counterfactual learning; Dudik, Erhan, Langford and Li (2014), Doubly robust policy evaluation and
optimization; Kish (1965), effective sample size; Hall (1992), On the removal of skewness by transformation.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from features.errors import RefusedError, UsageError
from monitoring.experiments.metrics import Doubles

IPS, SNIPS, DR = "IPS", "SNIPS", "DR"


@dataclass(frozen=True)
class OffPolicyParams:
    """How the estimate is made, declared before it is seen.

    Attributes:
        clip: Larger weights count as this; None keeps them. Clipping trades variance for a bias that is told.
        alpha: 1 minus the intervals' confidence.
        least_effective: Fewer effective rows and nothing should be concluded.
        largest_z: The mean weight may be so many standard errors off 1; farther, and propensities are wrong
            or the challenger does what was never tried.
    """

    clip: float | None = None
    alpha: float = 0.05
    least_effective: float = 100.0
    largest_z: float = 4.0


@dataclass(frozen=True)
class LoggedChoices:
    """Choices as they were logged, one entry a choice.

    Attributes:
        unit: Code of the user; rows of a user belong together.
        reward: What came of it.
        propensity: The chance that the logging policy had of this choice, > 0.
        target: The chance that the challenger has of the same choice.
        foretold: The model's reward of the choice that was made; None without a model. The model must
            not have seen the unit (fit it on other units).
        foretold_target: The model's mean reward over the challenger's choices.
    """

    unit: NDArray[np.int64]
    reward: Doubles
    propensity: Doubles
    target: Doubles
    foretold: Doubles | None = None
    foretold_target: Doubles | None = None

    def __post_init__(self) -> None:
        if not len(self.reward):
            raise RefusedError("no logged choice, must be at least one; log choices with their propensities.")
        if not ((self.propensity > 0.0) & (self.propensity <= 1.0)).all():
            raise UsageError("a logged propensity is not in (0, 1]; leave out choices without one.")
        if not ((self.target >= 0.0) & (self.target <= 1.0 + 1e-9)).all():
            raise UsageError("a challenger's probability is not in [0, 1]; recompute them.")
        if (self.foretold is None) != (self.foretold_target is None):
            raise UsageError(
                "a model must foretell both what was chosen and what the challenger would choose."
            )


@dataclass(frozen=True)
class OffPolicyEstimate:
    """Reward a choice under the challenger, by one method."""

    method: str
    value: float
    low: float
    high: float
    error: float


@dataclass(frozen=True)
class OffPolicyReadout:
    """What the log says of the challenger.

    Attributes:
        logged: Mean reward a choice of the logging policy.
        estimates: By method; DR where there is a model.
        effective_rows: How many rows of the challenger's own the weighted log is worth.
        largest_weight, mean_weight: Before clipping; the mean is 1 but for chance.
        clipped_share: Of rows.
        clip_bias: What clipping took off the IPS estimate in this log.
        warnings: In words; with any, nothing should be concluded.
    """

    logged: float
    estimates: tuple[OffPolicyEstimate, ...]
    rows: int
    units: int
    effective_rows: float
    largest_weight: float
    mean_weight: float
    clipped_share: float
    clip_bias: float
    warnings: tuple[str, ...]

    def of(self, method: str) -> OffPolicyEstimate:
        """The estimate by that method.

        Raises:
            UsageError: It was not made.
        """
        for one in self.estimates:
            if one.method == method:
                return one
        told = ", ".join(one.method for one in self.estimates)
        raise UsageError(f"method == {method!r}, must be one of {told}; give a model for DR.")


def off_policy_readout(log: LoggedChoices, params: OffPolicyParams | None = None) -> OffPolicyReadout:
    """The challenger's worth from the log.

    Raises:
        RefusedError: The challenger never does what was logged, or there is one unit.

    Examples:
        >>> logged = LoggedChoices(
        ...     unit=np.arange(4), reward=np.array([1.0, 0.0, 1.0, 0.0]), propensity=np.full(4, 0.5),
        ...     target=np.array([1.0, 0.0, 1.0, 0.0]))
        >>> found = off_policy_readout(logged)
        >>> found.of("IPS").value, found.logged, found.effective_rows
        (1.0, 0.5, 2.0)
    """
    params = params or OffPolicyParams()
    raw = log.target / log.propensity
    if not raw.sum() > 0.0:
        raise RefusedError(
            "the challenger makes none of the logged choices, so the log says nothing; explore more."
        )
    weight = raw if params.clip is None else np.minimum(raw, params.clip)
    units = np.unique(log.unit, return_inverse=True)[1]
    n_units = int(units.max()) + 1
    if n_units < 2:
        raise RefusedError("one unit is in the log, must be >= 2; wait for more.")
    effective = float(weight.sum() ** 2 / (weight**2).sum())
    freedom = max(min(n_units, effective) - 1.0, 1.0)

    def told(method: str, rows: Doubles, scale: Doubles) -> OffPolicyEstimate:
        """The ratio of two sums over rows; units are independent."""
        value = float(rows.sum() / scale.sum())
        pull = np.bincount(units, weights=rows - value * scale) * n_units / scale.sum()
        low, high, error = skewed_interval(value, pull, freedom, params.alpha)
        return OffPolicyEstimate(method, value, low, high, error)

    ones = np.ones(len(raw))
    estimates = [told(IPS, weight * log.reward, ones), told(SNIPS, weight * log.reward, weight)]
    if log.foretold is not None and log.foretold_target is not None:
        estimates.append(told(DR, log.foretold_target + weight * (log.reward - log.foretold), ones))
    mean_weight = told("weight", raw, ones)
    return OffPolicyReadout(
        logged=float(log.reward.mean()),
        estimates=tuple(estimates),
        rows=len(raw),
        units=n_units,
        effective_rows=effective,
        largest_weight=float(raw.max()),
        mean_weight=mean_weight.value,
        clipped_share=float((raw > weight).mean()),
        clip_bias=float(((weight - raw) * log.reward).mean()),
        warnings=_warnings(mean_weight, effective, params),
    )


def skewed_interval(value: float, pulls: Doubles, freedom: float, alpha: float) -> tuple[float, float, float]:
    """(low, high, standard error) of a mean whose parts are skewed.

    Args:
        pulls: What each unit adds to the mean, about 0.
        freedom: Degrees of freedom of the quantile.

    Source: Hall (1992), the cubic transformation.

    Examples:
        >>> low, high, _ = skewed_interval(0.0, np.array([-1.0, -1.0, -1.0, -1.0, 4.0]), 4.0, 0.05)
        >>> -low < high
        True
    """
    n = len(pulls)
    spread = float(np.sqrt((pulls**2).sum() / (n - 1)))
    error = spread / sqrt(n)
    if not error > 0.0:
        return value, value, 0.0
    skewness = float(((pulls / spread) ** 3).mean())
    quantile = float(student.ppf(1.0 - alpha / 2.0, freedom))
    return (
        value - error * _straightened(quantile, skewness, n),
        value - error * _straightened(-quantile, skewness, n),
        error,
    )


def _straightened(quantile: float, skewness: float, n: int) -> float:
    """The quantile of a studentised mean of skewed parts."""
    part = skewness / sqrt(n)
    if abs(part) < 1e-6:
        return quantile
    return float(3.0 / part * (np.cbrt(1.0 + part * (quantile - part / 6.0)) - 1.0))


def _warnings(mean_weight: OffPolicyEstimate, effective: float, params: OffPolicyParams) -> tuple[str, ...]:
    found = []
    if effective < params.least_effective:
        found.append(
            f"the log is worth {effective:.0f} rows of the challenger's own, must be >= "
            f"{params.least_effective:g}; explore more, or longer"
        )
    if mean_weight.error > 0 and abs(mean_weight.value - 1.0) > params.largest_z * mean_weight.error:
        found.append(
            f"the mean weight is {mean_weight.value:.3f}, must be 1 within "
            f"{params.largest_z * mean_weight.error:.3f}: propensities are wrong, or the challenger does "
            "what was never tried"
        )
    return tuple(found)
