"""What was measured in each slice: every ranking's mean, and our lead on the same resamples of the users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from models.bootstrap import UserSample
from models.evaluation import Estimate, EvaluationParams
from models.metrics import Doubles
from models.slices import ORDER
from models.vocabulary import Column

FEWEST_USERS = 10
"""A slice of fewer has means but no intervals: resamples of so few users understate what is not known."""


@dataclass(frozen=True)
class SliceRow:
    """One slice.

    Attributes:
        dimension, value: Which slice.
        metric: Of the means, such as 'ndcg@10'.
        rows, users: Queries or targets in it, and the users behind them.
        models: Ranking -> mean; without an interval (NaN) where there are fewer than FEWEST_USERS.
        leads: Baseline -> ours minus the baseline.
        ratios: Baseline -> ours over the baseline; missing where the baseline is 0.
    """

    dimension: str
    value: str
    metric: str
    rows: int
    users: int
    models: Mapping[str, Estimate]
    leads: Mapping[str, Estimate]
    ratios: Mapping[str, Estimate]

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON types."""
        return {
            "dimension": self.dimension,
            "value": self.value,
            "metric": self.metric,
            "rows": self.rows,
            "users": self.users,
            **{
                name: {key: _finite(estimate) for key, estimate in part.items()}
                for name, part in (("models", self.models), ("leads", self.leads), ("ratios", self.ratios))
            },
        }


def measure_slices(
    slices: pd.DataFrame,
    values: Mapping[str, Doubles],
    users: Column,
    metric: str,
    ours: str,
    baselines: Sequence[str],
    params: EvaluationParams | None = None,
) -> list[SliceRow]:
    """One row a slice that holds anything, by dimension, then in reading order.

    Args:
        slices: One row a query or target, one column a dimension; None is in no slice.
        values: Ranking -> what it earned there, one number a row of `slices`.
        users: Whose query or target each row is.
        metric: Name of what was earned.
        ours: The ranking that leads are those of.
        baselines: Rankings that ours is compared with, apart from itself.
        params: Resamples, confidence and seed.

    Examples:
        >>> kinds = pd.DataFrame({"daypart": ["night", "late", "late"]})
        >>> [row] = measure_slices(kinds[1:], {"x": np.array([0.0, 1.0])}, ["u", "v"], "hit", "x", [])
        >>> row.value, row.rows, row.models["x"].mean
        ('late', 2, 0.5)
    """
    if not len(slices):
        return []
    sample = UserSample.of(users, params)
    names = list(values)
    keys, masks = _masks(slices)
    earned = np.stack([np.asarray(values[name], dtype=np.float64) for name in names], axis=1)
    totals = np.concatenate(
        [sample.totals(np.column_stack([mask[:, None] * earned, mask])) for mask in masks], axis=1
    )
    drawn = sample.resampled(totals).reshape(sample.params.bootstraps, len(keys), len(names) + 1)
    rows = []
    for place, (dimension, value) in enumerate(keys):
        mask, width = masks[place], len(names) + 1
        n_users = int((totals[:, place * width + width - 1] > 0).sum())
        with np.errstate(invalid="ignore", divide="ignore"):
            means = drawn[:, place, :-1] / drawn[:, place, -1:]
        if n_users < FEWEST_USERS:
            means = np.full_like(means, np.nan)
        mean = earned[mask].mean(axis=0)
        column = {name: position for position, name in enumerate(names)}
        own = column[ours]
        others = [name for name in baselines if name != ours and name in column]
        rows.append(
            SliceRow(
                dimension=dimension,
                value=value,
                metric=metric,
                rows=int(mask.sum()),
                users=n_users,
                models={name: sample.interval(float(mean[at]), means[:, at]) for name, at in column.items()},
                leads={
                    name: sample.interval(
                        float(mean[own] - mean[column[name]]), means[:, own] - means[:, column[name]]
                    )
                    for name in others
                },
                ratios={
                    name: _ratio(sample, mean[own], mean[column[name]], means[:, own], means[:, column[name]])
                    for name in others
                },
            )
        )
    return rows


def _ratio(sample: UserSample, ours: float, theirs: float, drawn: Doubles, others: Doubles) -> Estimate:
    with np.errstate(invalid="ignore", divide="ignore"):
        return sample.interval(float(np.divide(ours, theirs)), drawn / others)


def _masks(slices: pd.DataFrame) -> tuple[list[tuple[str, str]], list[Any]]:
    """(every slice that holds a row, its mask over the rows)."""
    keys, masks = [], []
    for dimension in slices:
        column = slices[dimension]
        counts = column.value_counts()
        known = [value for value in ORDER.get(str(dimension), ()) if value in counts.index]
        for value in known or [str(value) for value in counts.index]:
            keys.append((str(dimension), value))
            masks.append((column == value).to_numpy(dtype=bool))
    return keys, masks


def _finite(estimate: Estimate) -> dict[str, float | None]:
    """The estimate as JSON types; JSON knows no NaN."""
    return {name: value if np.isfinite(value) else None for name, value in asdict(estimate).items()}
