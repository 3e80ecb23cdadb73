"""What a readout says: effects, the look to keep, the decision with its reasons."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from monitoring.experiments.ratio_mismatch import MismatchVerdict

Decision = Literal["continue", "ship", "keep", "extend", "stop for harm", "blocked"]
Role = Literal["primary", "secondary", "guardrail"]
Verdict = Literal["better", "worse", "open", "safe", "harm"]

STAGE_WISE = "stage-wise"
REPEATED = "repeated"
ANY_TIME = "any time"


@dataclass(frozen=True)
class LookRow:
    """What a planned look saw of one arm and metric.

    Attributes:
        information: Units that count, as a part of those planned for the last look.
        effect, error: Treatment minus control, plain estimate.
    """

    metric: str
    arm: str
    information: float
    effect: float
    error: float


@dataclass(frozen=True)
class Look:
    """A planned look: kept, and given to every later readout as its history.

    Attributes:
        number: 1, 2, ... of the design's looks.
        is_last: Whether it spent all of alpha.
    """

    number: int
    as_of: datetime
    is_last: bool
    rows: tuple[LookRow, ...]

    def row(self, metric: str, arm: str) -> LookRow | None:
        """What it saw of the arm and metric, None where it could not be judged then."""
        return next((row for row in self.rows if (row.metric, row.arm) == (metric, arm)), None)


@dataclass(frozen=True)
class Effect:
    """One arm against the control in one metric.

    Attributes:
        units: (treatment, control) whose window is over.
        control_mean: The metric in the control.
        effect, low, high: Treatment minus control and its interval, in the metric's units.
        interval: What the interval is: at the stop 'stage-wise', which allows for the looks, or 'repeated';
            'any time' while it runs.
        confidence: Of the interval.
        boundary: |effect| / error at which this look stops; infinite where nothing may be spent, NaN between.
        p_value: Allows for the looks; NaN but at the stop.
        verdict: better, worse or open; of a guardrail safe, harm or open.
        words: What it says to a person.
    """

    metric: str
    arm: str
    role: Role
    units: tuple[int, int]
    control_mean: float
    effect: float
    low: float
    high: float
    interval: str
    confidence: float
    error: float
    boundary: float
    p_value: float
    variance_cut: float
    verdict: Verdict
    words: str

    @property
    def lift_relative(self) -> float:
        """The effect as a part of the control's mean; NaN where that is 0."""
        return self.effect / self.control_mean if self.control_mean else float("nan")


@dataclass(frozen=True)
class Readout:
    """A readout.

    Attributes:
        decision: 'continue' until a planned look or harm decides.
        winner: The arm to ship, if any.
        reasons: In words, the deciding one first.
        mismatch: Whether arms hold the units they should; if not, no effect is told.
        effects: Primary, secondaries, guardrails, each arm.
        look: The planned look that this was, to be kept in the history; None if it was none.
        information: The part of the planned units that counts by now, of the arm with least.
        notes: What a reader must know of how it was measured.
    """

    experiment: str
    as_of: datetime
    decision: Decision
    winner: str | None
    reasons: tuple[str, ...]
    mismatch: MismatchVerdict
    effects: tuple[Effect, ...]
    look: Look | None
    information: float
    notes: tuple[str, ...] = ()

    def effect(self, metric: str, arm: str) -> Effect | None:
        """What it says of the arm and metric."""
        return next((one for one in self.effects if (one.metric, one.arm) == (metric, arm)), None)
