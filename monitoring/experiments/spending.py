"""How much of the error level may be spent by a share of the planned information.

Source: Lan and DeMets (1983), Discrete sequential boundaries for clinical trials; each side of a two-sided
test spends half of the level by itself, as in Reboussin, DeMets, Kim and Lan (2000).
"""

from __future__ import annotations

from math import e, log, sqrt
from typing import Literal

from scipy.special import ndtr, ndtri

from features.errors import UsageError

Spending = Literal["obrien-fleming", "pocock"]
SPENDINGS: tuple[Spending, ...] = ("obrien-fleming", "pocock")


def spent(fraction: float, alpha: float, spending: Spending) -> float:
    """The part of `alpha`, of both sides together, that is spent at this fraction of the information.

    'obrien-fleming' saves nearly all for the end and costs little power; 'pocock' spends evenly, stops
    earlier and costs more.

    Args:
        fraction: Of the planned information, >= 0; everything is spent from 1 on.

    Examples:
        >>> [round(spent(fraction, 0.05, "obrien-fleming"), 5) for fraction in (0.0, 0.25, 0.5, 1.0)]
        [0.0, 1e-05, 0.00305, 0.05]
        >>> [round(spent(fraction, 0.05, "pocock"), 4) for fraction in (0.25, 0.5, 1.5)]
        [0.0179, 0.031, 0.05]
    """
    if not 0.0 < alpha < 1.0:
        raise UsageError(f"alpha == {alpha:g}, must be > 0 and < 1; take 0.05.")
    if spending not in SPENDINGS:
        raise UsageError(f"spending == {spending!r}, must be one of {', '.join(SPENDINGS)}; correct it.")
    if fraction <= 0.0:
        return 0.0
    part = min(fraction, 1.0)
    if spending == "pocock":
        return float(alpha * log(1.0 + (e - 1.0) * part))
    return float(min(4.0 * ndtr(ndtri(alpha / 4.0) / sqrt(part)), alpha))
