"""Facts in columns that are put together only where a rule asks for them, for the rows it asks about.

What is known of a user, a slot or an item stands once, beside the row numbers that refer to it: a rule that
reads items alone is asked once an item, not once a candidate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Longs = NDArray[np.int64]
Values: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class Level:
    """Columns of something that many rows share.

    Attributes:
        of_row: For each row which of them is its own.
        columns: One value each.
    """

    of_row: Longs
    columns: Mapping[str, Values]


@dataclass(frozen=True)
class Columns:
    """Rows of facts.

    Attributes:
        length: How many rows.
        own: One value a row.
        levels: What rows share; of two levels with a column of one name the first one tells.
    """

    length: int
    own: Mapping[str, Values] = field(default_factory=dict)
    levels: tuple[Level, ...] = ()

    def __contains__(self, name: str) -> bool:
        return name in self.own or any(name in level.columns for level in self.levels)

    def column(self, name: str, rows: Longs | None = None) -> Values:
        """One value a row of `rows`, every row by default.

        Raises:
            KeyError: There is no such column.
        """
        if name in self.own:
            values = self.own[name]
            return values if rows is None else values.take(rows)
        for level in self.levels:
            if name in level.columns:
                return level.columns[name].take(level.of_row if rows is None else level.of_row[rows])
        raise KeyError(name)

    def frame(self, names: Sequence[str], rows: Longs | None = None) -> pd.DataFrame:
        """These columns of `rows`, index 0..n-1; those that do not exist are left out."""
        count = self.length if rows is None else len(rows)
        found = {name: self.column(name, rows) for name in names if name in self}
        return pd.DataFrame(found, index=pd.RangeIndex(count), copy=False)

    def level_of(self, names: Sequence[str]) -> Level | None:
        """The level that tells all of these columns; None where none does."""
        if not names or any(name in self.own for name in names):
            return None
        for level in self.levels:
            if any(name in level.columns for name in names):
                return level if all(name in level.columns for name in names) else None
        return None

    def with_own(self, **columns: Values) -> Columns:
        """The same with these columns besides, or instead."""
        return replace(self, own={**self.own, **columns})


def columns_of(frame: pd.DataFrame) -> dict[str, Values]:
    """The columns of a frame, ready for `Columns` or a `Level`."""
    return {str(name): frame[name].to_numpy() for name in frame}
