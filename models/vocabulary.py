"""Vocabularies: strings as small integers, so that everything after loading is arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Floats = NDArray[np.float32]
Column: TypeAlias = "pd.Series[Any] | pd.Index[Any] | NDArray[Any] | Sequence[str]"


@dataclass(frozen=True)
class Vocabulary:
    """The sorted distinct values of one column; a value's code is its position.

    Examples:
        >>> Vocabulary.of(["b", "a", "b"]).codes(["a", "b", "never seen"]).tolist()
        [0, 1, -1]
    """

    values: pd.Index[str]

    @classmethod
    def of(cls, column: Column) -> Vocabulary:
        """The vocabulary of a column of strings; missing values have no code."""
        distinct = pd.unique(pd.Series(column).dropna())
        return cls(pd.Index(np.sort(np.asarray(distinct, dtype=object)), dtype="object"))

    def codes(self, column: Column) -> Ints:
        """The code of each value, -1 for one that the vocabulary lacks."""
        rows = pd.Series(column, dtype="category")
        distinct = pd.Index(rows.cat.categories, dtype="object")
        lookup = np.append(self.values.get_indexer(distinct), -1).astype(np.int32)
        return np.asarray(lookup[rows.cat.codes.to_numpy()], dtype=np.int32)

    def decode(self, codes: Ints | Longs) -> NDArray[np.object_]:
        """The value of each code; 'unknown' for -1."""
        return np.append(self.values.to_numpy(dtype=object), "unknown")[codes]

    def categorical(self, codes: Ints) -> pd.Categorical:
        """The values of these codes as a pandas categorical over the whole vocabulary."""
        return pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(self.values))  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self.values)
