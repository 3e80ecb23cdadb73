"""One LightGBM model's raw scores: by compiled trees as soon as many rows are asked at once."""

from __future__ import annotations

import logging
from collections.abc import Callable

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from features.errors import KairosError

Scores = NDArray[np.float64]

ENOUGH_ROWS = 50_000
"""Compiling some hundred trees takes a second, and LightGBM as long for so many rows."""
_COMPARED_ROWS = 2_000

log = logging.getLogger(__name__)


class QuickTrees:
    """A model that is asked again and again, where loading is not told apart from asking.

    Compiled trees serve only if they give LightGBM's scores of the first rows to the last bit, so that
    nothing depends on how many rows were asked at once.
    """

    def __init__(self, model: str, threads: int = 2) -> None:
        """Args: LightGBM's model text; CPU threads, which the scores do not depend on."""
        self._model = model
        self._threads = threads
        self._booster = lgb.Booster(model_str=model)
        self._quick: Callable[[NDArray[np.float32], int], Scores] | None = None
        self._is_settled = False

    def scores(self, matrix: NDArray[np.float32]) -> Scores:
        """The raw score of each row."""
        if not self._is_settled and len(matrix) >= ENOUGH_ROWS:
            self._settle(matrix)
        if self._quick is not None:
            return self._quick(matrix, self._threads)
        return self._slow(matrix)

    def _slow(self, matrix: NDArray[np.float32]) -> Scores:
        told = self._booster.predict(matrix, raw_score=True, num_threads=self._threads)
        return np.asarray(told, dtype=np.float64)

    def _settle(self, matrix: NDArray[np.float32]) -> None:
        """Compiles once; whatever goes wrong, LightGBM goes on."""
        from models.forest_object import compile_forest, load_forest  # LLVM, where it pays

        self._is_settled = True
        try:
            forest = load_forest(compile_forest((self._model,), matrix.shape[1], np.float32))
        except (KairosError, RuntimeError) as error:  # RuntimeError is LLVM's
            log.warning("trees not compiled, LightGBM predicts: %s", error)
            return
        rows = matrix[np.linspace(0, len(matrix) - 1, _COMPARED_ROWS).astype(np.int64)]
        if np.array_equal(forest.predict(rows), self._slow(rows)):
            self._quick = forest.predict
        else:
            log.warning("compiled trees differ from LightGBM's, which predicts instead")
