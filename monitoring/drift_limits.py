"""From which effect size on a column has drifted: beyond what the data's own past does by itself.

Every past period is measured against its own reference, and those values tell how far an ordinary period
lies: distances, which are never negative, by their logarithms; a signed value by its distance from none. A
new one drifts where it lies beyond a prediction bound whose false-alarm rate, shared among all checks, is a
setting; and never below a least effect that anybody would care about.

Source: the bound for one more observation of a normal sample, mean + t s sqrt(1 + 1/n) (Hahn, Meeker,
Statistical Intervals, 1991), with the variance pooled over columns, since each has few periods; Bonferroni
over the checks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from features.errors import UsageError

_SMALL = 0.1
"""Distances below this share of the least effect are as good as none: how small does not matter."""


@dataclass(frozen=True)
class LimitParams:
    """What is drift.

    Attributes:
        false_alarm_rate: Chance that a period without drift raises any alarm.
        least_periods: With fewer past distances the default limits hold.
    """

    false_alarm_rate: float = 0.002
    least_periods: int = 3

    def __post_init__(self) -> None:
        if not 0 < self.false_alarm_rate < 1:
            raise UsageError(f"false_alarm_rate == {self.false_alarm_rate}, must be between 0 and 1.")


Check = tuple[str, str, str]
"""(slice, column, method)."""


def calibrated_limits(
    past: Mapping[Check, Sequence[float]],
    least: Mapping[Check, float],
    signed: Collection[str] = (),
    params: LimitParams | None = None,
) -> dict[Check, float]:
    """The limit of every check.

    Args:
        past: Values of ordinary past periods.
        least: The least effect of each check that counts at all.
        signed: Methods whose values are below zero as often as above; the limit is of their size.

    Examples:
        >>> check = ("", "price", "wasserstein")
        >>> calibrated_limits({check: [0.01, 0.02]}, {check: 0.1})[check]
        0.1
    """
    params = params or LimitParams()
    limits = dict(least)
    told = {check: values for check, values in past.items() if len(values) >= params.least_periods}
    rate = params.false_alarm_rate / max(len(least), 1)
    for is_signed in (False, True):
        group = {check: values for check, values in told.items() if (check[2] in signed) is is_signed}
        for check, bound in _bounds(group, least, is_signed, rate).items():
            limits[check] = max(least[check], bound)
    return limits


def _bounds(
    past: Mapping[Check, Sequence[float]], least: Mapping[Check, float], is_signed: bool, rate: float
) -> dict[Check, float]:
    if not past:
        return {}
    from scipy.stats import t as student

    values = {}
    for check, told in past.items():
        found = np.asarray(told, dtype=float)
        values[check] = found if is_signed else np.log(np.maximum(found, _SMALL * least[check]))
    freedom = sum(len(one) - 1 for one in values.values())
    centre = {check: 0.0 if is_signed else float(one.mean()) for check, one in values.items()}
    pooled = sum(float(((one - centre[check]) ** 2).sum()) for check, one in values.items()) / freedom
    beyond = float(student.ppf(1 - rate / (2 if is_signed else 1), freedom))
    bounds = {}
    for check, one in values.items():
        # A column more restless than the others may be; one that was quiet by chance may not count on it.
        own = float(((one - centre[check]) ** 2).sum()) / (len(one) - 1)
        reach = beyond * float(np.sqrt(max(pooled, own) * (1 + 1 / len(one))))
        bounds[check] = reach if is_signed else float(np.exp(centre[check] + reach))
    return bounds
