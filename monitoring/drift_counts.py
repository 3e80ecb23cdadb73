"""Counting: every column's bins, for every period and slice, in one pass of DuckDB over all rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from duckdb import DuckDBPyConnection

from monitoring.drift_bins import ColumnBins, Counts

EVERYTHING = ""
"""The slice of all rows."""


@dataclass(frozen=True)
class SliceCounts:
    """The rows of one period and slice.

    Attributes:
        rows: How many.
        columns: Counts over the bins of each column.
    """

    rows: int
    columns: Mapping[str, Counts] = field(repr=False)

    def __add__(self, other: SliceCounts) -> SliceCounts:
        """Both together."""
        return SliceCounts(
            self.rows + other.rows,
            {name: counts + other.columns[name] for name, counts in self.columns.items()},
        )


PeriodCounts = Mapping[str, SliceCounts]
"""Of one period: 'device=phone' -> its rows; '' is all of them."""


def counted(
    connection: DuckDBPyConnection,
    view: str,
    bins: Sequence[ColumnBins],
    slices: Sequence[str] = (),
    period: str | None = None,
    least_rows: int = 0,
) -> dict[str, PeriodCounts]:
    """The counts by period, of all rows and of each value of each slice column.

    Args:
        connection: Knows `view`; not changed.
        view: A view or table with the bins' columns.
        slices: Columns whose values are looked at one by one as well.
        period: A column that tells periods apart; None: all rows are one period, called ''.
        least_rows: Values of slices with fewer rows in all periods together are left out.
    """
    found: dict[str, dict[str, SliceCounts]] = {}
    when = "''" if period is None else f"coalesce(CAST({_name(period)} AS VARCHAR), '')"
    for column in (None, *slices):
        what = "''" if column is None else f"CAST({_name(column)} AS VARCHAR)"
        aggregates = ", ".join(_aggregates(one) for one in bins)
        kept = (
            ""
            if column is None
            else f"WHERE {_name(column)} IN ("
            + (
                f"SELECT {_name(column)} FROM {view} WHERE {_name(column)} IS NOT NULL GROUP BY 1 "
                f"HAVING count(*) >= {int(least_rows)})"
            )
        )
        rows = connection.execute(
            f"SELECT {when}, {what}, count(*)" + (f", {aggregates}" if bins else "") + f" FROM {view} {kept} "
            "GROUP BY ALL"
        ).fetchall()
        for of_period, value, number, *told in rows:
            name = EVERYTHING if column is None else f"{column}={value}"
            columns = {
                one.column: _vector(one, number, histogram, present)
                for one, histogram, present in zip(bins, told[::2], told[1::2], strict=True)
            }
            found.setdefault(of_period, {})[name] = SliceCounts(int(number), columns)
    return dict(found)


def together(periods: Sequence[PeriodCounts], names: Collection[str] | None = None) -> dict[str, SliceCounts]:
    """The counts of several periods as one, of these slices or of all."""
    found: dict[str, SliceCounts] = {}
    for period in periods:
        for name in period if names is None else names:
            if name in period:
                found[name] = found[name] + period[name] if name in found else period[name]
    return found


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _aggregates(bins: ColumnBins) -> str:
    """Two aggregates a column: counts by bin, and how many values there are at all."""
    column = _name(bins.column)
    if bins.is_number:
        edges = ", ".join(repr(edge) for edge in bins.edges)
        value = f"CASE WHEN isfinite(CAST({column} AS DOUBLE)) THEN CAST({column} AS DOUBLE) END"
        return f"histogram({value}, [{edges}]::DOUBLE[]), count({value})"
    values = ", ".join(_text(value) for value in bins.values)
    spelt = f"CASE WHEN typeof({column}) IN ('FLOAT', 'DOUBLE') THEN printf('%g', CAST({column} AS DOUBLE)) "
    spelt += f"ELSE CAST({column} AS VARCHAR) END"
    return f"histogram_exact({spelt}, [{values}]::VARCHAR[]), count({column})"


def _vector(bins: ColumnBins, rows: int, histogram: Mapping[object, int] | None, present: int) -> Counts:
    told = dict(histogram or {})
    vector = np.zeros(bins.size)
    names: Sequence[object] = bins.edges if bins.is_number else bins.values
    for place, name in enumerate(names):
        vector[place] = told.pop(name, 0)
    vector[-2] = sum(told.values())  # above the last edge; any other category
    vector[-1] = rows - present
    return vector
