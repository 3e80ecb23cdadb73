"""One process at a time, on one machine; the kernel drops the lock when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from features.errors import KairosError


@contextmanager
def exclusive_lock(path: Path, what: str) -> Iterator[None]:
    """Nothing; inside the block nobody else holds `path`. The file stays: only the kernel's lock counts.

    Args:
        path: Lock file; its folder is created.
        what: What is locked, in words: "the event lake".

    Raises:
        KairosError: Somebody else holds it; names process, start and the fix.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            pid, _, since = file.read().strip().partition(" ")
            holder = f"process {pid} since {since}" if since else "another process"
            fix = f"wait for it or stop it (kill {pid})" if since else "wait for it"
            raise KairosError(f"{what} is in use by {holder}; {fix}.") from None
        file.truncate(0)
        file.write(f"{os.getpid()} {datetime.now(UTC):%Y-%m-%d %H:%M:%S UTC}\n")
        file.flush()
        try:
            yield
        finally:
            # Emptied before it is given up, so that nobody is ever told of a holder who has left.
            file.truncate(0)
            fcntl.flock(file, fcntl.LOCK_UN)
