"""One model's raw scores, asked few rows at a time and many: always LightGBM's."""

from __future__ import annotations

import logging

import lightgbm as lgb
import numpy as np
import pytest

import models.quick_trees as module
from features.errors import KairosError
from models.quick_trees import ENOUGH_ROWS, QuickTrees


@pytest.fixture(scope="module")
def booster() -> lgb.Booster:
    rng = np.random.default_rng(3)
    matrix = rng.normal(size=(4_000, 6)).astype(np.float32)
    label = (matrix[:, 0] + matrix[:, 1] * matrix[:, 2] > 0.3).astype(float)
    settings = {"objective": "binary", "num_leaves": 15, "verbosity": -1, "num_threads": 1}
    return lgb.train(settings, lgb.Dataset(matrix, label), num_boost_round=40)


def rows(count: int) -> np.ndarray:
    return np.random.default_rng(count).normal(size=(count, 6)).astype(np.float32)


def test_many_rows_are_scored_as_few_are(booster: lgb.Booster, caplog: pytest.LogCaptureFixture) -> None:
    trees = QuickTrees(booster.model_to_string())
    for count in (100, ENOUGH_ROWS, 1, 0):
        matrix = rows(count)
        wanted = booster.predict(matrix, raw_score=True) if count else np.zeros(0)
        np.testing.assert_array_equal(trees.scores(matrix), wanted)
        assert (trees._quick is not None) == (count != 100)
    assert not caplog.records


@pytest.mark.parametrize("fault", ["cannot compile", "differs"])
def test_what_goes_wrong_is_told_and_lightgbm_goes_on(
    fault: str, booster: lgb.Booster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import models.forest_object as forest

    def refuse(*_: object) -> bytes:
        raise KairosError("no such trees")

    class Other:
        def predict(self, matrix: np.ndarray, threads: int = 1) -> np.ndarray:
            return booster.predict(matrix, raw_score=True) + 1e-12

    if fault == "differs":
        monkeypatch.setattr(forest, "load_forest", lambda code: Other())
    else:
        monkeypatch.setattr(forest, "compile_forest", refuse)
    matrix = rows(ENOUGH_ROWS)
    trees = QuickTrees(booster.model_to_string())
    with caplog.at_level(logging.WARNING, module.__name__):
        for _ in range(2):
            np.testing.assert_array_equal(trees.scores(matrix), booster.predict(matrix, raw_score=True))
    assert len(caplog.records) == 1
