"""Child processes that live and die with this one: started in order, stopped in reverse, none left behind.

One that ends by itself is started again. What it had started goes on meanwhile, and carries our mark in its
environment, by which it is found when all is stopped.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import psutil

TERM_SECONDS = 15
KILL_SECONDS = 5
RESTARTS = 10
"""So often in ten minutes a child is started again; then it is broken."""
_RESTART_SECONDS = 600.0
_MARK = "KAIROS_SUPERVISOR"


@dataclass(frozen=True)
class Child:
    """A process under supervision.

    Attributes:
        name: What it is, for messages.
        log: Where its output goes; what a predecessor of the same name wrote has `.1` at the end.
        command, environment: What it was started with.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    command: tuple[str, ...] = field(repr=False)
    environment: dict[str, str] = field(repr=False)

    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None


@dataclass
class Supervisor:
    """The children of one `kairos up`.

    Attributes:
        folder: Keeps their logs and, should this process be killed outright, their names for the next one.
        mark: In the environment of every child, and so of whatever it starts.
    """

    folder: Path
    children: list[Child] = field(default_factory=list)
    mark: str = field(default_factory=lambda: uuid4().hex)
    _ended_at: dict[str, list[float]] = field(default_factory=dict)

    @property
    def _notes(self) -> Path:
        return self.folder / "children.json"

    def start(self, name: str, command: list[str], environment: dict[str, str]) -> Child:
        """The started child; its output goes to `<folder>/<name>.log`."""
        child = self._spawn(name, command, environment)
        self.children.append(child)
        self._write_notes()
        return child

    def ended(self) -> list[Child]:
        """The children that stopped by themselves."""
        return [child for child in self.children if not child.is_alive()]

    def restart(self, child: Child) -> bool:
        """Whether an ended child runs again; False for one that ends again and again."""
        now = time.monotonic()
        recent = [at for at in self._ended_at.get(child.name, []) if now - at < _RESTART_SECONDS]
        self._ended_at[child.name] = [*recent, now]
        if len(recent) >= RESTARTS:
            return False
        fresh = self._spawn(child.name, list(child.command), child.environment)
        self.children[self.children.index(child)] = fresh
        self._write_notes()
        return True

    def _spawn(self, name: str, command: list[str], environment: dict[str, str]) -> Child:
        log = self.folder / f"{name}.log"
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                env={**os.environ, **environment, _MARK: self.mark},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches us alone, so that we decide who stops when
            )
        return Child(name, process, log, tuple(command), environment)

    def stop(self) -> None:
        """Nothing; ends every child and whatever they started, the youngest first."""
        while self.children:
            child = self.children.pop()
            end_tree(child.process.pid)
            child.process.wait()
        _insist(_marked({self.mark}))
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
        _insist(_marked({note["mark"] for note in notes if "mark" in note}))
        self._notes.unlink(missing_ok=True)
        return ended

    def _write_notes(self) -> None:
        notes = []
        for child in self.children:
            with contextlib.suppress(psutil.NoSuchProcess):
                created = psutil.Process(child.process.pid).create_time()
                note = {"name": child.name, "pid": child.process.pid, "created": created, "mark": self.mark}
                notes.append(note)
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
    _insist(tree)


def _insist(processes: Iterable[psutil.Process]) -> None:
    """Nothing; none of them runs any more."""
    tree = list(processes)
    for action in ("terminate", "kill"):
        alive = [process for process in tree if process.is_running()]
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                getattr(process, action)()
        psutil.wait_procs(alive, timeout=KILL_SECONDS)


def _marked(marks: set[str]) -> Iterable[psutil.Process]:
    """The processes with one of these marks, whoever their parent is by now."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(_MARK) in marks:
                yield process
