"""Children end with their supervisor, grandchildren in sessions of their own included."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil

from flows.supervisor import RESTARTS, Supervisor

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
PARENT = [
    sys.executable,
    "-c",
    f"import subprocess, sys, time\nsubprocess.Popen({SLEEPER!r}, start_new_session=True)\ntime.sleep(600)",
]


def _with_grandchild(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    give_up = time.monotonic() + 30
    while not root.children():
        assert time.monotonic() < give_up
        time.sleep(0.05)
    return [root, *root.children(recursive=True)]


def test_stop_ends_children_and_what_they_started(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    family = _with_grandchild(supervisor.start("parent", PARENT, {}).process.pid)
    supervisor.stop()
    assert [process for process in family if process.is_running()] == []
    assert supervisor.stop_leftovers() == []


def test_leftovers_of_a_killed_supervisor_are_ended(tmp_path: Path) -> None:
    killed = Supervisor(tmp_path)
    child = killed.start("parent", PARENT, {})
    family = _with_grandchild(child.process.pid)
    assert Supervisor(tmp_path).stop_leftovers() == ["parent"]
    child.process.wait(timeout=30)
    assert [process for process in family if process.is_running()] == []


def test_a_reused_process_number_is_left_alone(tmp_path: Path) -> None:
    killed = Supervisor(tmp_path)
    child = killed.start("sleeper", SLEEPER, {})
    notes = tmp_path / "children.json"
    created = psutil.Process(child.process.pid).create_time()
    told = notes.read_text().replace(str(created), str(created - 1000))
    notes.write_text(told.replace(killed.mark, "of another"))
    assert Supervisor(tmp_path).stop_leftovers() == []
    assert child.is_alive()
    killed.stop()


def test_an_ended_child_is_started_again_and_its_output_kept(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    child = supervisor.start("short", [sys.executable, "-c", "print('said')"], {})
    for number in range(RESTARTS + 1):
        child.process.wait(timeout=30)
        assert supervisor.ended() == [child]
        assert supervisor.restart(child) == (number < RESTARTS)
        (child,) = supervisor.children
    assert child.log.read_text() == "said\n" == child.log.with_suffix(".log.1").read_text()
    supervisor.stop()


def test_what_a_killed_child_started_is_ended_as_well(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    child = supervisor.start("parent", PARENT, {})
    root, *orphans = _with_grandchild(child.process.pid)
    root.kill()
    child.process.wait(timeout=30)
    assert all(orphan.is_running() for orphan in orphans)
    supervisor.stop()
    assert [orphan for orphan in orphans if orphan.is_running()] == []
