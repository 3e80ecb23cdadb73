"""Effects by slot, scene or whatever was known at assignment: exploration, which proves nothing.

Nobody declared these comparisons, so each interval is as wide as all of them together and any number of looks
ask for. Whether slices differ at all is one question a column (Cochran's Q); only where they surely do is a
slice worth an experiment of its own.

Source: Cochran (1954), The combination of estimates from different experiments.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc

from features.errors import RefusedError
from monitoring.experiments.confidence_sequence import sequence_interval
from monitoring.experiments.cuped import Difference
from monitoring.experiments.design import Design
from monitoring.experiments.harm import information_of
from monitoring.experiments.metrics import Metric
from monitoring.experiments.unit_table import UnitTable, compared, rows_of

MARK = "exploration"


@dataclass(frozen=True)
class SliceEffect:
    """An arm against the control among the units of one slice.

    Attributes:
        column, value: The slice, as slot and evening.
        units: (treatment, control) whose window is over.
        low, high: Hold for all slices together, whenever they are looked at.
        differ_p: Whether the column's slices differ at all; the same for each of them; NaN with one slice.
        mark: Says that this is no evidence.
    """

    column: str
    value: str
    arm: str
    units: tuple[int, int]
    effect: float
    low: float
    high: float
    differ_p: float
    mark: str = MARK


def slice_effects(design: Design, table: UnitTable, metric: Metric) -> tuple[SliceEffect, ...]:
    """The metric's effect in every slice of the table that has enough units, by column, value and arm."""
    found: dict[tuple[str, str, int], Difference] = {}
    for column, labels in table.labels.items():
        names = labels.astype(str)
        for value in np.unique(names).tolist():
            among = rows_of(table, names == value)
            for arm in range(1, len(design.split.arms)):
                try:
                    found[column, value, arm] = compared(among, metric, arm, design)
                except RefusedError:
                    continue  # too small a slice to say anything of
    level = design.alpha / max(len(found), 1)
    told = []
    for (column, value, arm), one in found.items():
        fraction = information_of(one, design, arm) / design.tightest_at
        low, high = sequence_interval(one.effect, one.error, fraction, level)
        beside = [other for key, other in found.items() if (key[0], key[2]) == (column, arm)]
        name = design.split.arms[arm].name
        told.append(SliceEffect(column, value, name, one.units, one.effect, low, high, differ_p(beside)))
    return tuple(told)


def differ_p(effects: list[Difference]) -> float:
    """The chance of effects as far apart as these if they were one; NaN of fewer than two.

    Examples:
        >>> one, other = (Difference(effect, 1.0, 5.0, (50, 50), 0.0) for effect in (0.0, 2.7718))
        >>> round(differ_p([one, other]), 3), differ_p([one])
        (0.05, nan)
    """
    if len(effects) < 2:
        return float("nan")
    weights = np.array([one.error**-2.0 for one in effects])
    values = np.array([one.effect for one in effects])
    together = float(weights @ values / weights.sum())
    return float(chdtrc(len(effects) - 1, float(weights @ (values - together) ** 2)))
