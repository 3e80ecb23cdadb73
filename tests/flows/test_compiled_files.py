"""Compiled rankers on disk: made once, shared, renewed, and never loaded from where others can write."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import models.forest_object as forest_object
from flows.compiled_files import FOLDER, compiled_ranker, concluded
from models.compiled import CompiledParams, CompiledRanker, break_even_rows
from models.ranker import Ranker
from models.ranker_fit import fit_ranker
from models.ranker_params import RankerParams
from models.ranker_rows import feature_matrix
from models.training_set import RankingSet

MANY = 10**9

JUDGED_ALONE = {"refits": 0, "pointwise_trees": 0}  # one booster: enough for what is tested here


def rows(seed: int, queries: int) -> RankingSet:
    rng = np.random.default_rng(seed)
    count = queries * 10
    rate = rng.random(count)
    return RankingSet(
        pd.DataFrame({"rate": rate.astype(np.float32), "age": rng.random(count).astype(np.float32)}),
        (rng.random(count) < rate / 3).astype(np.float32),
        np.repeat(np.arange(queries), 10),
        pd.Series(np.arange(count).astype(str)),
    )


@pytest.fixture(scope="module")
def ranker() -> Ranker:
    params = RankerParams(
        learning_rate=0.2,
        leaves=7,
        min_rows_per_leaf=10,
        max_trees=5,
        patience_trees=5,
        refits=0,
        pointwise_trees=0,
        threads=1,
    )
    return fit_ranker(rows(1, 100), rows(2, 50), params)


@pytest.fixture(scope="module")
def code(ranker: Ranker) -> bytes:
    return forest_object.compile_forest(ranker.models, len(ranker.features), np.float32)


@pytest.fixture
def compilations(code: bytes, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry each time something is compiled, which it is once for all these tests."""
    counted: list[int] = []

    def compiled(models: tuple[str, ...], features: int, dtype: object) -> bytes:
        counted.append(len(models))
        return code

    monkeypatch.setattr(forest_object, "compile_forest", compiled)
    return counted


def scored(scorer: CompiledRanker, ranker: Ranker) -> None:
    features = rows(3, 30).features
    assert np.array_equal(scorer.score(features, 1), ranker.score(features, 1))


def the_file(folder: Path) -> Path:
    (found,) = (folder / FOLDER).iterdir()
    return found


def test_a_weighted_mix_is_not_compiled_into_a_mean(tmp_path: Path, compilations: list[int]) -> None:
    params = RankerParams(learning_rate=0.2, leaves=7, max_trees=5, threads=1, few_targets=10**6)
    mix = fit_ranker(rows(1, 100), rows(2, 50), params)
    assert mix.weights
    scorer = compiled_ranker(tmp_path, mix, MANY, 1)
    scored(scorer, mix)
    assert not scorer.outcome.is_compiled and compilations == []
    features = rows(3, 30).features
    matrix = feature_matrix(features, mix.features, mix.categories)
    assert np.array_equal(mix.score_matrix(matrix, 1), mix.score(features, 1))


def test_it_compiles_once_and_then_starts_compiled(
    tmp_path: Path, ranker: Ranker, compilations: list[int]
) -> None:
    first = compiled_ranker(tmp_path, ranker, MANY, 1)
    scored(first, ranker)
    assert first.outcome.reason.startswith("compiled in ")
    again = compiled_ranker(tmp_path, ranker, 1, 1)
    scored(again, ranker)
    assert (again.outcome.is_compiled, again.outcome.reason) == (True, "compiled before")
    assert compilations == [1]
    assert (tmp_path / FOLDER).stat().st_mode & 0o777 == 0o700
    assert concluded(tmp_path, again) == again.outcome
    assert the_file(tmp_path).exists()


def test_below_the_break_even_lightgbm_predicts(
    tmp_path: Path, ranker: Ranker, compilations: list[int]
) -> None:
    enough = break_even_rows(ranker.trees, 1, CompiledParams())
    few = compiled_ranker(tmp_path, ranker, enough - 1, 1)
    scored(few, ranker)
    assert not few.outcome.is_compiled
    assert few.outcome.reason == (
        f"never compiled before; {enough - 1:,} rows repay no compilation, {enough:,} would"
    )
    assert not compilations
    assert not (tmp_path / FOLDER).exists()
    assert compiled_ranker(tmp_path, ranker, enough, 1).outcome.is_compiled


def test_code_of_another_model_or_machine_is_not_used(
    tmp_path: Path, ranker: Ranker, compilations: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled_ranker(tmp_path, ranker, MANY, 1)
    other = fit_ranker(
        rows(5, 100),
        rows(6, 50),
        RankerParams(max_trees=3, patience_trees=3, threads=1, **JUDGED_ALONE),
    )
    assert not compiled_ranker(tmp_path, other, 1, 1).outcome.is_compiled
    monkeypatch.setattr(forest_object, "_processor", lambda: ("another-cpu", "+none"))
    assert not compiled_ranker(tmp_path, ranker, 1, 1).outcome.is_compiled
    assert compilations == [1]


def test_a_damaged_file_is_compiled_anew(tmp_path: Path, ranker: Ranker, compilations: list[int]) -> None:
    compiled_ranker(tmp_path, ranker, MANY, 1)
    path = the_file(tmp_path)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", whole[:-1] + bytes([whole[-1] ^ 1])):
        path.write_bytes(damaged)
        native = compiled_ranker(tmp_path, ranker, 1, 1)
        scored(native, ranker)
        assert not native.outcome.is_compiled
        assert "damaged" in native.outcome.reason
        renewed = compiled_ranker(tmp_path, ranker, MANY, 1)
        scored(renewed, ranker)
        assert renewed.outcome.is_compiled
        assert path.read_bytes() == whole


@pytest.mark.parametrize("what", ["folder", "file", "link"])
def test_code_that_others_could_have_written_is_ignored(
    tmp_path: Path, ranker: Ranker, compilations: list[int], what: str
) -> None:
    compiled_ranker(tmp_path, ranker, MANY, 1)
    folder, path = tmp_path / FOLDER, the_file(tmp_path)
    if what == "folder":
        folder.chmod(0o770)
    elif what == "file":
        path.chmod(0o666)
    else:
        folder.rename(tmp_path / "elsewhere")
        folder.symlink_to(tmp_path / "elsewhere")
    native = compiled_ranker(tmp_path, ranker, 1, 1)
    scored(native, ranker)
    assert not native.outcome.is_compiled
    assert "ignored" in native.outcome.reason
    anew = compiled_ranker(tmp_path, ranker, MANY, 1)  # in memory, or over the file
    scored(anew, ranker)
    assert anew.outcome.is_compiled
    assert compilations == [1, 1]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_code_of_another_user_is_ignored(tmp_path: Path, ranker: Ranker, compilations: list[int]) -> None:
    compiled_ranker(tmp_path, ranker, MANY, 1)
    os.chown(the_file(tmp_path), 12_345, -1)
    outcome = compiled_ranker(tmp_path, ranker, 1, 1).outcome
    assert not outcome.is_compiled
    assert "belongs to user 12345, must belong to 0" in outcome.reason


def test_many_at_once_leave_one_whole_file(tmp_path: Path, ranker: Ranker, compilations: list[int]) -> None:
    (tmp_path / FOLDER).mkdir(mode=0o700)
    abandoned = tmp_path / FOLDER / "killed.part"
    abandoned.write_bytes(b"half")
    os.utime(abandoned, (0, 0))
    with ThreadPoolExecutor(8) as pool:
        scorers = list(pool.map(lambda _: compiled_ranker(tmp_path, ranker, MANY, 1), range(8)))
    assert all(scorer.outcome.is_compiled for scorer in scorers)
    assert the_file(tmp_path).suffix == ".o"
    scored(compiled_ranker(tmp_path, ranker, 1, 1), ranker)


def test_wrong_code_is_reported_and_thrown_away(
    tmp_path: Path, ranker: Ranker, compilations: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    compiled_ranker(tmp_path, ranker, MANY, 1)
    wrong = CompiledRanker(ranker, lambda matrix, threads: np.zeros(len(matrix)), "compiled before")
    scored(wrong, ranker)
    outcome = concluded(tmp_path, wrong)
    assert outcome.is_mismatch
    assert "COMPILED SCORES DIFFERED" in caplog.text
    assert not list((tmp_path / FOLDER).iterdir())


def test_a_home_that_cannot_be_written_still_compiles(
    tmp_path: Path, ranker: Ranker, compilations: list[int]
) -> None:
    scorer = compiled_ranker(tmp_path / "gone", ranker, MANY, 1)
    scored(scorer, ranker)
    assert scorer.outcome.is_compiled
    assert "not kept" in scorer.outcome.reason


def test_a_model_that_cannot_be_compiled_is_predicted_by_lightgbm(
    tmp_path: Path, ranker: Ranker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*arguments: object) -> bytes:
        raise RuntimeError("LLVM says no")

    monkeypatch.setattr(forest_object, "compile_forest", failing)
    scorer = compiled_ranker(tmp_path, ranker, MANY, 1)
    scored(scorer, ranker)
    assert scorer.outcome.reason == "this model cannot be compiled: LLVM says no"
