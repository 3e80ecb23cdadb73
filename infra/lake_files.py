"""Files that are either whole or not there: syncing, digests and the words for a full disk."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb

from features.errors import MachineError


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Nothing; a full or forbidden disk inside the block becomes one line that names folder and fix.

    Raises:
        MachineError: The disk is full, read-only or not ours to write.
    """
    try:
        yield
    except (OSError, duckdb.IOException, duckdb.OutOfMemoryException) as error:
        text = str(error)
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left" in text
        if full or ("max_temp_directory_size" in text):
            raise MachineError(
                f"{folder}: the disk is full, the data that was there is untouched; free some space or set "
                "KAIROS_HOME to a larger disk."
            ) from error
        if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise MachineError(
                f"{folder}: cannot be written ({os.strerror(error.errno)}); allow it, or set KAIROS_HOME "
                "to another folder."
            ) from error
        raise


def digest_tree(folder: Path) -> str:
    """First 16 hex digits of the SHA-256 of every file's name and content under `folder`."""
    return digest_of_files(digests_of_files(folder))


def digests_of_files(folder: Path) -> dict[str, bytes]:
    """SHA-256 of every file under `folder`, by its path in there, in the paths' order."""
    digests = {}
    for path in _files(folder):
        with path.open("rb") as file:
            digests[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").digest()
    return digests


def digest_of_files(digests: Mapping[str, bytes]) -> str:
    """16 hex digits that change whenever a file's name or content does."""
    digest = hashlib.sha256()
    for name, content in digests.items():
        digest.update(name.encode() + b"\0")
        digest.update(content)
    return digest.hexdigest()[:16]


def second_name(file: Path, name: Path) -> None:
    """Nothing; `name` is the same file, or a copy where the file system allows no second name.

    For files that are never changed once they are written.
    """
    try:
        os.link(file, name)
    except OSError:
        shutil.copy2(file, name)


def sync_tree(folder: Path) -> None:
    """Everything under `folder` is on the disk itself when this returns."""
    for path in [*_files(folder), *(p for p in folder.rglob("*") if p.is_dir()), folder]:
        sync(path)


def sync(path: Path) -> None:
    """The file, or the folder's list of names, is on the disk itself when this returns."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def parquet_literal(folder: Path, pattern: str) -> str:
    """The SQL text of the files that match `pattern` under `folder`, whatever characters the folder has."""
    return sql_literal(f"{glob.escape(str(folder))}/{pattern}")


def sql_literal(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def point_to(link: Path, target: str) -> None:
    """The symbolic link names `target` from now on; anyone who looks sees the old name or the new one."""
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
