"""The files of a home, as a backup keeps them: each name once, with its size; links stay links.

A link that leads out of the home, such as a lake on another disk, is followed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from infra.lake_files import second_name

_NOT_KEPT = frozenset({"postgres", "prefect", "bench", "up.json", "scored", "planned"})
"""The database has a dump of its own, Prefect its own history; the rest is made again from what is kept."""
_PASSING = frozenset({"staging", "spill", "building", "refused", "previous"})
_LINKED = frozenset({".parquet"})
"""Written once and never changed, so that a second name for the same bytes is a copy."""


def kept_files(home: Path) -> Iterator[Path]:
    """Every file and symbolic link to keep, relative to `home`, in order; without versions out of use."""
    for top in sorted(home.iterdir()):
        if top.name in _NOT_KEPT or top.suffix in (".lock", ".new") or top.name.startswith("."):
            continue
        yield from _below(home, top)


def copy_files(home: Path, target: Path, names: Iterable[Path]) -> dict[str, int]:
    """Size by name of the files now in `target`; a link counts nothing."""
    return {name.as_posix(): copy_file(home, name, target / name) for name in names}


def copy_file(home: Path, name: Path, copy: Path) -> int:
    """Size of `copy`, which is now what `name` is in `home`."""
    source = home / name
    copy.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink() and not _leads_out(source, home):
        copy.symlink_to(source.readlink())
        return 0
    if source.suffix in _LINKED and not source.is_symlink():
        second_name(source, copy)
    else:
        shutil.copy2(source, copy)
    return copy.stat().st_size


def _below(home: Path, path: Path) -> Iterator[Path]:
    if (path.is_symlink() and not (path.is_dir() and _leads_out(path, home))) or path.is_file():
        yield path.relative_to(home)
        return
    current = path / "current"
    in_use = current.readlink().name if current.is_symlink() else None
    for entry in sorted(path.iterdir()):
        if entry.name in _PASSING or entry.suffix == ".lock":
            continue
        if in_use is not None and entry.name.startswith("v-") and entry.name != in_use:
            continue
        yield from _below(home, entry)


def _leads_out(link: Path, home: Path) -> bool:
    """Whether what the link names is there, and is neither in the home nor beside the link."""
    target = link.resolve()
    return target.exists() and not any(
        target.is_relative_to(folder) for folder in (home.resolve(), link.parent.resolve())
    )
