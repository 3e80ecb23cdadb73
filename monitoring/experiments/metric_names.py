"""Metrics that an experiment may name, and what the events must be summed into for them."""

from __future__ import annotations

from dataclasses import replace

from features.errors import UsageError
from monitoring.experiments.metrics import Metric

OUTCOMES = ("purchases", "spend", "opt_outs", "complaints", "opens", "pushes", "conversions")
"""Columns of outcomes: bought items, their price, how many of the other events, and pushes that sold."""

BEFORE = "before:"
"""Before an outcome's name: the same of the unit's own past, which cuts the variance (CUPED)."""

METRICS = {
    metric.name: metric
    for metric in (
        Metric("conversion", "purchases", is_flag=True, covariate=f"{BEFORE}purchases"),
        Metric("purchases", "purchases", covariate=f"{BEFORE}purchases"),
        Metric("spend", "spend", covariate=f"{BEFORE}spend"),
        Metric("opt_out", "opt_outs", is_flag=True, higher_is_better=False),
        Metric("complaint", "complaints", is_flag=True, higher_is_better=False),
        Metric("open_rate", "opens", per="pushes"),
        Metric("push_conversion", "conversions", per="pushes"),
    )
}


def metric_named(name: str, cap: float | None = None) -> Metric:
    """The metric of that name, winsorised at `cap` if there is one.

    Raises:
        UsageError: There is none.

    Examples:
        >>> metric_named("spend", 200.0).cap, metric_named("opt_out").higher_is_better
        (200.0, False)
    """
    if name not in METRICS:
        raise UsageError(
            f"metric {name!r} is unknown, must be one of {', '.join(METRICS)}; correct the name."
        )
    return replace(METRICS[name], cap=cap)
