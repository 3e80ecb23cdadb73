"""An end within seconds of SIGTERM or Ctrl-C, whatever this process is in the middle of.

The signal's handler runs in the main thread, between two steps of Python: late where a library computes
for minutes, in vain where one turns what it raises into an error of its own, and too early where threads
that have work left are then waited for. So a thread that the kernel wakes lets the orderly way have a few
seconds and then ends the process. A run that is killed at any moment goes on where it stopped: nothing is
lost by that.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

import psutil

GRACE_SECONDS = 5.0
EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
KEPT = "what was finished is kept; the same command goes on from there."

_seen: list[int] = []


def exit_code() -> int | None:
    """What this process must end with, since it was asked to; None if nobody asked."""
    return EXIT_CODES[signal.Signals(_seen[0])] if _seen else None


def words(code: int) -> str:
    """What a person is told of an end with `code`.

    Examples:
        >>> words(143)
        'terminated: what was finished is kept; the same command goes on from there.'
    """
    return f"{'interrupted' if code == EXIT_CODES[signal.SIGINT] else 'terminated'}: {KEPT}"


@contextlib.contextmanager
def ending_soon() -> Iterator[None]:
    """Nothing; a signal that comes inside the block ends the process in `GRACE_SECONDS`, inside it or not."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    read, write = os.pipe()
    os.set_blocking(write, False)
    before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    heard = threading.Event()
    threading.Thread(target=_await, args=(read, heard), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(write)  # the thread reads an end, unless it counts down already
        heard.wait()  # so that `exit_code` tells of a signal that has just come


def _await(read: int, heard: threading.Event) -> None:
    with os.fdopen(read, "rb", buffering=0) as told:
        while numbers := told.read(64):
            _seen.extend(number for number in numbers if number in EXIT_CODES)
            if _seen:
                heard.set()
                time.sleep(GRACE_SECONDS)
                _end()
    heard.set()


def _end() -> None:
    code = exit_code() or 1
    with contextlib.suppress(OSError, ValueError):
        print(words(code), file=sys.stderr, flush=True)
    for child in psutil.Process().children():
        # What has a session of its own, as PostgreSQL's watchdog has, looks after itself.
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(child.pid) == os.getsid(0):
                child.terminate()
    os._exit(code)
