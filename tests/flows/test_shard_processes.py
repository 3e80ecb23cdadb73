"""Shards in processes beside this one: all of them work, none outlives the run, a killed one is said."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import psutil
import pytest

from features.errors import KairosError
from flows.shard_processes import ShardProcesses

REPOSITORY = Path(__file__).parents[2]


def run_all(processes: ShardProcesses, work, many: list[dict]) -> list:
    with ThreadPoolExecutor(processes.count) as callers:
        return [one.result() for one in [callers.submit(processes.run, work, **asked) for asked in many]]


def test_work_is_done_here_and_beside_with_the_environment_that_was_asked_for() -> None:
    processes = ShardProcesses(2, {"KAIROS_TEST_SHARE": "half"})
    try:
        found = run_all(processes, subprocess.getoutput, [{"cmd": "sleep 0.5; echo $KAIROS_TEST_SHARE"}] * 3)
    finally:
        processes.close()
    assert set(found) == {"", "half"}
    assert not multiprocessing_children()


def test_the_process_beside_has_lightgbm_without_what_only_its_estimators_need() -> None:
    processes = ShardProcesses(2, {})
    loaded = partial(eval, "[name in __import__('sys').modules for name in ('lightgbm', 'sklearn')]")
    later = partial(eval, "__import__('sklearn.isotonic').isotonic.IsotonicRegression.__name__")
    try:
        with processes._here:
            assert processes.run(loaded) == [True, False]
            assert processes.run(later) == "IsotonicRegression"
    finally:
        processes.close()


def test_a_process_that_is_killed_is_said_and_the_next_call_starts_another() -> None:
    processes = ShardProcesses(2, {})
    try:
        with processes._here:  # so that all is done beside
            victim = processes.run(os.getpid)
            assert victim != os.getpid()
            with pytest.raises(KairosError, match=r"was killed, .*KAIROS_SHARD_PROCESSES \(2\)"):
                processes.run(os._exit, status=1)
            assert processes.run(os.getpid) not in (victim, os.getpid())
    finally:
        processes.close()


def test_an_error_of_the_work_is_told_as_it_is() -> None:
    processes = ShardProcesses(2, {})
    try:
        with processes._here, pytest.raises(FileNotFoundError, match="nowhere"):
            processes.run(os.stat, path="/nowhere")
    finally:
        processes.close()


ORPHAN = """
import os, sys, time
from flows.shard_processes import ShardProcesses
processes = ShardProcesses(2, {})
with processes._here:
    print(processes.run(os.getpid), flush=True)
time.sleep(600)
"""


def test_none_outlives_a_killed_run() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHAN], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    child = int(parent.stdout.readline())
    assert psutil.pid_exists(child)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 30
    while psutil.pid_exists(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(child)


def multiprocessing_children() -> list[psutil.Process]:
    return [
        child for child in psutil.Process().children() if "multiprocessing.spawn" in " ".join(child.cmdline())
    ]
