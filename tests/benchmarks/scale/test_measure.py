"""Contenders are measured from outside."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tests.benchmarks.scale.measure import run_apart, timed


def hungry(megabytes: int, seconds: float) -> dict[str, int]:
    with timed():
        held = np.ones(megabytes * 125_000)
        time.sleep(seconds)
    return {"held": len(held)}


def failing() -> None:
    raise ValueError("broken on purpose")


def test_a_peak_is_not_that_of_who_started_it() -> None:
    held = np.ones(100_000_000)
    assert run_apart(hungry, megabytes=10, seconds=0.0).peak_gb < 0.4
    del held


def test_a_contender_is_measured_in_a_process_of_its_own() -> None:
    run = run_apart(hungry, megabytes=300, seconds=0.3)
    assert 0.3 <= run.wall_seconds < 5 and run.cpu_seconds < run.wall_seconds
    assert 0.3 < run.peak_gb < 1.5 and run.answer == {"held": 37_500_000}
    stopped = run_apart(hungry, memory_guard_gb=0.5, megabytes=1_500, seconds=20.0)
    assert stopped.wall_seconds == float("inf") and "stopped at" in stopped.stopped
    with pytest.raises(RuntimeError, match="broken on purpose"):
        run_apart(failing)
