"""The planned looks so far against their boundaries, for one metric and all arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from monitoring.experiments.boundaries import LEAST_STEP, Boundaries, boundaries
from monitoring.experiments.design import Design
from monitoring.experiments.holm import holm_rejections
from monitoring.experiments.result import Look, LookRow

Rejected = Mapping[tuple[str, str], float]
"""(metric, arm) -> the level at which it was rejected."""


@dataclass(frozen=True)
class Tested:
    """Looks at one arm and metric.

    Attributes:
        rows: What each look saw, up to the first that crossed, or to the newest.
        looks: Their boundaries at `level`.
        level: Alpha of this comparison.
        is_rejected: Whether the last of `rows` lies at or beyond its boundary.
    """

    rows: tuple[LookRow, ...]
    looks: Boundaries
    level: float
    is_rejected: bool


def looks_of(history: Sequence[Look], metric: str, arm: str) -> list[tuple[LookRow, bool]]:
    """(what each look saw, whether it was the last), leaving out looks that added nothing.

    Examples:
        >>> from datetime import UTC, datetime
        >>> seen = [LookRow("buyers", "new", units, 0.1, 0.1) for units in (0.5, 0.502, 0.9)]
        >>> day = datetime(2026, 3, 9, tzinfo=UTC)
        >>> looks = [Look(number, day, False, (row,)) for number, row in enumerate(seen, start=1)]
        >>> [row.information for row, _ in looks_of(looks, "buyers", "new")]
        [0.5, 0.9]
    """
    kept: list[tuple[LookRow, bool]] = []
    for look in history:
        row = look.row(metric, arm)
        if row is None:
            continue
        if kept and row.information < kept[-1][0].information * (1.0 + LEAST_STEP):
            if look.is_last:  # the same units as before: it may spend what is left, but see nothing new
                kept[-1] = (kept[-1][0], True)
            continue
        kept.append((row, look.is_last))
    return kept


def against_boundaries(
    history: Sequence[Look], metric: str, arm: str, level: float, design: Design
) -> Tested | None:
    """The arm's looks at this level; None where no look could judge it."""
    kept = looks_of(history, metric, arm)
    if not kept:
        return None
    rows = [row for row, _ in kept]
    fractions = [row.information for row in rows]
    found = boundaries(tuple(fractions), level, design.spending, is_last=kept[-1][1])
    for place, row in enumerate(rows):
        if abs(row.effect / row.error) >= found.z[place]:
            crossed = Boundaries(
                found.information[: place + 1], found.z[: place + 1], found.stages[: place + 1]
            )
            return Tested(tuple(rows[: place + 1]), crossed, level, True)
    return Tested(tuple(rows), found, level, False)


def rejections(history: Sequence[Look], comparisons: Sequence[tuple[str, str]], design: Design) -> Rejected:
    """Rejected (metric, arm) -> its level, by Holm's steps over these comparisons."""
    named = {f"{metric}|{arm}": (metric, arm) for metric, arm in comparisons}

    def is_rejected_at(name: str, level: float) -> bool:
        found = against_boundaries(history, *named[name], level, design)
        return found is not None and found.is_rejected

    found = holm_rejections(list(named), is_rejected_at, design.alpha)
    return {named[name]: level for name, level in found.items()}
