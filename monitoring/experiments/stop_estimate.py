"""What an experiment that stopped at a boundary has found, allowing for that it stopped.

An effect that made an experiment stop early is too large on average. Outcomes are therefore ordered by
stage: an upward stop at an earlier look is stronger evidence than one at a later, and at the same look Z
decides. The interval inverts the tests in that order and holds the truth as often as it says; the point is
the effect under which what was seen is the median. All of it needs the looks so far only.

Source: Fairbanks and Madsen (1982); Tsiatis, Rosner and Mehta (1984); Jennison and Turnbull (2000), sections
8.4 and 8.5. Repeated intervals: Jennison and Turnbull (1989), and chapter 9.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
from scipy.optimize import brentq

from monitoring.experiments.boundaries import Boundaries


@dataclass(frozen=True)
class StopEstimate:
    """An effect after the last of the looks.

    Attributes:
        effect: Median-unbiased.
        low, high: The interval.
        p_value: Two-sided, of no effect.
    """

    effect: float
    low: float
    high: float
    p_value: float


def stop_estimate(effect: float, error: float, looks: Boundaries, alpha: float = 0.05) -> StopEstimate:
    """What the last of the looks found, at which the experiment stops.

    Args:
        effect, error: The plain estimate and its standard error, > 0.
        looks: Boundaries up to this look.
        alpha: 1 minus the interval's confidence.

    Examples:
        >>> from monitoring.experiments.boundaries import boundaries
        >>> one = stop_estimate(2.0, 1.0, boundaries((1.0,)))
        >>> round(one.effect, 6), round(one.low, 2), round(one.high, 2), round(one.p_value, 4)
        (2.0, 0.04, 3.96, 0.0455)
    """
    z = effect / error
    last = len(looks.z) - 1
    unit = error * sqrt(looks.information[last])  # the effect of a drift of 1

    def as_high(drift: float) -> float:
        drifts = np.array([drift])
        earlier = sum(float(looks.crossing(look, drifts)[0]) for look in range(last))
        return earlier + float(looks.beyond(last, z, drifts)[0])

    def drift_where(level: float) -> float:
        return _solved(lambda drift: as_high(drift) - level, effect / unit, 1.0 / sqrt(looks.information[0]))

    upwards = as_high(0.0)
    return StopEstimate(
        effect=drift_where(0.5) * unit,
        low=drift_where(alpha / 2.0) * unit,
        high=drift_where(1.0 - alpha / 2.0) * unit,
        p_value=min(2.0 * min(upwards, 1.0 - upwards), 1.0),
    )


def repeated_interval(effect: float, error: float, bound: float) -> tuple[float, float]:
    """The interval that holds at every look at once, whatever made the experiment stop.

    Examples:
        >>> repeated_interval(1.0, 0.5, 2.0)
        (0.0, 2.0)
    """
    width = bound * error if bound < inf else inf
    return effect - width, effect + width


def _solved(rising: Callable[[float], float], middle: float, spread: float) -> float:
    low, high = middle - 3.0 * spread, middle + 3.0 * spread
    while rising(low) > 0.0:
        low -= 3.0 * spread
    while rising(high) < 0.0:
        high += 3.0 * spread
    return float(brentq(rising, low, high, xtol=1e-9))
