"""Child processes that live and die with this one: started in order, stopped in reverse, none left behind."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import psutil

TERM_SECONDS = 15
KILL_SECONDS = 5


@dataclass(frozen=True)
class Child:
    """A process under supervision.

    Attributes:
        name: What it is, for messages.
        log: Where its output goes.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None


@dataclass
class Supervisor:
    """The children of one `kairos up`.

    Attributes:
        folder: Keeps their logs and, should this process be killed outright, their names for the next one.
    """

    folder: Path
    children: list[Child] = field(default_factory=list)

    @property
    def _notes(self) -> Path:
        return self.folder / "children.json"

    def start(self, name: str, command: list[str], environment: dict[str, str]) -> Child:
        """The started child; its output goes to `<folder>/<name>.log`."""
        log = self.folder / f"{name}.log"
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches us alone, so that we decide who stops when
            )
        child = Child(name, process, log)
        self.children.append(child)
        self._write_notes()
        return child

    def first_ended(self) -> Child | None:
        """A child that stopped by itself, if any."""
        return next((child for child in self.children if not child.is_alive()), None)

    def stop(self) -> None:
        """Nothing; ends every child and whatever they started, the youngest first."""
        while self.children:
            child = self.children.pop()
            end_tree(child.process.pid)
            child.process.wait()
        self._notes.unlink(missing_ok=True)

    def stop_leftovers(self) -> list[str]:
        """The names of children that a killed predecessor left running; they are ended now."""
        try:
            notes = json.loads(self._notes.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        ended = []
        for note in reversed(notes):
            with contextlib.suppress(psutil.NoSuchProcess):
                # A process number may have been given to somebody else since: the birth time decides.
                if abs(psutil.Process(note["pid"]).create_time() - note["created"]) < 1:
                    end_tree(note["pid"])
                    ended.append(note["name"])
        self._notes.unlink(missing_ok=True)
        return ended

    def _write_notes(self) -> None:
        notes = []
        for child in self.children:
            with contextlib.suppress(psutil.NoSuchProcess):
                created = psutil.Process(child.process.pid).create_time()
                notes.append({"name": child.name, "pid": child.process.pid, "created": created})
        fresh = self._notes.with_suffix(".new")
        fresh.write_text(json.dumps(notes), encoding="utf-8")
        fresh.replace(self._notes)


def end_tree(pid: int) -> None:
    """Nothing; asks a process to end, then everything it started, then insists."""
    try:
        root = psutil.Process(pid)
        # Taken first: when the root is gone, its children belong to somebody else. A flow run has a
        # session of its own, so that no signal to the root's group would reach it.
        tree = [*root.children(recursive=True), root]
    except psutil.NoSuchProcess:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        root.terminate()
    psutil.wait_procs([root], timeout=TERM_SECONDS)
    for action in ("terminate", "kill"):
        alive = [process for process in tree if process.is_running()]
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                getattr(process, action)()
        psutil.wait_procs(alive, timeout=KILL_SECONDS)
