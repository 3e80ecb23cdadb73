"""What is to be done: the plan decides, at its looks; harm decides on any day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from monitoring.experiments.design import Design
from monitoring.experiments.result import Decision, Look
from monitoring.experiments.sequential_tests import Rejected, Tested, against_boundaries


@dataclass(frozen=True)
class Outcome:
    """A decision.

    Attributes:
        winner: The arm to ship.
        reasons: In words.
    """

    decision: Decision
    winner: str | None
    reasons: tuple[str, ...]


def decide(
    design: Design,
    looks: Sequence[Look],
    rejected: Rejected,
    harms: Sequence[str],
    missing: Mapping[tuple[str, str], str],
    as_of: datetime,
    information: float,
) -> Outcome:
    """The decision as of a moment.

    Harm comes first; then an arm that crossed its boundary, the better of two; then the plan's end, which
    keeps the control, or asks for more time where units came more slowly than planned. One arm that is
    surely worse stops all of them: launch the others again without it.

    Args:
        looks: The planned looks so far, the newest last.
        rejected: What crossed its boundary.
        harms: Harm found today, in words.
        missing: Why an arm's metric cannot be judged.
        information: The part of the planned units that counts by now.
    """
    metric, sign = design.primary.name, 1.0 if design.primary.higher_is_better else -1.0
    crossed = {
        key[1]: one
        for key, level in rejected.items()
        if (one := against_boundaries(looks, *key, level, design)) is not None
    }
    gains = {arm: sign * one.rows[-1].effect for arm, one in crossed.items()}
    worse = [f"{_crossing(crossed[arm])}, for the worse" for arm, gain in gains.items() if gain < 0]
    if harms or worse:
        return Outcome("stop for harm", None, (*harms, *worse))
    if gains:
        best_first = sorted(gains, key=lambda arm: -gains[arm])
        return Outcome("ship", best_first[0], tuple(_crossing(crossed[arm]) for arm in best_first))
    if looks and looks[-1].is_last:
        control = design.split.control.name
        return Outcome(
            "keep", None, (f"no arm's {metric} was shown to differ from {control}'s by the last look",)
        )
    why = tuple(words for key, words in missing.items() if key[0] == metric)
    if as_of >= design.ends_at:
        return Outcome("extend", None, (_extension(design, as_of, information), *why))
    following = design.looks_due(as_of) + 1
    due = design.look_due(following)
    said = f"{information:.0%} of the planned units; look {following} is due {due:%Y-%m-%d}"
    return Outcome("continue", None, (said, *why))


def _crossing(one: Tested) -> str:
    row = one.rows[-1]
    return (
        f"{row.arm}: {row.metric} {row.effect:+.4g}, |z| {abs(row.effect / row.error):.2f} >= boundary "
        f"{one.looks.z[-1]:.2f} at {row.information:.0%} of the planned units"
    )


def _extension(design: Design, as_of: datetime, information: float) -> str:
    if information >= design.least_information:
        return f"the last look was due, and {design.primary.name} could not be judged"
    found = (
        f"the last look was due, with {information:.0%} of the planned units, must be >= "
        f"{design.least_information:.0%}"
    )
    if information <= 0.0:
        return f"{found}; find out why units do not come"
    grown = (as_of - design.starts_at) / timedelta(days=1) - design.window_days - design.settling_days
    return f"{found}; at this pace {ceil(max(grown, 1.0) * (1.0 - information) / information)} more days"
