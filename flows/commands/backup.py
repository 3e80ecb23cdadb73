"""`kairos backup` and `kairos restore`: everything but Prefect's history, at one moment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from infra.backup import BackupManifest


def backup(
    target: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder; best on another disk.")],
) -> None:
    """Write database, lake, features, models and reports to a folder; refused while a flow writes."""
    from datetime import UTC, datetime

    from flows.commands.output import console
    from flows.wiring import sole_writer
    from infra.backup import write_backup
    from infra.database import open_database
    from infra.restore_journal import require_no_restore
    from infra.settings import load_settings

    settings = load_settings()
    require_no_restore(settings.home)
    database = open_database(settings)
    database.migrate()
    with sole_writer(settings):
        manifest = write_backup(database, settings.home, target.absolute(), datetime.now(UTC))
    console().print(f"wrote {target}: {_words(manifest)}", soft_wrap=True)


def restore(
    source: Annotated[Path, typer.Argument(metavar="DIR", help="What kairos backup wrote.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the data that is there.")] = False,
) -> None:
    """Put a backup back into this home and its database; refused (exit 3) where there is data already."""
    from flows.commands.output import console
    from flows.wiring import sole_writer
    from infra.database import open_database
    from infra.database_roles import grant_rights
    from infra.lock import exclusive_lock
    from infra.restore import restore_backup
    from infra.settings import load_settings

    settings = load_settings()
    database = open_database(settings)
    with exclusive_lock(settings.home / "up.lock", "kairos up"), sole_writer(settings):
        manifest = restore_backup(database, settings.home, source.absolute(), force=force)
    grant_rights(database)
    console().print(f"restored {source}: {_words(manifest)}", soft_wrap=True)


def _words(manifest: BackupManifest) -> str:
    rows = sum(manifest.rows.values())
    files = f"{len(manifest.files):,} files, {manifest.bytes / 1e6:,.1f} MB"
    return f"{rows:,} rows at revision {manifest.revision}, {files}, of {manifest.created_at}"
