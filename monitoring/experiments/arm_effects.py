"""The effects that a readout tells, each with the interval that is honest for the moment it is told at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, nan

from monitoring.experiments.confidence_sequence import sequence_interval
from monitoring.experiments.cuped import Difference
from monitoring.experiments.design import Design
from monitoring.experiments.harm import information_of
from monitoring.experiments.metrics import Metric
from monitoring.experiments.result import ANY_TIME, REPEATED, STAGE_WISE, Effect, Look, Role, Verdict
from monitoring.experiments.sequential_tests import Rejected, Tested, against_boundaries, rejections
from monitoring.experiments.stop_estimate import repeated_interval, stop_estimate

Found = Mapping[tuple[str, str], Difference]


@dataclass(frozen=True)
class _Interval:
    effect: float
    low: float
    high: float
    kind: str
    level: float
    error: float
    boundary: float = nan
    p_value: float = nan


def primary_effects(design: Design, found: Found, looks: Sequence[Look], rejected: Rejected) -> list[Effect]:
    """The primary's effect in each arm: at its stop in stage-wise order, else for any time."""
    told = []
    for code, arm in enumerate(design.treatments, start=1):
        key = (design.primary.name, arm.name)
        if key not in found:
            continue
        done = against_boundaries(looks, *key, rejected.get(key, design.level), design)
        is_stop = key in rejected or bool(looks and looks[-1].is_last)
        if done is None or not is_stop:
            bound = nan if done is None else done.looks.z[-1]
            interval = replace(_any_time(found[key], design, code, design.level), boundary=bound)
        else:
            row = done.rows[-1]
            stop = stop_estimate(row.effect, row.error, done.looks, done.level)
            ends = (stop.effect, stop.low, stop.high)
            interval = _Interval(*ends, STAGE_WISE, done.level, row.error, done.looks.z[-1], stop.p_value)
        verdict = _verdict(done, key in rejected, design.primary)
        told.append(_told(design.primary, arm.name, "primary", found[key], interval, verdict))
    return told


def secondary_effects(
    design: Design, found: Found, looks: Sequence[Look], winner: str | None
) -> list[Effect]:
    """Every secondary; those of the winner are tested, since the primary has opened the gate."""
    tests = [(metric.name, winner) for metric in design.secondaries if winner is not None]
    rejected = rejections(looks, tests, design)
    level = design.alpha / max(len(design.secondaries) * len(design.treatments), 1)
    told = []
    for metric in design.secondaries:
        for code, arm in enumerate(design.treatments, start=1):
            key = (metric.name, arm.name)
            if key not in found:
                continue
            done = against_boundaries(looks, *key, rejected.get(key, level), design) if key in tests else None
            if done is None or not isfinite(done.looks.z[-1]):
                interval = _any_time(found[key], design, code, level)
            else:
                row, bound = done.rows[-1], done.looks.z[-1]
                low, high = repeated_interval(row.effect, row.error, bound)
                interval = _Interval(row.effect, low, high, REPEATED, done.level, row.error, bound)
            verdict = _verdict(done, key in rejected, metric)
            told.append(_told(metric, arm.name, "secondary", found[key], interval, verdict))
    return told


def _any_time(now: Difference, design: Design, arm: int, level: float) -> _Interval:
    fraction = information_of(now, design, arm) / design.tightest_at
    low, high = sequence_interval(now.effect, now.error, fraction, level)
    return _Interval(now.effect, low, high, ANY_TIME, level, now.error)


def _verdict(done: Tested | None, is_rejected: bool, metric: Metric) -> Verdict:
    if done is None or not is_rejected:
        return "open"
    return "better" if (done.rows[-1].effect > 0) == metric.higher_is_better else "worse"


def _told(
    metric: Metric, arm: str, role: Role, now: Difference, interval: _Interval, verdict: Verdict
) -> Effect:
    lift = f" ({interval.effect / now.control_mean:+.1%})" if now.control_mean else ""
    words = (
        f"{arm}: {metric.name} {interval.effect:+.4g}{lift} on {now.control_mean:.4g}, "
        f"{1.0 - interval.level:.4g} interval {interval.low:+.4g}..{interval.high:+.4g} ({interval.kind})"
    )
    return Effect(
        metric=metric.name,
        arm=arm,
        role=role,
        units=now.units,
        control_mean=now.control_mean,
        effect=interval.effect,
        low=interval.low,
        high=interval.high,
        interval=interval.kind,
        confidence=1.0 - interval.level,
        error=interval.error,
        boundary=interval.boundary,
        p_value=interval.p_value,
        variance_cut=now.variance_cut,
        verdict=verdict,
        words=words,
    )
