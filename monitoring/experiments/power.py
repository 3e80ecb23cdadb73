"""How likely a design finds the effect it is made for, by past data; and the nearest design that does.

Power is that of the sequential test itself, by the same integration that makes its boundaries. Variance comes
from past units, less what their own past foretells (CUPED); units come as they came.

Source: Jennison and Turnbull (2000), chapter 19.4; Deng et al. (2013).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, sqrt

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from features.errors import RefusedError, UsageError
from models.experiments.split import Arm
from monitoring.experiments.boundaries import LEAST_STEP, Boundaries, boundaries
from monitoring.experiments.cuped import covariates, moments
from monitoring.experiments.design import Design
from monitoring.experiments.metrics import Doubles, Metric

_LARGEST_EFFECT = 1_000.0
_SHARES = 200  # shares are tried in steps of half a percent


@dataclass(frozen=True)
class Past:
    """What past data say of the primary.

    Attributes:
        mean, variance: Of a unit's value over a window as long as the experiment's.
        variance_cut: The part of the variance that the covariate foretells.
        arrivals: Eligible units that have come by the end of day 1, 2, ... of a layer as a whole; the last
            entry is also how far an experiment may be prolonged.
    """

    mean: float
    variance: float
    variance_cut: float
    arrivals: tuple[float, ...]


@dataclass(frozen=True)
class PowerVerdict:
    """Whether a design can find what it is made for.

    Attributes:
        power: Of the weakest arm, at the smallest effect worth finding.
        is_enough: Whether that is what the design asks for.
        units: Of all arms, whose window is over at the last look.
        detectable_relative: The smallest effect that this design finds with its power.
        days_needed, share_needed: Of the same design but longer, or larger; None where it is enough as it is,
            or that does not suffice.
        inflation: Units that looking costs: times those of a test with one look at the end.
        words: The verdict with its numbers and the nearest designs that work.
    """

    power: float
    is_enough: bool
    units: float
    detectable_relative: float
    days_needed: int | None
    share_needed: float | None
    inflation: float
    words: str


def past_of(
    metric: Metric, sums: dict[str, Doubles], before: Doubles | None, arrivals: tuple[float, ...]
) -> Past:
    """What these past units say of the metric.

    Args:
        sums: Outcome -> each unit's sum over a window.
        before: Each unit's covariate, from before that window; NaN where it has none.

    Raises:
        RefusedError: There is nothing to learn a variance from.
    """
    values = metric.values(sums)
    known = moments(values, covariates(before, len(values)))
    variance = float(known.covariances[0, 0])
    if known.units < 2 or not variance > 0.0 or not known.means[0]:
        raise RefusedError(
            f"metric {metric.name!r}: {known.units} past units with mean {known.means[0]:g} and variance "
            f"{variance:g}, must both differ from 0; take a longer past."
        )
    among, with_value = known.covariances[1:, 1:], known.covariances[1:, 0]
    told = float(with_value @ np.linalg.pinv(among) @ with_value) if len(with_value) else 0.0
    return Past(float(known.means[0]), variance, min(told / variance, 1.0), arrivals)


def fixed_power(drift: float, alpha: float = 0.05) -> float:
    """The power of one two-sided test at an effect of so many standard errors, in the effect's direction.

    Examples:
        >>> round(fixed_power(2.8016), 4)
        0.8
    """
    return float(ndtr(abs(drift) + ndtri(alpha / 2.0)))


def sequential_power(drift: float, looks: Boundaries) -> float:
    """The same of a sequential test; `drift` is the effect in standard errors of the planned total.

    Examples:
        >>> round(sequential_power(2.8016, boundaries((0.25, 0.5, 0.75, 1.0))), 3)
        0.792
    """
    return float(looks.leaving(abs(drift))[0].sum())


def inflation_factor(looks: Boundaries, alpha: float = 0.05, power: float = 0.8) -> float:
    """How many times the units of one test with one look these looks need for the same power.

    Examples:
        >>> from monitoring.experiments.boundaries import constant_boundaries
        >>> pocock = constant_boundaries([0.2, 0.4, 0.6, 0.8, 1.0], [2.413] * 5)
        >>> round(inflation_factor(pocock), 2)  # Jennison and Turnbull (2000), table 2.2
        1.23
    """
    fixed = float(-ndtri(alpha / 2.0) + ndtri(power))
    return (_drift_for(looks, power) / fixed) ** 2


def units_by(design: Design, past: Past, day: int) -> float:
    """Units of all arms whose window is over by the end of that day."""
    usable = day - ceil(design.window_days + design.settling_days)
    if usable < 1:
        return 0.0
    return past.arrivals[min(usable, len(past.arrivals)) - 1] * design.split.share


def check_power(design: Design, past: Past, largest_share: float = 1.0) -> PowerVerdict:
    """Whether the design finds its smallest effect, and what would.

    Args:
        largest_share: Of the layer, that it could have.

    Raises:
        UsageError: No past arrivals.
    """
    if not past.arrivals:
        raise UsageError("no day of past arrivals, must be at least one; count eligible units by day.")
    longest = len(past.arrivals) + ceil(design.window_days + design.settling_days)
    here = _power(design, past)
    is_enough = here >= design.power
    days = step = None
    if not is_enough:
        days = _first(
            lambda day: _power(_lasting(design, day), past) >= design.power,
            design.look_days[-1] + 1,
            max(longest, design.look_days[-1]),
        )
        step = _first(
            lambda number: _power(_taking(design, number / _SHARES), past) >= design.power,
            int(design.split.share * _SHARES) + 1,
            int(largest_share * _SHARES),
        )
    looks = _looks(design, past)
    detectable = _detectable(design, past, looks)
    units = units_by(design, past, design.look_days[-1])
    inflation = inflation_factor(looks, design.level, design.power) if looks is not None else float("nan")
    verdict = PowerVerdict(
        power=here,
        is_enough=is_enough,
        units=units,
        detectable_relative=detectable,
        days_needed=days,
        share_needed=None if step is None else step / _SHARES,
        inflation=inflation,
        words="",
    )
    return replace(verdict, words=_words(design, past, verdict))


def _words(design: Design, past: Past, found: PowerVerdict) -> str:
    sought = (
        f"{found.power:.0%} power to find {design.mde_relative:+.1%} of {past.mean:.4g} with "
        f"{found.units:,.0f} units in {design.look_days[-1]} days (CUPED cuts {past.variance_cut:.0%} of "
        "the variance)"
    )
    if found.is_enough:
        return f"{sought}, asked for {design.power:.0%}"
    options = []
    if found.days_needed is not None:
        options.append(f"{found.days_needed} days")
    if found.share_needed is not None:
        options.append(f"{found.share_needed:.1%} of the layer instead of {design.split.share:.1%}")
    if np.isfinite(found.detectable_relative):
        options.append(f"a smallest effect of {ceil(found.detectable_relative * 1_000) / 1_000:+.1%}")
    nearest = (
        f"; what works: {', or '.join(options)}" if options else "; nothing near works, measure another way"
    )
    return f"{sought}, must be >= {design.power:.0%}{nearest}"


def _lasting(design: Design, day: int) -> Design:
    """The same, with looks as far apart as before until that day."""
    gap = design.look_days[-1] - (design.look_days[-2] if len(design.look_days) > 1 else 0)
    between = range(design.look_days[-1] + gap, day, gap) if not design.is_adaptive else ()
    kept = design.look_days if not design.is_adaptive else ()
    return replace(design, look_days=(*kept, *between, day))


def _taking(design: Design, share: float) -> Design:
    return replace(design, split=replace(design.split, starts_at=0.0, ends_at=share))


def _looks(design: Design, past: Past) -> Boundaries | None:
    """Boundaries of the looks at which there will be anything new; None if there never is."""
    total = units_by(design, past, design.look_days[-1])
    if total <= 0:
        return None
    fractions: list[float] = []
    for day in design.look_days:
        fraction = units_by(design, past, day) / total
        if fraction > 0 and (not fractions or fraction >= fractions[-1] * (1.0 + 2.0 * LEAST_STEP)):
            fractions.append(fraction)
    return boundaries(tuple(fractions), design.level, design.spending, is_last=True)


def _drift(design: Design, past: Past, arm: Arm, mde_relative: float) -> float:
    """The effect in standard errors at the last look.

    Where there is more of a thing it also varies more: the treatment's variance is that of its own share of
    units for a flag, and grows as the mean does for anything else, as when orders come more often.
    """
    units = units_by(design, past, design.look_days[-1])
    grown = 1.0 + mde_relative
    if design.primary.is_flag and design.primary.per is None:
        share = min(past.mean * grown, 1.0)
        grown = share * (1.0 - share) / max(past.mean * (1.0 - past.mean), 1e-300)
    spread = grown / arm.share + 1.0 / design.split.control.share
    variance = past.variance * (1.0 - past.variance_cut) * spread / max(units, 1e-300)
    return abs(past.mean) * mde_relative / sqrt(max(variance, 1e-300))


def _power(design: Design, past: Past) -> float:
    looks = _looks(design, past)
    if looks is None:
        return 0.0
    drifts = [_drift(design, past, arm, design.mde_relative) for arm in design.treatments]
    return sequential_power(min(drifts), looks)


def _detectable(design: Design, past: Past, looks: Boundaries | None) -> float:
    if looks is None:
        return float("inf")
    wanted = _drift_for(looks, design.power)

    def missing(mde_relative: float) -> float:
        return wanted - min(_drift(design, past, arm, mde_relative) for arm in design.treatments)

    most = 1.0
    while missing(most) > 0.0:
        if most > _LARGEST_EFFECT:
            return float("inf")
        most *= 2.0
    return float(brentq(missing, 0.0, most))


def _drift_for(looks: Boundaries, power: float) -> float:
    return float(brentq(lambda drift: sequential_power(drift, looks) - power, 0.0, 30.0))


def _first(is_enough: Callable[[int], bool], least: int, most: int) -> int | None:
    """The least number that suffices, where what suffices goes on sufficing."""
    if least > most or not is_enough(most):
        return None
    while least < most:
        middle = (least + most) // 2
        least, most = (least, middle) if is_enough(middle) else (middle + 1, most)
    return least
