"""The largest memory of this process and its children so far, looked at twice a second."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

_POLL_SECONDS = 0.5


@dataclass
class PeakWatch:
    """Resident memory of the process tree; a child's shared pages count once more, never less."""

    peak_gb: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event, repr=False)

    def look(self) -> float:
        """The peak in GB (10^9 bytes), now looked at once more."""
        total = 0
        own = psutil.Process()
        for process in [own, *own.children(recursive=True)]:
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue  # gone between being listed and being asked
        self.peak_gb = max(self.peak_gb, total / 1e9)
        return self.peak_gb

    def _run(self) -> None:
        while not self._over.wait(_POLL_SECONDS):
            self.look()


@contextmanager
def watched_memory() -> Iterator[PeakWatch]:
    """A watch that looks until the block ends."""
    watch = PeakWatch()
    thread = threading.Thread(target=watch._run, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch._over.set()
        thread.join()
