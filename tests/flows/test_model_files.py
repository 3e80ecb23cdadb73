"""A model version's folder: complete or absent, whatever happens while it is written."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import KairosError
from flows.model_files import (
    RANKER_FILE,
    read_evaluation,
    read_ranker,
    read_reference,
    read_timing,
    staged,
    write_evaluation,
    write_models,
    write_reference,
)
from models.ranker import Ranker
from models.ranker_fit import fit_ranker
from models.ranker_params import RankerParams
from models.timing import TimingModel, TimingParams, fit_timing
from models.training_set import RankingSet

DAYPARTS = ("night", "morning", "midday", "afternoon", "evening", "late")


def rows_of(seed: int) -> RankingSet:
    rng = np.random.default_rng(seed)
    rate = rng.random(1_000).astype(np.float32)
    return RankingSet(
        pd.DataFrame({"rate": rate, "kind": pd.Categorical(rng.choice(["none", "display"], 1_000))}),
        (rng.random(1_000) < rate / 2).astype(np.float32),
        np.repeat(np.arange(50), 20),
        pd.Series([f"i{n % 20}" for n in range(1_000)]),
    )


@pytest.fixture(scope="module")
def ranker() -> Ranker:
    params = RankerParams(min_rows_per_leaf=10, max_trees=5, threads=1)
    return fit_ranker(rows_of(1), rows_of(2), params)


def timing_rows() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    frame = pd.DataFrame(
        {"user_id": [f"u{n % 40}" for n in range(2_400)], "local_day": np.arange(2_400) // 240}
    )
    frame["daypart"] = [DAYPARTS[n % 6] for n in range(2_400)]
    frame["share"] = rng.random(2_400)
    frame["engaged"] = (rng.random(2_400) < frame["share"]).astype(int)
    return frame.assign(split=np.where(frame["local_day"] < 7, "train", "validation"))


@pytest.fixture(scope="module")
def timing() -> TimingModel:
    return fit_timing(timing_rows(), ["share"], TimingParams(num_threads=1, max_trees=5))


def test_models_are_read_as_they_were_written(tmp_path: Path, ranker: Ranker, timing: TimingModel) -> None:
    with staged(tmp_path / "v1") as folder:
        write_models(folder, ranker, timing)
        assert not (tmp_path / "v1").exists(), "nobody sees it before it is complete"
    features = rows_of(3).features
    assert (read_ranker(tmp_path / "v1").score(features) == ranker.score(features)).all()
    assert (read_timing(tmp_path / "v1").predict(timing_rows()) == timing.predict(timing_rows())).all()
    assert not [path for path in (tmp_path / "v1").iterdir() if path.suffix in {".pkl", ".pickle", ".joblib"}]
    assert [path.name for path in tmp_path.iterdir()] == ["v1"]


def test_evaluation_and_reference_are_read_as_they_were_written(tmp_path: Path) -> None:
    evaluation = {"models": {"Kairos": {"ndcg@10": 0.1 + 0.2}}, "differences": []}
    reference = pd.DataFrame({"score": [0.1, np.nan], "slot": pd.Categorical(["late", None])})
    write_evaluation(tmp_path, evaluation)
    write_reference(tmp_path, reference)
    assert read_evaluation(tmp_path) == evaluation
    pd.testing.assert_frame_equal(read_reference(tmp_path), reference)


@pytest.mark.parametrize("read", [read_ranker, read_timing, read_evaluation, read_reference])
def test_a_missing_file_is_named_with_the_remedy(tmp_path: Path, read) -> None:
    with pytest.raises(KairosError, match=r"model file .* is missing; run kairos train"):
        read(tmp_path)


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    with staged(tmp_path / "v1") as folder:
        (folder / RANKER_FILE).write_text("whole")
    with pytest.raises(OSError, match="disk full"), staged(tmp_path / "v1") as folder:
        (folder / RANKER_FILE).write_text("ha")
        raise OSError("disk full")
    assert (tmp_path / "v1" / RANKER_FILE).read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["v1"]


def test_a_version_written_again_replaces_the_folder(tmp_path: Path) -> None:
    for text, name in (("old", "gone.json"), ("new", RANKER_FILE)):
        with staged(tmp_path / "v1") as folder:
            (folder / name).write_text(text)
    assert [path.name for path in (tmp_path / "v1").iterdir()] == [RANKER_FILE]


def test_a_kill_leaves_no_version_and_the_next_run_writes_it_whole(tmp_path: Path) -> None:
    target = tmp_path / "v1"
    child = os.fork()
    if child == 0:
        with staged(target) as folder:
            (folder / RANKER_FILE).write_text("ha")
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert not target.exists()
    with staged(target) as folder:
        assert list(folder.iterdir()) == [], "nothing of the killed run is taken over"
        (folder / RANKER_FILE).write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["v1"]
    assert (target / RANKER_FILE).read_text() == "whole"
