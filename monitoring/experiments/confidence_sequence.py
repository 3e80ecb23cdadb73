"""Intervals that hold at every look at once, however many there are and whatever made somebody look.

They are wider than an interval for one planned look, by half or more, and narrowest (relative to what they
could be) at a time that is declared ahead. They are asymptotic: what is looked at first must rest on enough
units.

Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), Time-uniform central limit theory and
asymptotic confidence sequences, Annals of Statistics 52(6), theorem 2.2, its one-sided form, and the choice
of rho; Robbins (1970).
"""

from __future__ import annotations

from math import exp, log, sqrt

from scipy.special import lambertw

from features.errors import UsageError


def tightness(alpha: float) -> float:
    """rho squared times the time at which the interval is to be narrowest.

    Examples:
        >>> round(tightness(0.05), 2)
        8.21
    """
    if not 0.0 < alpha < 1.0:
        raise UsageError(f"alpha == {alpha:g}, must be > 0 and < 1; take 0.05.")
    return float(-lambertw(-(alpha**2) * exp(-1.0), -1).real - 1.0)


def sequence_interval(
    effect: float, error: float, fraction: float, alpha: float = 0.05
) -> tuple[float, float]:
    """The interval of the effect as of now.

    Args:
        effect, error: The plain estimate and its standard error.
        fraction: Units so far, as a part of those at which the interval is to be narrowest; > 0.

    Examples:
        >>> [round(bound, 2) for bound in sequence_interval(0.0, 1.0, 1.0)]
        [-3.04, 3.04]
    """
    grown = tightness(alpha) * _told(fraction)
    width = sqrt(2.0 * (grown + 1.0) / grown * log(sqrt(grown + 1.0) / alpha)) * error
    return effect - width, effect + width


def sequence_bound(effect: float, error: float, fraction: float, alpha: float = 0.05) -> float:
    """The lower bound of the effect as of now: it exceeds the truth at any time with chance `alpha` at most.

    Examples:
        >>> round(sequence_bound(0.0, 1.0, 1.0, 0.025), 2)
        -3.04
    """
    grown = tightness(min(2.0 * alpha, 0.9)) * _told(fraction)
    width = sqrt(2.0 * (grown + 1.0) / grown * log(1.0 + sqrt(grown + 1.0) / (2.0 * alpha))) * error
    return effect - width


def _told(fraction: float) -> float:
    if not fraction > 0.0:
        raise UsageError(f"fraction of the planned units == {fraction:g}, must be > 0; wait for units.")
    return fraction
