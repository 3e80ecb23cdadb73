"""A model version's folder: LightGBM text, JSON and Parquet, complete or absent, never a pickle."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from features.errors import MachineError
from models.ranker import Ranker
from models.timing import FACTS_FILE, TREES_FILE, TimingModel

RANKER_FILE = "ranker.json"
EVALUATION_FILE = "evaluation.json"
REFERENCE_FILE = "reference.parquet"


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A folder to write into; it becomes `folder` when the block ends well and vanishes otherwise.

    A folder that a killed run left behind is written anew.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_models(folder: Path, ranker: Ranker, timing: TimingModel) -> None:
    """Nothing; both models lie in `folder`."""
    (folder / RANKER_FILE).write_text(ranker.to_json(), encoding="utf-8")
    for name, text in timing.to_texts().items():
        (folder / name).write_text(text, encoding="utf-8")


def read_ranker(folder: Path) -> Ranker:
    """The version's ranker.

    Raises:
        MachineError: Its file is gone.
    """
    return Ranker.from_json(_text(folder / RANKER_FILE))


def read_timing(folder: Path) -> TimingModel:
    """The version's timing model."""
    return TimingModel.from_texts({name: _text(folder / name) for name in (TREES_FILE, FACTS_FILE)})


def read_models(folder: Path) -> tuple[Ranker, TimingModel]:
    """The version's ranker and timing model."""
    return read_ranker(folder), read_timing(folder)


def write_evaluation(folder: Path, evaluation: Mapping[str, Any]) -> None:
    """Nothing; what was measured of the version lies beside it."""
    (folder / EVALUATION_FILE).write_text(json.dumps(evaluation, indent=1), encoding="utf-8")


def read_evaluation(folder: Path) -> dict[str, Any]:
    """What was measured of the version."""
    found = json.loads(_text(folder / EVALUATION_FILE))
    assert isinstance(found, dict)
    return found


def write_reference(folder: Path, reference: pd.DataFrame) -> None:
    """Nothing; the scored rows that drift is measured against lie beside the version."""
    reference.to_parquet(folder / REFERENCE_FILE, index=False, compression="zstd")


def read_reference(folder: Path) -> pd.DataFrame:
    """The scored rows that drift is measured against."""
    _present(folder / REFERENCE_FILE)
    return pd.read_parquet(folder / REFERENCE_FILE)


def _text(path: Path) -> str:
    _present(path)
    return path.read_text(encoding="utf-8")


def _present(path: Path) -> None:
    if not path.exists():
        raise MachineError(f"model file {path} is missing; run kairos train, which makes the version again.")
