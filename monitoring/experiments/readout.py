"""The readout of an experiment: from exposures and outcomes to a decision, with its reasons.

The primary decides at planned looks, by boundaries; on every other day it only shows an interval that holds
however often it is looked at. Harm stops on any day. A mismatch of the arms' units blocks everything: no
effect is told. Secondaries are tested by Holm's steps once the primary has won, and told as open before.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pandas as pd

from features.errors import RefusedError
from monitoring.experiments.arm_effects import Found, primary_effects, secondary_effects
from monitoring.experiments.cuped import Difference
from monitoring.experiments.decision import decide
from monitoring.experiments.design import Design
from monitoring.experiments.harm import information_of, primary_harm, read_guardrail
from monitoring.experiments.ratio_mismatch import MismatchVerdict, ratio_mismatch
from monitoring.experiments.result import Look, LookRow, Readout
from monitoring.experiments.sequential_tests import rejections
from monitoring.experiments.unit_table import UnitTable, compared, unit_table

EXPOSURE_DAYS = 1.0
"""An assigned unit without an exposure counts as lost after so long."""


def readout(
    design: Design,
    exposures: pd.DataFrame,
    outcomes: pd.DataFrame,
    as_of: datetime,
    history: Sequence[Look] = (),
) -> Readout:
    """The readout as of a moment.

    Args:
        exposures, outcomes: See `unit_table`.
        as_of: Nothing at or after it is known.
        history: The looks that earlier readouts returned. Those at or after `as_of` are ignored, so that a
            readout made again says the same.

    Raises:
        ContractError: The frames are not what they should be.
    """
    return judged(design, unit_table(design, exposures, outcomes, as_of), as_of, history)


def judged(design: Design, table: UnitTable, as_of: datetime, history: Sequence[Look] = ()) -> Readout:
    """The same, of units that are joined already."""
    mismatch = _mismatch(design, table, as_of)
    if mismatch.is_mismatch:
        reasons = (f"blocked by a sample-ratio mismatch: {mismatch.words}",)
        return Readout(design.split.name, as_of, "blocked", None, reasons, mismatch, (), None, 0.0)
    found, missing = _differences(design, table)
    primaries = [(design.primary.name, arm.name) for arm in design.treatments]
    information = table.information(design)
    before = tuple(look for look in history if look.as_of < as_of)
    look = _look(design, found, before, as_of, information)
    looks = (*before, look) if look is not None else before
    arms = range(1, len(design.split.arms))
    guardrails = [read_guardrail(table, one, design, arm) for one in design.guardrails for arm in arms]
    harms = [one.words for one in guardrails if one.is_harm]
    harms += [
        words
        for arm, key in zip(arms, primaries, strict=True)
        if key in found and (words := primary_harm(found[key], design, arm))
    ]
    rejected = rejections(looks, primaries, design)
    outcome = decide(design, looks, rejected, harms, missing, as_of, information)
    effects = primary_effects(design, found, looks, rejected)
    return Readout(
        design.split.name,
        as_of,
        outcome.decision,
        outcome.winner,
        (
            *outcome.reasons,
            *(one.words for one in effects),
            *(one.words for one in guardrails if not one.is_harm),
        ),
        mismatch,
        (
            *effects,
            *secondary_effects(design, found, looks, outcome.winner),
            *(one.effect for one in guardrails if one.effect is not None),
        ),
        look,
        information,
        _notes(design),
    )


def _mismatch(design: Design, table: UnitTable, as_of: datetime) -> MismatchVerdict:
    names = [arm.name for arm in design.split.arms]
    days = max(int((as_of - design.starts_at) / timedelta(days=1)), 1)
    return ratio_mismatch(names, *table.counts(design, as_of, EXPOSURE_DAYS), look=days)


def _differences(design: Design, table: UnitTable) -> tuple[Found, dict[tuple[str, str], str]]:
    """((metric, arm) -> difference, (metric, arm) -> why there is none)."""
    found: dict[tuple[str, str], Difference] = {}
    missing: dict[tuple[str, str], str] = {}
    for metric in (design.primary, *design.secondaries):
        for code, arm in enumerate(design.treatments, start=1):
            try:
                found[metric.name, arm.name] = compared(table, metric, code, design)
            except RefusedError as refused:
                missing[metric.name, arm.name] = f"{arm.name}: {refused}"
    return found, missing


def _look(
    design: Design, found: Found, before: Sequence[Look], as_of: datetime, information: float
) -> Look | None:
    """The planned look that is due and can be made; missed ones are not made up for."""
    due = design.looks_due(as_of)
    if before and (due <= before[-1].number or before[-1].is_last):
        return None
    if due == 0 or any((design.primary.name, arm.name) not in found for arm in design.treatments):
        return None
    names = [arm.name for arm in design.split.arms]
    rows = tuple(
        LookRow(metric, arm, information_of(one, design, names.index(arm)), one.effect, one.error)
        for (metric, arm), one in found.items()
    )
    is_end = due == len(design.look_days) and information >= design.least_information
    return Look(due, as_of, is_end or information >= 1.0, rows)


def _notes(design: Design) -> tuple[str, ...]:
    notes = [
        f"a unit counts once, {design.window_days:g} days after its exposure and "
        f"{design.settling_days:g} days for late events",
        "the relative effect takes the control's mean as known",
    ]
    capped = [f"{metric.name} at {metric.cap:g}" for metric in design.metrics if metric.cap is not None]
    if capped:
        notes.append(f"winsorised as declared: {', '.join(capped)}; the effect is of the capped metric")
    if design.is_adaptive:
        notes.append(
            "shares moved (Thompson): units are weighed by inverse propensity, plain means are biased"
        )
    return tuple(notes)
