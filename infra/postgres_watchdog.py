"""Stops the embedded PostgreSQL when its last user is gone, however that user ended.

Every process that uses the server holds a shared lock on `users.lock`; the kernel drops it on any death,
`kill -9` included. This file is run as a script of its own (standard library only), one per server: it sleeps
until it can take that lock alone, then stops the server.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

STOP_SECONDS = 60


def postmaster_pid(data_dir: Path) -> int | None:
    """The process id of the server that runs on `data_dir`; None when none does.

    A stale `postmaster.pid` (kill -9, reboot) may name a process that is something else by now, so the
    process must be a postgres started on this very folder.
    """
    try:
        pid = int((data_dir / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None
    command = _command_line(pid)
    return pid if "postgres" in command and str(data_dir) in command else None


def _command_line(pid: int) -> str:
    """How process `pid` was started; empty when it is gone or only waits to be reaped."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    found = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return found.stdout


def stop_server(data_dir: Path) -> None:
    """Ends the server on `data_dir` (fast shutdown: sessions are cut, data is safe) and waits for it."""
    pid = postmaster_pid(data_dir)
    if pid is None:
        return
    os.kill(pid, signal.SIGINT)
    give_up = time.monotonic() + STOP_SECONDS
    while postmaster_pid(data_dir) == pid and time.monotonic() < give_up:
        time.sleep(0.02)


def stop_when_unused(folder: Path, *, wait: bool, watch: int | None = None) -> bool:
    """True when the server under `folder` was stopped, or is not needed; False while somebody uses it.

    Lock order everywhere is `start.lock`, then `users.lock`, so that nobody can join while it stops.

    Args:
        folder: `<home>/postgres`.
        wait: Sleep until the users look gone, instead of looking once.
        watch: The watchdog's own lock, given up once there is nothing left to watch.
    """
    try:
        with (folder / "users.lock").open("a") as users:
            if wait:
                fcntl.flock(users, fcntl.LOCK_EX)
                fcntl.flock(users, fcntl.LOCK_UN)
            with (folder / "start.lock").open("a") as start:
                fcntl.flock(start, fcntl.LOCK_EX)
                try:
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return False
                # A home deleted and made anew has other locks and another server, which is not ours to stop.
                if os.path.samestat(os.fstat(users.fileno()), (folder / "users.lock").stat()):
                    stop_server(folder / "data")
                if watch is not None:
                    os.close(watch)  # before start.lock opens: the next starter must find the place free
                return True
    except FileNotFoundError:
        return True  # the whole home was deleted: PostgreSQL notices that by itself within a minute


def main(folder: Path, watch: int) -> None:
    """Waits and stops; the caller passed the lock that makes this watchdog the only one."""
    while not stop_when_unused(folder, wait=True, watch=watch):
        pass


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
