"""A declared experiment: what it changes, what it measures, when it is looked at; fixed once it runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from features.errors import UsageError
from models.experiments.split import Arm, Split
from monitoring.experiments.metrics import Metric
from monitoring.experiments.spending import Spending, spent


@dataclass(frozen=True)
class Guardrail:
    """What must not get worse.

    Attributes:
        metric: It is watched every day.
        tolerance: In the metric's units; harm that is surely larger stops the experiment.
    """

    metric: Metric
    tolerance: float = 0.0


@dataclass(frozen=True)
class Design:
    """An experiment as declared.

    Attributes:
        split: Layer, range and arms; the first arm is the control.
        hypothesis, owner: In words.
        primary: The metric that decides.
        starts_at: UTC; the first plan date's midnight.
        look_days: Days after the start at which planned looks are due, rising; the last ends the experiment.
        planned_units: Of all arms, whose window will be over at the last look.
        mde_relative: The smallest effect worth finding, as a part of the control's mean.
        secondaries, guardrails: Told beside the primary; only guardrails can stop.
        window_days: So long after its exposure a unit's outcomes count; it counts once that is over.
        settling_days: Waited besides for events that come late.
        alpha, power: Of the primary, two-sided, all arms together.
        spending: How alpha is spent over the looks.
        harm_alpha: Of stopping for harm wrongly: once for the primary between looks, once for all guardrails.
        least_units, least_nonzero: Of each arm, and of units with anything but 0 in both arms, before a mean
            is judged.
        tightest_at: The part of the planned units at which intervals for unplanned looks are narrowest.
        least_information: The last look ends the experiment if it has this part of the planned information.
        is_adaptive: Whether arms' shares move while it runs (Thompson); then there is one look.

    Examples:
        >>> from datetime import UTC
        >>> split = Split("spring", "timing", 0.0, 0.2, (Arm("control", 0.5), Arm("evening", 0.5)))
        >>> design = Design(split, "evenings convert", "crm", Metric("buyers", "orders", is_flag=True),
        ...                 datetime(2026, 3, 2, tzinfo=UTC), (7, 14), 20_000, 0.05)
        >>> f"{design.ends_at:%Y-%m-%d}", design.planned_information(design.treatments[0])
        ('2026-03-16', 5000.0)
    """

    split: Split
    hypothesis: str
    owner: str
    primary: Metric
    starts_at: datetime
    look_days: tuple[int, ...]
    planned_units: float
    mde_relative: float
    secondaries: tuple[Metric, ...] = ()
    guardrails: tuple[Guardrail, ...] = ()
    window_days: float = 3.0
    settling_days: float = 2.0
    alpha: float = 0.05
    power: float = 0.8
    spending: Spending = "obrien-fleming"
    harm_alpha: float = 0.01
    least_units: int = 100
    least_nonzero: int = 20
    tightest_at: float = 0.5
    least_information: float = 0.9
    is_adaptive: bool = False

    def __post_init__(self) -> None:
        named = f"experiment {self.split.name!r}"
        if not self.look_days or list(self.look_days) != sorted(set(self.look_days)) or self.look_days[0] < 1:
            raise UsageError(
                f"{named}: looks after days {self.look_days}, must be >= 1 and rise; correct them."
            )
        if not self.planned_units > 0:
            raise UsageError(f"{named} plans {self.planned_units:g} units, must be > 0; work out its power.")
        if self.window_days <= 0 or self.settling_days < 0:
            raise UsageError(
                f"{named}: window of {self.window_days:g} and settling of {self.settling_days:g} days, must "
                "be > 0 and >= 0; correct them."
            )
        if not self.mde_relative > 0:
            raise UsageError(
                f"{named}: smallest effect {self.mde_relative:g}, must be > 0; say what matters."
            )
        if self.is_adaptive and len(self.look_days) > 1:
            raise UsageError(
                f"{named} moves its shares and has {len(self.look_days)} looks, must have 1: boundaries are "
                "for fixed shares; look once, at the end."
            )
        if self.starts_at.tzinfo is None:
            raise UsageError(f"{named} starts at {self.starts_at}, must be in UTC; add the zone.")
        names = [metric.name for metric in self.metrics]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UsageError(f"{named} measures {twice[0]!r} twice, must be once; drop or rename one.")
        spent(1.0, self.alpha, self.spending)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Everything measured: the primary, secondaries, guardrails."""
        return (self.primary, *self.secondaries, *(one.metric for one in self.guardrails))

    @property
    def treatments(self) -> tuple[Arm, ...]:
        """Every arm but the control."""
        return self.split.arms[1:]

    @property
    def level(self) -> float:
        """Alpha of one arm's first step."""
        return self.alpha / len(self.treatments)

    @property
    def ends_at(self) -> datetime:
        """When the last look is due."""
        return self.look_due(len(self.look_days))

    def look_due(self, look: int) -> datetime:
        """When look 1, 2, ... is due."""
        return self.starts_at + timedelta(days=self.look_days[look - 1])

    def looks_due(self, as_of: datetime) -> int:
        """How many looks are due."""
        return sum(self.look_due(look) <= as_of for look in range(1, len(self.look_days) + 1))

    def planned_information(self, arm: Arm) -> float:
        """The planned total of 1 / (1 / units of the arm + 1 / units of the control)."""
        control = self.split.control.share
        return self.planned_units * arm.share * control / (arm.share + control)

    def extended(self, days: int) -> Design:
        """The same experiment with a look so many days after the last, in its place if it adapts."""
        if days < 1:
            raise UsageError(f"extended by {days} days, must be >= 1; say for how long.")
        earlier = self.look_days[:-1] if self.is_adaptive else self.look_days
        return replace(self, look_days=(*earlier, self.look_days[-1] + days))
