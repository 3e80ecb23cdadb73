"""What a person sees while a flow runs: one line a step, live on a terminal, plain elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

_TITLE_WIDTH = 14


@dataclass
class Step:
    """One step under way: tell it what is happening, and it shows that.

    Attributes:
        title: Its name in the list.
        note: What it is doing, or what it did once it is over.
        skipped: Its result stood already.
    """

    title: str
    note: str = ""
    skipped: bool = False
    _changed: list[Listener] = field(default_factory=list, repr=False)
    done: float = 0.0
    total: float | None = None

    def say(self, note: str) -> None:
        """Nothing; replaces the note."""
        self.note = note
        self._tell()

    def skip(self, note: str = "unchanged") -> None:
        """Nothing; marks that there was no work to do."""
        self.skipped = True
        self.say(note)

    def advance(self, done: float, total: float) -> None:
        """Nothing; moves the bar to `done` of `total`."""
        self.done, self.total = done, total
        self._tell()

    def _tell(self) -> None:
        for listener in self._changed:
            listener.changed(self)


class Listener(Protocol):
    """Somebody who shows steps."""

    def started(self, step: Step) -> None:
        """Nothing; a step begins."""

    def changed(self, step: Step) -> None:
        """Nothing; its note or bar moved."""

    def ended(self, step: Step, seconds: float, failed: bool) -> None:
        """Nothing; it is over."""


_listener: ContextVar[Listener | None] = ContextVar("kairos_progress", default=None)
_current: ContextVar[Step | None] = ContextVar("kairos_step", default=None)


def say(note: str) -> None:
    """Nothing; the step under way now shows `note`. For code that runs inside a step without holding it."""
    if (current := _current.get()) is not None:
        current.say(note)


def advance(done: float, total: float) -> None:
    """Nothing; the bar of the step under way moves to `done` of `total`."""
    if (current := _current.get()) is not None:
        current.advance(done, total)


@contextmanager
def step(title: str) -> Iterator[Step]:
    """The step, shown to whoever watches this run; silent when nobody does."""
    listener = _listener.get()
    current = Step(title)
    token = _current.set(current)
    began, failed = time.monotonic(), True
    if listener is not None:
        current._changed.append(listener)
        listener.started(current)
    try:
        yield current
        failed = False
    finally:
        _current.reset(token)
        if listener is not None:
            listener.ended(current, time.monotonic() - began, failed)


@contextmanager
def showing_progress(console: Console) -> Iterator[None]:
    """Nothing; steps begun inside appear on `console`: live on a terminal, one plain line each elsewhere."""
    if not console.is_terminal:
        token = _listener.set(_Lines(console))
        try:
            yield
        finally:
            _listener.reset(token)
        return
    columns = (
        SpinnerColumn("dots", finished_text=" "),
        TextColumn("{task.description}"),
        BarColumn(bar_width=18),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        token = _listener.set(_Live(progress))
        try:
            yield
        finally:
            _listener.reset(token)


def ended_line(step: Step, seconds: float, failed: bool) -> Text:
    """How a finished step reads: mark, title, time, note."""
    mark, style = ("✗", "red") if failed else ("·", "dim") if step.skipped else ("✓", "green")
    return Text.assemble(
        (f" {mark} ", style),
        f"{step.title:<{_TITLE_WIDTH}}",
        (f"{seconds:7.1f} s  ", "dim"),
        (step.note, "dim" if step.skipped else ""),
    )


@dataclass
class _Lines:
    """One line a step when it is over: for logs and pipes."""

    console: Console

    def started(self, step: Step) -> None:
        pass

    def changed(self, step: Step) -> None:
        pass

    def ended(self, step: Step, seconds: float, failed: bool) -> None:
        self.console.print(ended_line(step, seconds, failed), soft_wrap=True)


@dataclass
class _Live:
    """A spinner and a bar while a step runs, its line when it is over."""

    progress: Progress
    tasks: dict[int, TaskID] = field(default_factory=dict)

    def started(self, step: Step) -> None:
        self.tasks[id(step)] = self.progress.add_task(f"{step.title:<{_TITLE_WIDTH}}", total=None, note="")

    def changed(self, step: Step) -> None:
        self.progress.update(self.tasks[id(step)], completed=step.done, total=step.total, note=step.note)

    def ended(self, step: Step, seconds: float, failed: bool) -> None:
        self.progress.remove_task(self.tasks.pop(id(step)))
        self.progress.console.print(ended_line(step, seconds, failed), soft_wrap=True)
