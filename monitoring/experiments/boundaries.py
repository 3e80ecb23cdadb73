"""Group-sequential boundaries for looks at any information, by exact recursive integration.

The statistic of look k is Z_k = S_k / sqrt(I_k), where S has independent normal increments. The density of
S among experiments that go on is carried from look to look on Gauss-Legendre points; a boundary is where
what leaves has the probability that the spending function allows. A look spends by the planned information,
but is correlated with earlier ones by the information it has, so that looks may come early, late, often or
seldom, as long as results do not decide when.

Source: Armitage, McPherson and Rowe (1969); Lan and DeMets (1983); Jennison and Turnbull (2000), Group
sequential methods, chapters 7 and 19.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from math import ceil, inf, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from features.errors import UsageError
from monitoring.experiments.spending import Spending, spent

Doubles = NDArray[np.float64]
LEAST_STEP = 0.01
"""A look must add this part of the information so far: less is the same look again."""
_FARTHEST_Z = 8.5  # beyond it lies less than 1e-16
_POINTS_PER_SPREAD = 5.0
_POINTS_STEP, _MOST_POINTS = 32, 960


@dataclass(frozen=True)
class Stage:
    """What goes on after a look: points of S, and the probability that each stands for, without an effect."""

    points: Doubles
    mass: Doubles


@dataclass(frozen=True)
class Boundaries:
    """Symmetric boundaries of the looks so far.

    Attributes:
        information: Of each look, as parts of the planned total; rising.
        z: |Z| at or above which the experiment stops; infinite where nothing may be spent.
        stages: After each look, without an effect.
    """

    information: tuple[float, ...]
    z: tuple[float, ...]
    stages: tuple[Stage, ...] = field(repr=False, compare=False)

    def leaving(self, drift: Doubles | float) -> tuple[Doubles, Doubles]:
        """(upwards, downwards): the chance of leaving at each look, looks x drifts.

        Args:
            drift: E(S) a unit of information, which is E(Z) at the planned total.
        """
        drifts = np.atleast_1d(np.asarray(drift, dtype=np.float64))
        looks = range(len(self.z))
        upwards = np.stack([self.crossing(look, drifts) for look in looks])
        downwards = np.stack([self.crossing(look, -drifts) for look in looks])
        return upwards, downwards

    def crossing(self, look: int, drifts: Doubles) -> Doubles:
        """The chance of leaving upwards at the look, one entry a drift.

        An endless boundary counts as the farthest point that is carried on, so that nothing gets lost where
        drifts are large.
        """
        return self.beyond(look, min(self.z[look], _FARTHEST_Z), drifts)

    def beyond(self, look: int, z: float, drifts: Doubles) -> Doubles:
        """The chance of reaching the look and having Z >= z there, one entry a drift.

        The densities without an effect serve every drift: S is sufficient, so each point is weighed by its
        likelihood ratio.
        """
        level, info = z * sqrt(self.information[look]), self.information[look]
        if look == 0:
            return np.asarray(ndtr((drifts * info - level) / sqrt(info)), dtype=np.float64)
        before, stage = self.information[look - 1], self.stages[look - 1]
        step = info - before
        weight = np.exp(np.outer(drifts, stage.points) - (drifts**2 * before / 2)[:, None])
        left = ndtr((stage.points[None, :] + drifts[:, None] * step - level) / sqrt(step))
        return np.asarray((weight * left) @ stage.mass, dtype=np.float64)


def boundaries(
    information: Sequence[float],
    alpha: float = 0.05,
    spending: Spending = "obrien-fleming",
    is_last: bool = False,
) -> Boundaries:
    """The boundaries of these looks.

    Args:
        information: At each look so far, as parts of the planned total; it may pass 1.
        is_last: Whether nothing is looked at after the last of them, however much was planned: the last look
            then spends all that is left.

    Raises:
        UsageError: Information that does not rise by `LEAST_STEP`, or none.

    Examples:
        >>> [round(z, 3) for z in boundaries((0.25, 0.5, 0.75, 1.0)).z]
        [4.333, 2.963, 2.359, 2.014]
    """
    levels = [spent(fraction, alpha, spending) for fraction in information]
    if is_last and levels:
        levels[-1] = alpha
    return boundaries_spending(tuple(float(one) for one in information), tuple(levels))


@lru_cache(maxsize=512)
def boundaries_spending(information: tuple[float, ...], levels: tuple[float, ...]) -> Boundaries:
    """The boundaries that have spent `levels` of both sides together by each look."""
    _check(information)
    found: list[float] = []
    stages: list[Stage] = []
    for look in range(len(information)):
        so_far = Boundaries(information[: look + 1], (*found, inf), tuple(stages))
        increment = (levels[look] - (levels[look - 1] if look else 0.0)) / 2.0
        found.append(_boundary(so_far, look, increment))
        stages.append(_carried(information, look, found[-1], stages[-1] if stages else None))
    return Boundaries(information, tuple(found), tuple(stages))


def constant_boundaries(information: Sequence[float], z: Sequence[float]) -> Boundaries:
    """Boundaries that somebody else has set, with the densities to judge them.

    Examples:
        >>> up, down = constant_boundaries((0.5, 1.0), (2.178, 2.178)).leaving(0.0)  # Pocock (1977)
        >>> round(float((up + down).sum()), 4)
        0.05
    """
    _check(tuple(information))
    stages: list[Stage] = []
    for look, bound in enumerate(z):
        stages.append(_carried(tuple(information), look, bound, stages[-1] if stages else None))
    return Boundaries(tuple(information), tuple(z), tuple(stages))


def _check(information: tuple[float, ...]) -> None:
    if not information or not information[0] > 0.0:
        raise UsageError("the first look has no information, must be > 0; wait for units whose time is over.")
    for before, after in pairwise(information):
        if not after >= before * (1.0 + LEAST_STEP):
            raise UsageError(
                f"a look has {after:.4f} of the planned information after {before:.4f}, must add "
                f"{LEAST_STEP:.1%}; leave it out."
            )


def _boundary(so_far: Boundaries, look: int, increment: float) -> float:
    if increment < 1e-15:
        return inf
    nothing = np.zeros(1)
    if look == 0:
        return float(-ndtri(increment))

    def excess(z: float) -> float:
        return float(so_far.beyond(look, z, nothing)[0]) - increment

    return inf if excess(_FARTHEST_Z) > 0 else float(brentq(excess, 0.0, _FARTHEST_Z, xtol=1e-10))


def _carried(information: tuple[float, ...], look: int, bound: float, before: Stage | None) -> Stage:
    """What goes on after the look."""
    info = information[look]
    steps = np.diff((0.0, *information[: look + 2]))[look:]
    edge = min(bound, _FARTHEST_Z) * sqrt(info)
    wanted = ceil(_POINTS_PER_SPREAD * 2.0 * edge / sqrt(steps.min()) / _POINTS_STEP) + 1
    unit, weights = _gauss(min(wanted * _POINTS_STEP, _MOST_POINTS))
    points = unit * edge
    if before is None:
        density = _normal(points / sqrt(info)) / sqrt(info)
    else:
        spread = sqrt(steps[0])
        density = _normal((points[:, None] - before.points[None, :]) / spread) @ before.mass / spread
    return Stage(points, density * weights * edge)


@lru_cache(maxsize=64)
def _gauss(points: int) -> tuple[Doubles, Doubles]:
    nodes, weights = np.polynomial.legendre.leggauss(points)
    return np.asarray(nodes, dtype=np.float64), np.asarray(weights, dtype=np.float64)


def _normal(values: Doubles) -> Doubles:
    return np.asarray(np.exp(-0.5 * values**2) / sqrt(2.0 * np.pi), dtype=np.float64)
