"""Scores on disk: both files or none, replaced as a whole, and named by what they follow from."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest

from features.scenes import SCENE_PARTS
from flows.day_scores import DayScores
from flows.scored_files import ScoredFiles, scored_files
from infra.settings import Settings

REPOSITORY = Path(__file__).parents[2]
AS_OF = datetime(2024, 3, 25, 4, tzinfo=UTC)


def scores(score: float) -> DayScores:
    scene = {part: ["unknown"] for part in SCENE_PARTS}
    keys = {"user_id": ["u1"], "slot": ["evening"], **scene, "item_id": ["i1"], "category": ["c"]}
    candidates = pd.DataFrame(
        {**keys, "score": [score], "p_item": [0.1], "price": [2.0], "item_trend": [1.5]}
    )
    return DayScores(candidates, pd.DataFrame({"user_id": ["u1"], "slot": ["evening"], "p_engage": [score]}))


@pytest.fixture
def files(tmp_path: Path) -> ScoredFiles:
    return scored_files(Settings(home=tmp_path), "v1", date(2024, 3, 25), AS_OF, "abcd")


def test_what_was_written_is_read(files: ScoredFiles) -> None:
    assert not files.exist
    files.write(scores(0.25))
    assert files.exist
    assert files.rows == 1
    assert files.read_candidates()["score"].tolist() == [0.25]
    assert "item_trend" not in files.read_candidates()
    assert files.read_columns(["item_trend"])["item_trend"].tolist() == [1.5]
    assert files.read_timing()["p_engage"].tolist() == [0.25]


def test_writing_again_replaces_both(files: ScoredFiles) -> None:
    files.write(scores(0.25))
    files.write(scores(0.75))
    assert files.read_candidates()["score"].tolist() == files.read_timing()["p_engage"].tolist() == [0.75]
    assert sorted(path.name for path in files.timing.parent.iterdir()) == sorted(
        [files.candidates.name, files.timing.name]
    )


def test_other_inputs_are_other_files(tmp_path: Path) -> None:
    settings, day = Settings(home=tmp_path), date(2024, 3, 25)
    places = {
        scored_files(settings, *key)
        for key in (
            ("v1", day, AS_OF, "abcd"),
            ("v2", day, AS_OF, "abcd"),
            ("v1", date(2024, 3, 26), AS_OF, "abcd"),
            ("v1", day, AS_OF.replace(hour=5), "abcd"),
            ("v1", day, AS_OF, "ef01"),
        )
    }
    assert len({place.candidates for place in places}) == len({place.timing for place in places}) == 5


def test_a_failure_between_the_files_leaves_no_scores_and_no_pieces(files: ScoredFiles) -> None:
    files.write(scores(0.25))
    broken = DayScores(scores(0.75).candidates, pd.DataFrame({"p_engage": [object()]}))
    with pytest.raises(Exception, match=r"object|convert"):
        files.write(broken)
    assert not files.exist
    assert [path.name for path in files.timing.parent.iterdir()] == [files.candidates.name]
    files.write(scores(0.5))
    assert files.read_candidates()["score"].tolist() == files.read_timing()["p_engage"].tolist() == [0.5]


KILLED = """
import os, signal, sys
from datetime import date, datetime, UTC
from pathlib import Path
import pandas as pd
from flows.day_scores import DayScores
from flows.scored_files import ScoredFiles

class Killing(pd.DataFrame):
    def to_parquet(self, path, **options):
        pd.DataFrame(self).to_parquet(path, **options)
        os.kill(os.getpid(), signal.SIGKILL)

folder = Path(sys.argv[1])
candidates, timing = pd.DataFrame({"score": [0.75]}), pd.DataFrame({"p_engage": [0.75]})
if sys.argv[2] == "candidates":
    candidates = Killing(candidates)
else:
    timing = Killing(timing)
ScoredFiles(folder / sys.argv[3], folder / sys.argv[4]).write(DayScores(candidates, timing))
"""


@pytest.mark.parametrize("during", ["candidates", "timing"])
def test_a_kill_while_writing_never_passes_for_scores(files: ScoredFiles, during: str) -> None:
    files.write(scores(0.25))
    names = [files.candidates.name, files.timing.name]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, files.timing.parent, during, *names], cwd=REPOSITORY, check=False
    )
    assert done.returncode == -9
    assert not files.exist, "the marker of completeness is gone before anything is replaced"
    files.write(scores(0.5))
    assert files.read_candidates()["score"].tolist() == files.read_timing()["p_engage"].tolist() == [0.5]
