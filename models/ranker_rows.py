"""From ranking sets to the rows LightGBM reads: columns that vary, categories as codes, graded labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.boosting import Rows
from models.training_set import RankingSet, SamplingParams, sample_negatives
from models.vocabulary import Floats, Ints


@dataclass(frozen=True)
class Encoding:
    """How features become numbers.

    Attributes:
        names: Columns that are read, in order.
        categories: Known values of each category column; others count as missing.
    """

    names: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, features: pd.DataFrame) -> Encoding:
        """The encoding of the columns that vary: a source that knows no device, say, costs no memory."""
        names = tuple(name for name in features.columns if _varies(features[name]))
        categories = {
            name: tuple(str(value) for value in features[name].cat.categories)
            for name in names
            if isinstance(features[name].dtype, pd.CategoricalDtype)
        }
        return cls(names, categories)

    def rows(self, rows: RankingSet, worths: Sequence[float]) -> Rows:
        """The set as LightGBM reads it."""
        return Rows(
            feature_matrix(rows.features, self.names, self.categories),
            grades_of(rows.label, worths),
            rows.group_sizes,
            self.names,
            tuple(name for name in self.names if name in self.categories),
        )


def thinned(rows: Rows, negatives: int, seed: int) -> Rows:
    """The rows with at most so many of each query's rows without relevance, evenly drawn."""
    query = np.repeat(np.arange(len(rows.group_sizes)), rows.group_sizes)
    kept = sample_negatives(query, rows.grade.astype(np.float32), SamplingParams(negatives, seed))
    sizes = np.bincount(query[kept], minlength=len(rows.group_sizes)).astype(np.int32)
    return replace(rows, matrix=rows.matrix[kept], grade=rows.grade[kept], group_sizes=sizes)


def stacked(first: Rows, second: Rows) -> Rows:
    """The rows of both, one below the other."""
    return replace(
        first,
        matrix=np.concatenate([first.matrix, second.matrix]),
        grade=np.concatenate([first.grade, second.grade]),
        group_sizes=np.concatenate([first.group_sizes, second.group_sizes]).astype(np.int32),
    )


def worths_of(*labels: Floats) -> tuple[float, ...]:
    """What each grade is worth, ascending: nothing for grade 0, then every relevance there is.

    Examples:
        >>> worths_of(np.array([0, 1, 0.25], dtype=np.float32), np.array([1], dtype=np.float32))
        (0.0, 0.25, 1.0)
    """
    found = np.unique(np.concatenate([np.unique(label) for label in labels]))
    return (0.0, *(float(worth) for worth in found[found > 0]))


def grades_of(labels: Floats, worths: Sequence[float]) -> Ints:
    """The place of each label among the worths; LambdaRank's labels are whole numbers.

    Examples:
        >>> grades_of(np.array([0, 1, 0.25], dtype=np.float32), (0.0, 0.25, 1.0)).tolist()
        [0, 2, 1]
    """
    return np.searchsorted(np.asarray(worths, dtype=np.float32), labels).astype(np.int32)


def feature_matrix(
    features: pd.DataFrame,
    names: tuple[str, ...],
    categories: Mapping[str, tuple[str, ...]],
    order: Literal["C", "F"] = "C",
) -> NDArray[np.float32]:
    """Rows x names as float32; a category is its position among the known values, missing if unknown.

    Args:
        order: Rows together ("C", as LightGBM reads them) or columns together ("F", quicker to make).
    """
    matrix = np.empty((len(features), len(names)), dtype=np.float32, order=order)
    for position, name in enumerate(names):
        column = features[name]
        if name in categories:
            rows = pd.Categorical(column)
            known = pd.Index(categories[name]).get_indexer(pd.Index(rows.categories.astype("str")))
            codes = np.append(known, -1)[rows.codes].astype(np.float32)
            matrix[:, position] = np.where(codes < 0, np.nan, codes)
        else:
            matrix[:, position] = column.to_numpy(dtype=np.float32)
    return matrix


def _varies(column: pd.Series) -> bool:
    """Whether a column holds two values, or a value and a missing one."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes = column.cat.codes.to_numpy()
        return bool(len(codes)) and bool((codes != codes[0]).any())
    values = column.to_numpy(dtype=np.float32)
    known = values[~np.isnan(values)]
    if len(known) in (0, len(values)):
        return bool(len(known)) and bool((known != known[0]).any())
    return True
