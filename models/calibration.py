"""Calibration: scores that order well become probabilities that mean what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Method = Literal["isotonic", "platt"]
_SMALLEST = 1e-6  # a probability of exactly 0 or 1 would claim certainty


@dataclass(frozen=True)
class Calibrator:
    """A rising map from score to probability, kept as plain numbers so that it stores as JSON.

    Attributes:
        method: 'isotonic' is straight between knots; 'platt' is a logistic curve over the log-odds of a raw
            probability.
        knots: Scores at which the map is given, rising; empty for Platt.
        levels: Probability at each knot.
        slope, intercept: Of Platt's curve.

    Source: Zadrozny, Elkan (2002) for isotonic regression; Platt (1999).
    """

    method: Method
    knots: tuple[float, ...] = ()
    levels: tuple[float, ...] = ()
    slope: float = 1.0
    intercept: float = 0.0

    def apply(self, scores: ArrayLike) -> NDArray[np.float64]:
        """The probability of each score, in (0, 1); outside the knots that of the nearest.

        Examples:
            >>> Calibrator("isotonic", knots=(0.0, 1.0), levels=(0.1, 0.3)).apply([0.5, 2.0]).tolist()
            [0.2, 0.3]
        """
        values = np.asarray(scores, dtype=np.float64)
        if self.method == "isotonic":
            return _inside(np.interp(values, self.knots, self.levels))
        return _inside(1.0 / (1.0 + np.exp(-(self.slope * _logit(values) + self.intercept))))

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values; `Calibrator.from_dict` restores them exactly."""
        return asdict(self)

    @staticmethod
    def from_dict(stored: Mapping[str, Any]) -> Calibrator:
        """The calibrator that `as_dict` described."""
        knots, levels = tuple(stored["knots"]), tuple(stored["levels"])
        return Calibrator(stored["method"], knots, levels, stored["slope"], stored["intercept"])


def fit_calibrator(
    scores: ArrayLike,
    labels: ArrayLike,
    groups: ArrayLike,
    methods: tuple[Method, ...] = ("isotonic", "platt"),
    weights: ArrayLike | None = None,
) -> Calibrator:
    """The method with the lower log-loss on groups it was not fitted on, refitted on all rows.

    Args:
        scores: The model's output on data it was not trained on; for 'platt' raw probabilities.
        labels: 0 or 1.
        groups: Integers, such as user codes; even ones judge what odd ones fitted, and the reverse.
        methods: Which to try; the first wins a tie.
        weights: How many rows of the population each row stands for; 1 by default.
    """
    raw, happened = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    counts = np.ones(len(raw)) if weights is None else np.asarray(weights, dtype=np.float64)
    if len(methods) == 1:
        return _fit(methods[0], raw, happened, counts)
    half = np.asarray(groups, dtype=np.int64) % 2 == 0
    losses = dict.fromkeys(methods, 0.0)
    for part in (half, ~half):
        if part.any() and (~part).any():
            for method in methods:
                fitted = _fit(method, raw[part], happened[part], counts[part])
                lost = log_losses(happened[~part], fitted.apply(raw[~part]))
                losses[method] += float((lost * counts[~part]).sum())
    return _fit(min(methods, key=lambda method: losses[method]), raw, happened, counts)


def log_losses(labels: ArrayLike, probabilities: ArrayLike) -> NDArray[np.float64]:
    """Each row's negative log-likelihood in nats."""
    inside = _inside(np.asarray(probabilities, dtype=np.float64))
    return np.asarray(-np.log(np.where(np.asarray(labels) > 0, inside, 1.0 - inside)), dtype=np.float64)


def expected_calibration_error(labels: ArrayLike, probabilities: ArrayLike, bins: int = 15) -> float:
    """Mean distance between stated and observed probability over bins of equally many rows.

    Source: Naeini, Cooper, Hauskrecht (2015), with equal-mass bins.

    Examples:
        >>> expected_calibration_error([0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5], bins=1)
        0.0
    """
    stated, happened = np.asarray(probabilities, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    if len(stated) == 0:
        return float("nan")
    # Equal probabilities share a bin, or the order of the rows would decide the answer.
    ordered = np.sort(stated)
    edges = np.unique(ordered[(np.arange(1, bins) * len(ordered)) // bins])
    place = np.searchsorted(edges, stated, side="right")
    gaps = np.abs(np.bincount(place, stated) - np.bincount(place, happened))
    return float(gaps.sum() / len(stated))


def _fit(
    method: Method, scores: NDArray[np.float64], labels: NDArray[np.float64], weights: NDArray[np.float64]
) -> Calibrator:
    if method == "isotonic":
        from sklearn.isotonic import IsotonicRegression

        curve = IsotonicRegression(out_of_bounds="clip").fit(scores, labels, sample_weight=weights)
        knots = tuple(float(knot) for knot in curve.X_thresholds_)
        return Calibrator(method, knots, tuple(float(level) for level in curve.y_thresholds_))
    if len(np.unique(labels)) < 2:  # nothing to fit a curve to: the base rate, shrunk away from certainty
        rate = ((weights * labels).sum() + 1.0) / (weights.sum() + 2.0)
        return Calibrator(method, slope=0.0, intercept=float(np.log(rate / (1.0 - rate))))
    from sklearn.linear_model import LogisticRegression

    line = LogisticRegression(C=1e6).fit(_logit(scores)[:, None], labels, sample_weight=weights)
    return Calibrator(method, slope=float(line.coef_[0, 0]), intercept=float(line.intercept_[0]))


def _logit(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = _inside(probabilities)
    return np.asarray(np.log(inside / (1.0 - inside)), dtype=np.float64)


def _inside(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.clip(probabilities, _SMALLEST, 1.0 - _SMALLEST), dtype=np.float64)
