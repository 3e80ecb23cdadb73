"""How far a restore came: a file in the home from its first step to its last, so that the next can end it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from features.errors import KairosError
from infra.lake_files import sync

Phase = Literal["copying", "database", "files"]
_NAME = ".restore.json"


@dataclass(frozen=True)
class RestoreJournal:
    """A restore that began and did not end.

    Attributes:
        source: The backup's folder.
        created_at: The backup's own mark.
        place: The database, in words without a password.
        schemas: That the database had before, in the order in which they were set aside.
        tops: Names in the home that are replaced.
        phase: copying: nothing was touched yet; database: its rows are neither the old nor the new
            ones; files: it holds the backup, the home not all of it.
    """

    source: str
    created_at: str
    place: str
    schemas: tuple[str, ...]
    tops: tuple[str, ...]
    phase: Phase


def read_journal(home: Path) -> RestoreJournal | None:
    """The restore of this home that was cut off; None when none was."""
    try:
        told = json.loads((home / _NAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return RestoreJournal(**{**told, "schemas": tuple(told["schemas"]), "tops": tuple(told["tops"])})


def write_journal(home: Path, journal: RestoreJournal) -> None:
    """Nothing; the journal is on the disk itself, whole."""
    fresh = home / f"{_NAME}.new"
    fresh.write_text(json.dumps(asdict(journal), indent=1) + "\n", encoding="utf-8")
    sync(fresh)
    fresh.replace(home / _NAME)
    sync(home)


def end_journal(home: Path) -> None:
    """Nothing; no restore is under way any more."""
    (home / _NAME).unlink(missing_ok=True)


def require_no_restore(home: Path) -> None:
    """Nothing; the home and its database belong together.

    Raises:
        KairosError: A restore was cut off in between.
    """
    found = read_journal(home)
    if found is not None:
        raise KairosError(
            f"a restore of {found.source} into {home} was cut off; run kairos restore {found.source} again "
            "as it was run then."
        )
