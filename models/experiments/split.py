"""What an experiment takes of the traffic and how it shares it out: layer, range, arms."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import isclose

from features.errors import UsageError


@dataclass(frozen=True)
class Arm:
    """One arm.

    Attributes:
        name: What plan rows and readouts call it.
        share: Of the experiment's units, > 0; the arms' shares sum to 1.
        is_sent: Whether its pushes go out. An unsent arm is planned all the same, so that the time of the
            push that would have been sent is on record and timing does not bias the comparison.
        model_version, policy, timing, copy: What the arm plans with; None is what is live.
    """

    name: str
    share: float
    is_sent: bool = True
    model_version: str | None = None
    policy: str | None = None
    timing: str | None = None
    copy: str | None = None


@dataclass(frozen=True)
class Split:
    """The units that an experiment takes, and its arms.

    Attributes:
        name: The experiment's, also the salt of its arms: a name is never used twice.
        layer: Experiments of one layer never share a unit; those of two layers share units by chance alone.
        starts_at, ends_at: The half-open range of places of the layer that it owns, within [0, 1].
        arms: The first is the control.
        waves: Where shares move: its users come in so many waves, one a day, drawn by hash; 0: all at once.
        wave_shares: The arms' shares of the waves that have come so far, each fixed before its first user.

    Raises:
        UsageError: Shares that do not sum to 1, fewer than two arms, names twice, an empty range.

    Source: Tang, Agarwal, O'Brien and Meyer (2010), Overlapping experiment infrastructure.

    Examples:
        >>> Split("spring", "timing", 0.0, 0.2, (Arm("control", 0.5), Arm("evening", 0.5))).share
        0.2
    """

    name: str
    layer: str
    starts_at: float
    ends_at: float
    arms: tuple[Arm, ...]
    waves: int = 0
    wave_shares: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        named = f"experiment {self.name!r}"
        if not self.name.strip() or not self.layer.strip():
            raise UsageError(f"{named} in layer {self.layer!r}: both need a name; give them one.")
        if not 0.0 <= self.starts_at < self.ends_at <= 1.0:
            raise UsageError(
                f"{named} takes places {self.starts_at:g} to {self.ends_at:g}, must be 0 <= from < to <= 1; "
                "correct the range."
            )
        if len(self.arms) < 2:
            raise UsageError(
                f"{named} has {len(self.arms)} arms, must be >= 2; add the control it is compared with."
            )
        names = [arm.name for arm in self.arms]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UsageError(f"{named} has arm {twice[0]!r} twice, must be once; rename one.")
        total = sum(arm.share for arm in self.arms)
        if min(arm.share for arm in self.arms) <= 0 or not isclose(total, 1.0, abs_tol=1e-9):
            told = ", ".join(f"{arm.name} {arm.share:g}" for arm in self.arms)
            raise UsageError(f"{named} has shares {told}, must each be > 0 and sum to 1; correct them.")

    @property
    def share(self) -> float:
        """The part of the layer that it takes."""
        return self.ends_at - self.starts_at

    @property
    def control(self) -> Arm:
        """What every other arm is compared with."""
        return self.arms[0]

    def arm(self, name: str) -> Arm:
        """The arm of that name.

        Raises:
            UsageError: There is none.
        """
        for arm in self.arms:
            if arm.name == name:
                return arm
        told = ", ".join(arm.name for arm in self.arms)
        raise UsageError(f"arm == {name!r}, must be one of {told}; correct the name.")


def free_ranges(taken: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The ranges of [0, 1] that nobody has taken, in order.

    Examples:
        >>> free_ranges([(0.5, 0.7), (0.0, 0.2), (0.1, 0.3)])
        [(0.3, 0.5), (0.7, 1.0)]
    """
    merged = [(0.0, 0.0)]
    for start, end in sorted(taken):
        if start > merged[-1][1]:
            merged.append((start, end))
        else:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
    merged.append((1.0, 1.0))
    return [(one[1], other[0]) for one, other in pairwise(merged) if other[0] > one[1]]
