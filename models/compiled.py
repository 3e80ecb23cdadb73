"""A ranker that predicts with compiled trees where that pays, and with LightGBM where it does not or must.

Why our own code and no library's: lleaves 1.3 gave 5 times LightGBM's speed on 500 trees of 63 leaves, took
100 seconds to compile them, differed in the last digits and holds llvmlite at 0.44; treelite needs a compiler
where it runs. A nightly run repays neither minutes of compilation nor a compiler on every machine.

Compiled scores are LightGBM's to the last bit; every run proves it on a sample of its rows, and goes on
with LightGBM, saying so, where they are not. Contributions stay LightGBM's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import UsageError
from models.ranker import Ranker
from models.ranker_rows import feature_matrix

Scores = NDArray[np.float64]
Predict = Callable[[NDArray[np.float32], int], Scores]
"""(matrix, threads) -> a score for each row."""


@dataclass(frozen=True)
class CompiledParams:
    """When compiling pays, and how compiled scores are checked.

    Attributes:
        compile_seconds: What compiling costs whatever the model.
        compile_seconds_per_tree: And for each tree on top.
        saved_microseconds_per_tree: Of one thread, for each row and tree; `make bench-scoring` measures all
            three.
        tolerance: Largest difference from LightGBM that passes.
        sample_rows: Rows compared at the start of a run.
        sample_share: Share of later rows that is compared.
    """

    compile_seconds: float = 0.4
    compile_seconds_per_tree: float = 0.001
    saved_microseconds_per_tree: float = 0.1
    tolerance: float = 1e-9
    sample_rows: int = 2_000
    sample_share: float = 0.001

    def __post_init__(self) -> None:
        if not 0.0 <= self.sample_share <= 1.0:
            raise UsageError(f"sample_share == {self.sample_share}, must be from 0 to 1.")
        if self.sample_rows < 1:
            raise UsageError(f"sample_rows == {self.sample_rows}, must be >= 1.")


def break_even_rows(trees: int, threads: int, params: CompiledParams) -> int:
    """Rows of one run from which compiling saves more than it costs.

    Examples:
        >>> params = CompiledParams(1.0, 0.0, saved_microseconds_per_tree=0.1)
        >>> break_even_rows(100, 1, params), break_even_rows(100, 2, params)
        (100000, 200000)
    """
    saved_per_row = trees * params.saved_microseconds_per_tree * 1e-6 / threads
    cost = params.compile_seconds + trees * params.compile_seconds_per_tree
    return int(np.ceil(cost / max(saved_per_row, 1e-12) - 1e-9))


@dataclass(frozen=True)
class PredictionOutcome:
    """How a run's scores were predicted.

    Attributes:
        is_compiled: Whether all of them were, by compiled trees.
        reason: Why, or why not.
        checked_rows: Rows that were predicted both ways.
        largest_difference: Between the two, in absolute value; NaN where only one gave a number.
        is_mismatch: Whether it was larger than allowed, so that somebody must look.
    """

    is_compiled: bool
    reason: str
    checked_rows: int = 0
    largest_difference: float = 0.0
    is_mismatch: bool = False

    @property
    def brief(self) -> str:
        """In two words, or more where somebody must look."""
        if self.is_mismatch:
            return "native: COMPILED SCORES DIFFERED"
        return "compiled" if self.is_compiled else "native"

    @property
    def words(self) -> str:
        """In one line."""
        if not self.checked_rows:
            return f"{self.brief} prediction: {self.reason}"
        return (
            f"{self.brief} prediction: {self.reason}; {self.checked_rows:,} rows compared with LightGBM, "
            f"largest difference {self.largest_difference:.3g}"
        )


def together(outcomes: Sequence[PredictionOutcome]) -> PredictionOutcome:
    """How a run was predicted whose parts were predicted so; at least one.

    What is worst tells why: a mismatch, else a part that was not compiled, else the first.

    Examples:
        >>> parts = [PredictionOutcome(True, "compiled before", 5, 0.1), PredictionOutcome(True, "", 3, 0.2)]
        >>> together(parts).words
        'compiled prediction: compiled before; 8 rows compared with LightGBM, largest difference 0.2'
    """
    worst = min(outcomes, key=lambda one: (not one.is_mismatch, one.is_compiled))
    differences = [one.largest_difference for one in outcomes]
    return replace(
        worst,
        checked_rows=sum(one.checked_rows for one in outcomes),
        largest_difference=worst.largest_difference if worst.is_mismatch else max(differences),
    )


class Scorer(Protocol):
    """What scoring needs of a ranker."""

    def score(self, features: pd.DataFrame, threads: int = 2) -> Scores:
        """One score per row."""


class CompiledRanker:
    """A ranker for one run: `score` as `Ranker.score`, by compiled trees while they agree with LightGBM."""

    def __init__(
        self, ranker: Ranker, predict: Predict | None, reason: str, params: CompiledParams | None = None
    ) -> None:
        """Args: `predict` by compiled trees, None for LightGBM only; `reason` why the one or the other."""
        self._ranker = ranker
        self._predict = predict
        self._params = params or CompiledParams()
        self.outcome = PredictionOutcome(predict is not None, reason)

    def score(self, features: pd.DataFrame, threads: int = 2) -> Scores:
        """LambdaRank scores, one per row; only their order within a query means something."""
        if self._predict is None:
            return self._ranker.score(features, threads)
        matrix = feature_matrix(features, self._ranker.features, self._ranker.categories, order="F")
        scores = self._predict(matrix, threads)
        rows = checked_rows(len(matrix), self.outcome.checked_rows, self._params)
        native = self._ranker.score_matrix(np.ascontiguousarray(matrix[rows]), threads)
        self.outcome = checked(self.outcome, scores[rows], native, self._params)
        if self.outcome.is_mismatch:
            self._predict = None
            return self._ranker.score_matrix(np.ascontiguousarray(matrix), threads)
        return scores


def checked_rows(rows: int, already: int, params: CompiledParams) -> NDArray[np.int64]:
    """Which of the next rows are compared: spread over all of them, the first and the last among them.

    Examples:
        >>> checked_rows(9, already=0, params=CompiledParams(sample_rows=3)).tolist()
        [0, 4, 8]
        >>> len(checked_rows(100_000, already=2_000, params=CompiledParams()))
        100
    """
    wanted = max(params.sample_rows - already, int(np.ceil(rows * params.sample_share)))
    return np.unique(np.linspace(0, max(rows - 1, 0), min(wanted, rows)).round().astype(np.int64))


def checked(
    before: PredictionOutcome, compiled: Scores, native: Scores, params: CompiledParams
) -> PredictionOutcome:
    """The outcome with these rows compared as well."""
    if not len(native):
        return before
    difference = float(np.abs(compiled - native).max())
    compared = before.checked_rows + len(native)
    if difference <= params.tolerance:  # not so for NaN
        largest = max(before.largest_difference, difference)
        return PredictionOutcome(True, before.reason, compared, largest)
    return PredictionOutcome(
        False,
        f"compiled scores differ from LightGBM's by more than {params.tolerance:g}",
        compared,
        difference,
        is_mismatch=True,
    )
