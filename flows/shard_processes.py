"""Processes of this machine that make shards side by side, each with libraries and history of its own.

Beside this process there are others. They are started anew, not forked (Arrow's and OpenMP's threads do not
survive a fork), keep what they have read from one shard to the next, and end with this process, however it
ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any

from features.errors import MachineError
from infra.settings import Settings
from models.lean_lightgbm import import_lean_lightgbm

_LOST = 70  # exit status of a process whose parent is gone; nobody reads it


class ShardProcesses:
    """This process and others beside it, `count` in all; the others start when the first shard needs one.

    This one works as well, so that it does not wait for the others to have read their libraries.
    """

    def __init__(self, count: int, environment: Mapping[str, str]) -> None:
        """Args: `environment` is what the others have in theirs besides this process's own."""
        self.count = count
        self._environment = dict(environment)
        self._pool: ProcessPoolExecutor | None = None
        self._starting = threading.Lock()
        self._here = threading.Lock()

    def run(self, work: Callable[..., Any], /, **arguments: Any) -> Any:
        """What `work` returned, here or in another process; waits for it. For up to `count` threads at once.

        Args:
            work: A function of a module; it and its arguments travel by pickle between processes of ours.

        Raises:
            MachineError: The process was killed, mostly because memory ran out. The next call starts others.
        """
        if self._here.acquire(blocking=False):
            try:
                return work(**arguments)
            finally:
                self._here.release()
        pool = self._started()
        try:
            return pool.submit(work, **arguments).result()
        except BrokenProcessPool:
            self._forget(pool)
            raise MachineError(
                "a process that makes shards was killed, probably for want of memory; run again, finished "
                f"shards are kept; lower KAIROS_SHARD_PROCESSES ({self.count}) or KAIROS_USERS_PER_SHARD."
            ) from None

    def close(self) -> None:
        """Nothing; the other processes are gone when it returns."""
        with self._starting:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)

    def _started(self) -> ProcessPoolExecutor:
        with self._starting:
            if self._pool is None:
                self._pool = ProcessPoolExecutor(
                    max(self.count - 1, 1),
                    mp_context=multiprocessing.get_context("spawn"),
                    initializer=_begin,
                    initargs=(self._environment,),
                )
            return self._pool

    def _forget(self, pool: ProcessPoolExecutor) -> None:
        with self._starting:
            if self._pool is pool:
                self._pool = None
        pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def shard_processes(settings: Settings) -> Iterator[ShardProcesses]:
    """As many as the settings ask for, until the block ends.

    The others share the memory that DuckDB may use; this process keeps its own share of it.
    """
    count = settings.shard_processes
    processes = ShardProcesses(count, {"KAIROS_DUCKDB_MEMORY_GB": str(settings.duckdb_memory_gb / count)})
    try:
        yield processes
    finally:
        processes.close()


def _begin(environment: dict[str, str]) -> None:
    """Nothing; this process lives as long as the one that started it, killed ones included."""
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import_lean_lightgbm()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(_LOST)
