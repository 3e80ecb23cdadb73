"""Compiled rankers beside their versions, made once a processor, loaded only if no other user could write.

A file is there whole or not at all, whoever is killed and however many compile at once: each writes a file of
its own and renames it, and what they rename is the same.
"""

from __future__ import annotations

import logging
import os
import stat
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.errors import KairosError
from models.candidates.cut import CutParams
from models.compiled import CompiledParams, CompiledRanker, PredictionOutcome, break_even_rows
from models.ranker import Ranker

FOLDER = "compiled"
_PARTIAL = ".part"
_ABANDONED_SECONDS = 3600

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Kept:
    """What a folder answered: the code, or why there is none; and whether one may be kept there."""

    code: bytes | None
    why: str
    is_trusted: bool = True


def compiled_ranker(
    version_dir: Path,
    ranker: Ranker,
    expected_rows: int,
    threads: int,
    params: CompiledParams | None = None,
) -> CompiledRanker:
    """The version's ranker for a run of so many rows: compiled if it is already, or if that pays.

    Nothing that goes wrong here stops a run: it predicts with LightGBM then, and its outcome says why.
    """
    params = params or CompiledParams()
    if ranker.weights:  # fitted on few targets, so small that nothing would be gained
        return CompiledRanker(ranker, None, "a weighted mix of rankers is LightGBM's", params)
    from models.forest_object import compile_forest, load_forest, object_key, sealed

    features = len(ranker.features)
    key = object_key(ranker.models, features, np.float32)
    folder = version_dir / FOLDER
    kept = _read(folder, key)
    if kept.code is not None:
        return CompiledRanker(ranker, load_forest(kept.code).predict, kept.why, params)
    if not kept.is_trusted:
        log.warning("%s", kept.why)
    enough = break_even_rows(ranker.trees, threads, params)
    if expected_rows < enough:
        reason = f"{kept.why}; {expected_rows:,} rows repay no compilation, {enough:,} would"
        return CompiledRanker(ranker, None, reason, params)
    began = time.perf_counter()
    try:
        code = compile_forest(ranker.models, features, np.float32)
    except (KairosError, RuntimeError) as error:  # RuntimeError is LLVM's
        return CompiledRanker(ranker, None, f"this model cannot be compiled: {error}", params)
    reason = f"compiled in {time.perf_counter() - began:.1f} s ({kept.why})"
    if kept.is_trusted:
        try:
            _write(folder, key, sealed(code, key))
        except OSError as error:
            reason += f", not kept: {error}"
            log.warning("compiled ranker not kept in %s: %s", folder, error)
    return CompiledRanker(ranker, load_forest(code).predict, reason, params)


def expected_rows(queries: int, ranker: Ranker) -> int:
    """About how many candidates a run scores for so many queries."""
    return queries * (CutParams().keep if ranker.cut is None else ranker.cut.keep)


def concluded(version_dir: Path, scorer: CompiledRanker) -> PredictionOutcome:
    """How the run predicted, once it is over; a mismatch is logged and the kept code is thrown away."""
    outcome = scorer.outcome
    if outcome.is_mismatch:
        log.warning("%s: %s", version_dir.name, outcome.words)
        for path in (version_dir / FOLDER).glob("*.o"):
            path.unlink(missing_ok=True)
    return outcome


def _read(folder: Path, key: str) -> _Kept:
    from models.forest_object import unsealed

    path = folder / f"{key}.o"
    if not folder.is_symlink() and not folder.exists():
        return _Kept(None, "never compiled before")
    if fault := _fault(os.lstat(folder), stat.S_ISDIR):
        return _Kept(None, f"compiled rankers in {folder} are ignored: it {fault}", is_trusted=False)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return _Kept(None, "never compiled for this model and machine")
    except OSError as error:
        return _Kept(None, f"compiled ranker ignored: {error}")
    with os.fdopen(descriptor, "rb") as file:
        if fault := _fault(os.fstat(descriptor), stat.S_ISREG):
            return _Kept(None, f"compiled ranker ignored: {path} {fault}")
        try:
            return _Kept(unsealed(file.read(), key), "compiled before")
        except KairosError as error:
            return _Kept(None, f"compiled ranker ignored: {error}")


def _fault(found: os.stat_result, is_expected: Callable[[int], bool]) -> str:
    """Why code must not be loaded from there; empty if it may."""
    if not is_expected(found.st_mode):
        return "is no plain file or folder"
    if found.st_uid != os.geteuid():
        return f"belongs to user {found.st_uid}, must belong to {os.geteuid()}"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"can be written by others (mode {stat.S_IMODE(found.st_mode):o}); chmod go-w, or remove it"
    return ""


def _write(folder: Path, key: str, content: bytes) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    for left in folder.glob(f"*{_PARTIAL}"):  # of processes that were killed
        if left.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
            left.unlink(missing_ok=True)
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=f"{key}.", suffix=_PARTIAL)
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        partial.replace(folder / f"{key}.o")
    finally:
        partial.unlink(missing_ok=True)
