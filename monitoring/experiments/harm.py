"""Harm that may be seen on any day, and stops at once: guardrails, and a primary that surely falls.

Means are judged by a one-sided confidence sequence, events that a unit has or has not also one by one. All
arms and guardrails share one level of false alarms, the primary has its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np

from features.errors import RefusedError
from monitoring.experiments.confidence_sequence import sequence_bound, sequence_interval
from monitoring.experiments.cuped import Difference
from monitoring.experiments.design import Design, Guardrail
from monitoring.experiments.rare_events import harm_evidence
from monitoring.experiments.result import ANY_TIME, Effect
from monitoring.experiments.unit_table import UnitTable, compared


@dataclass(frozen=True)
class GuardrailReading:
    """One guardrail in one arm; `effect` is None where a mean cannot be judged yet."""

    effect: Effect | None
    is_harm: bool
    words: str


def information_of(found: Difference, design: Design, arm: int) -> float:
    """Units so far as a part of those planned."""
    treatment, control = found.units
    return treatment * control / (treatment + control) / design.planned_information(design.split.arms[arm])


def primary_harm(found: Difference, design: Design, arm: int) -> str:
    """Why the arm is to be stopped for its primary metric, in words; empty if it is not."""
    sign = 1.0 if design.primary.higher_is_better else -1.0
    fraction = information_of(found, design, arm) / design.tightest_at
    alpha = design.harm_alpha / len(design.treatments)
    bound = sequence_bound(-sign * found.effect, found.error, fraction, alpha)
    if bound <= 0.0:
        return ""
    return (
        f"{design.split.arms[arm].name} surely harms {design.primary.name}: {found.effect:+.4g} on "
        f"{found.control_mean:.4g}, at least {bound:.4g} worse whenever it is looked at"
    )


def read_guardrail(table: UnitTable, guardrail: Guardrail, design: Design, arm: int) -> GuardrailReading:
    """The guardrail as of now."""
    metric, name = guardrail.metric, design.split.arms[arm].name
    alpha = design.harm_alpha / (len(design.guardrails) * len(design.treatments))
    is_counted = metric.is_flag and not metric.higher_is_better and not design.is_adaptive
    alpha = alpha / 2.0 if is_counted else alpha
    rare = _rare_harm(table, guardrail, design, arm, alpha) if is_counted else ""
    try:
        found = compared(table, metric, arm, design)
    except RefusedError as refused:
        return GuardrailReading(None, bool(rare), rare or f"{name}: {refused}")
    sign = -1.0 if metric.higher_is_better else 1.0
    fraction = information_of(found, design, arm) / design.tightest_at
    worse = sequence_bound(sign * found.effect, found.error, fraction, alpha)
    at_most = -sequence_bound(-sign * found.effect, found.error, fraction, alpha)
    words = rare
    if not words and worse > guardrail.tolerance:
        words = (
            f"{name} harms {metric.name}: {found.effect:+.4g} on {found.control_mean:.4g}, at least "
            f"{worse:.4g} worse, tolerated is {guardrail.tolerance:.4g}"
        )
    is_harm = bool(words)
    is_safe = not is_harm and at_most <= guardrail.tolerance
    low, high = sequence_interval(found.effect, found.error, fraction, design.alpha)
    if not is_harm:
        words = f"{name}: {metric.name} {found.effect:+.4g} on {found.control_mean:.4g}, " + (
            f"at most {max(at_most, 0.0):.4g} worse" if is_safe else f"may be {max(at_most, 0.0):.4g} worse"
        )
    effect = Effect(
        metric=metric.name,
        arm=name,
        role="guardrail",
        units=found.units,
        control_mean=found.control_mean,
        effect=found.effect,
        low=low,
        high=high,
        interval=ANY_TIME,
        confidence=1.0 - design.alpha,
        error=found.error,
        boundary=nan,
        p_value=nan,
        variance_cut=found.variance_cut,
        verdict="harm" if is_harm else "safe" if is_safe else "open",
        words=words,
    )
    return GuardrailReading(effect, is_harm, words)


def _rare_harm(table: UnitTable, guardrail: Guardrail, design: Design, arm: int, alpha: float) -> str:
    """Harm in the units with an event, of all that were exposed; only where no harm is tolerated."""
    if guardrail.tolerance > 0.0:
        return ""
    metric = guardrail.metric
    has_any = (metric.numerators(table.sums[metric.column]) > 0) & ~np.isnat(table.exposed_at)
    with_any = [int((has_any & (table.arm == code)).sum()) for code in (arm, 0)]
    treatment, control = design.split.arms[arm], design.split.control
    share = treatment.share / (treatment.share + control.share)
    if harm_evidence(with_any[0], with_any[1], share) < 1.0 / alpha:
        return ""
    return (
        f"{treatment.name} harms {metric.name}: {with_any[0]:,} units against {with_any[1]:,} in "
        f"{control.name}, where {share:.0%} of them are expected without harm"
    )
