"""The compiled ranker's judgement: when it pays, which rows it proves, what it does when they differ."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from features.errors import UsageError
from models.compiled import CompiledParams, CompiledRanker, break_even_rows, checked_rows
from models.forest_object import compile_forest, load_forest
from models.ranker import Ranker
from models.ranker_fit import fit_ranker
from models.ranker_params import RankerParams
from models.training_set import RankingSet

KINDS = ("display", "mailer", "none")
PARAMS = CompiledParams(sample_rows=50, sample_share=0.01)


def rows(seed: int, queries: int) -> RankingSet:
    """Numbers with holes and a category, and what was bought."""
    rng = np.random.default_rng(seed)
    count = queries * 10
    rate, kind = rng.random(count), rng.choice(KINDS, count)
    chance = 1 / (1 + np.exp(4 - 4 * rate - 2 * (kind == "mailer")))
    return RankingSet(
        pd.DataFrame(
            {
                "rate": np.where(rng.random(count) < 0.1, np.nan, rate).astype(np.float32),
                "age": rng.gamma(2.0, 30.0, count).astype(np.float32),
                "kind": pd.Categorical(kind, categories=KINDS),
            }
        ),
        (rng.random(count) < chance).astype(np.float32),
        np.repeat(np.arange(queries), 10),
        pd.Series(np.arange(count).astype(str)),
    )


@pytest.fixture(scope="module")
def ranker() -> Ranker:
    params = RankerParams(
        learning_rate=0.2,
        leaves=9,
        min_rows_per_leaf=10,
        max_trees=15,
        patience_trees=15,
        refits=2,
        pointwise_trees=10,
        threads=1,
    )
    return fit_ranker(rows(1, 150), rows(2, 60), params)


@pytest.fixture
def features() -> pd.DataFrame:
    return rows(3, 200).features


def test_compiled_scores_are_the_rankers_own(ranker: Ranker, features: pd.DataFrame) -> None:
    forest = load_forest(compile_forest(ranker.models, len(ranker.features), np.float32))
    compiled = CompiledRanker(ranker, forest.predict, "compiled before", PARAMS)
    assert np.array_equal(compiled.score(features, 1), ranker.score(features, 1))
    assert compiled.outcome.is_compiled
    assert (compiled.outcome.checked_rows, compiled.outcome.largest_difference) == (50, 0.0)
    compiled.score(features, 1)
    assert compiled.outcome.checked_rows == 70
    assert compiled.outcome.words == (
        "compiled prediction: compiled before; 70 rows compared with LightGBM, largest difference 0"
    )
    assert len(compiled.score(features.iloc[:0], 1)) == 0


@pytest.mark.parametrize("error", [2e-9, -1.0, np.nan])
def test_wrong_code_is_found_out_and_not_asked_again(
    ranker: Ranker, features: pd.DataFrame, error: float
) -> None:
    asked = []

    def wrong(matrix: NDArray[np.float32], threads: int) -> NDArray[np.float64]:
        asked.append(len(matrix))
        return ranker.score_matrix(np.ascontiguousarray(matrix), threads) + error

    compiled = CompiledRanker(ranker, wrong, "compiled before", PARAMS)
    for _ in range(2):
        assert np.array_equal(compiled.score(features, 1), ranker.score(features, 1))
    assert asked == [len(features)]
    assert compiled.outcome.is_mismatch
    assert not compiled.outcome.is_compiled
    assert compiled.outcome.brief == "native: COMPILED SCORES DIFFERED"
    assert "differ from LightGBM's by more than 1e-09; 50 rows compared" in compiled.outcome.words


def test_code_that_goes_wrong_later_is_found_out_too(ranker: Ranker, features: pd.DataFrame) -> None:
    errors = [0.0, 1e-10, 1e-3]

    def ages(matrix: NDArray[np.float32], threads: int) -> NDArray[np.float64]:
        return ranker.score_matrix(np.ascontiguousarray(matrix), threads) + errors.pop(0)

    compiled = CompiledRanker(ranker, ages, "compiled before", PARAMS)
    compiled.score(features, 1)
    compiled.score(features, 1)
    assert compiled.outcome.is_compiled
    assert 0 < compiled.outcome.largest_difference < 1e-9
    assert np.array_equal(compiled.score(features, 1), ranker.score(features, 1))
    assert compiled.outcome.is_mismatch


def test_without_code_lightgbm_answers(ranker: Ranker, features: pd.DataFrame) -> None:
    plain = CompiledRanker(ranker, None, "too few rows")
    assert np.array_equal(plain.score(features, 1), ranker.score(features, 1))
    assert plain.outcome.words == "native prediction: too few rows"
    assert not plain.outcome.is_mismatch


def test_compiling_must_be_repaid() -> None:
    params = CompiledParams()
    assert break_even_rows(600, 2, params) < break_even_rows(300, 2, params) < break_even_rows(30, 2, params)
    assert break_even_rows(300, 1, params) < break_even_rows(300, 2, params)


def test_compared_rows_are_spread_over_all() -> None:
    params = CompiledParams(sample_rows=100, sample_share=0.1)
    assert checked_rows(0, 0, params).tolist() == []
    assert checked_rows(40, 0, params).tolist() == list(range(40))
    assert len(checked_rows(500, 100, params)) == 50
    some = checked_rows(500, 0, params)
    assert (some[0], some[-1], len(some)) == (0, 499, 100)
    with pytest.raises(UsageError, match="sample_share == 2, must be from 0 to 1"):
        CompiledParams(sample_share=2)
    with pytest.raises(UsageError, match="sample_rows == 0, must be >= 1"):
        CompiledParams(sample_rows=0)
