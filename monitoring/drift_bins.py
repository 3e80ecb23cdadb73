"""Bins of a column: what is counted, so that distributions of any number of rows compare by a few numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Counts = NDArray[np.float64]

NUMBER_QUANTILES = (0.01, *(round(0.05 * step, 2) for step in range(1, 20)), 0.99)
MAX_CATEGORIES = 30
_FEW_VALUES = 20


@dataclass(frozen=True)
class ColumnBins:
    """How the values of one column are counted; null has a bin of its own, the last one.

    Attributes:
        column: Its name.
        edges: Upper bounds of a number's bins, rising; what lies above the last has a bin too. Empty for
            categories.
        values: Categories, each a bin; all others share one. Empty for numbers.
        low, high: The number's first and last percentile, which stand for what lies beyond: one outlier is
            no drift, a shifted body is.
        spread: Standard deviation between them.
    """

    column: str
    edges: tuple[float, ...] = ()
    values: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    spread: float = 1.0

    @property
    def is_number(self) -> bool:
        """Whether bins are ranges."""
        return bool(self.edges)

    @property
    def size(self) -> int:
        """Bins in all."""
        return (len(self.edges) if self.is_number else len(self.values)) + 2


def bins_of(frame: pd.DataFrame, columns: Sequence[str]) -> tuple[ColumnBins, ...]:
    """The bins of each column, chosen on `frame`: percentiles of numbers, the commonest categories.

    A number that takes 20 values or fewer is counted by value. A value so common that two percentiles meet
    in it gets a bin of its own.

    Examples:
        >>> frame = pd.DataFrame({"price": np.arange(101.0), "kind": ["a", "b", "a"] * 33 + ["a"] * 2})
        >>> bins = bins_of(frame, ["price", "kind"])
        >>> bins[0].edges[:3], bins[1].values
        ((1.0, 5.0, 10.0), ('a', 'b'))
    """
    return tuple(_bins(frame[name]) for name in columns)


def as_text(values: pd.Series) -> pd.Series:
    """Categories as they are counted: 1.0 and 1 and true have one spelling each."""
    if pd.api.types.is_bool_dtype(values):
        return values.map({True: "true", False: "false"})
    if pd.api.types.is_numeric_dtype(values):
        return values.map(lambda value: f"{value:g}", na_action="ignore").astype("object")
    return values.astype("object")


def _bins(values: pd.Series) -> ColumnBins:
    name = str(values.name)
    if _is_number(values):
        told = values.to_numpy(dtype=np.float64, na_value=np.nan)
        told = told[np.isfinite(told)]
        if len(told) and len(np.unique(told)) > _FEW_VALUES:
            return _number_bins(name, told)
    counted = as_text(values).dropna().astype(str).value_counts()
    kept = sorted(counted.index, key=lambda value: (-counted[value], value))[:MAX_CATEGORIES]
    return ColumnBins(name, values=tuple(kept))


def _is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _number_bins(name: str, told: NDArray[np.float64]) -> ColumnBins:
    marks = np.quantile(told, NUMBER_QUANTILES, method="nearest")
    repeated = marks[1:][marks[1:] == marks[:-1]]
    edges = np.unique(np.concatenate([marks, np.nextafter(repeated, -np.inf)]))
    low, high = float(marks[0]), float(marks[-1])
    spread = float(np.clip(told, low, high).std())
    return ColumnBins(name, tuple(edges.tolist()), low=low, high=high, spread=max(spread, 1e-12))
