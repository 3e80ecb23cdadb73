"""A home as it is at one moment: its rows by PostgreSQL's own dump, its files by name.

DIR/manifest.json   what is in it: schema's revision, rows by table, files with their sizes
DIR/database.dump   schemas kairos, kairos_batches and kairos_online (pg_dump --format=custom)
DIR/home/           the files
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy.engine import URL, make_url

from features.errors import KairosError, UsageError
from infra.backup_files import copy_files, kept_files
from infra.database import Database
from infra.database_errors import place
from infra.embedded_postgres import client_program
from infra.lake_files import disk_errors, sync_tree
from infra.tables import BATCHES_SCHEMA, SCHEMA, metadata

SCHEMAS = (SCHEMA, BATCHES_SCHEMA, "kairos_online")
FORMAT = 1
CLIENT_NAME = "kairos backup"
"""What the server calls the programs that `run_client` starts."""
MANIFEST, DUMP, HOME = "manifest.json", "database.dump", "home"


@dataclass(frozen=True)
class BackupManifest:
    """What a backup holds.

    Attributes:
        created_at: ISO 8601, UTC.
        revision: Of the schema.
        rows: By table of schema kairos.
        files: Size in bytes by name.
    """

    created_at: str
    revision: str
    rows: Mapping[str, int]
    files: Mapping[str, int]
    format: int = FORMAT

    @property
    def bytes(self) -> int:
        """All files together."""
        return sum(self.files.values())


def write_backup(database: Database, home: Path, target: Path, now: datetime) -> BackupManifest:
    """The manifest of the backup now in `target`, whole or not there at all.

    Nobody may write the home meanwhile; the database may be written, its dump is of one moment.

    Raises:
        UsageError: Something lies in `target` already.
        KairosError: The disk is full, or the database cannot be dumped.
    """
    if target.exists() and any(target.iterdir()):
        raise UsageError(f"{target} is not empty; name a new folder.")
    fresh = target.with_name(f".{target.name}.partial")
    shutil.rmtree(fresh, ignore_errors=True)
    with disk_errors(target.parent):
        fresh.mkdir(parents=True)
        try:
            rows = table_rows(database)
            run_client("pg_dump", database, "--format=custom", f"--file={fresh / DUMP}", *_schema_options())
            files = copy_files(home, fresh / HOME, kept_files(home))
            manifest = BackupManifest(now.isoformat(), database.revision() or "", rows, files)
            (fresh / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1) + "\n", encoding="utf-8")
            sync_tree(fresh)
            if target.exists():
                target.rmdir()
            fresh.rename(target)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return manifest


def read_manifest(source: Path) -> BackupManifest:
    """What the backup holds, every file of it there and as long as it was.

    Raises:
        UsageError: No backup, one of another Kairos, or a damaged one.
    """
    try:
        told = json.loads((source / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UsageError(
            f"{source} is no backup: it has no {MANIFEST}; name what kairos backup wrote."
        ) from None
    if told.get("format") != FORMAT:
        raise UsageError(
            f"{source} has format {told.get('format')}, must be {FORMAT}; use the Kairos that wrote it."
        )
    manifest = BackupManifest(**told)
    for name, size in manifest.files.items():
        file = source / HOME / name
        if not file.is_symlink() and (not file.is_file() or file.stat().st_size != size):
            raise UsageError(f"{source} is damaged: {name} is not as it was written; use another backup.")
    if not (source / DUMP).is_file():
        raise UsageError(f"{source} is damaged: {DUMP} is missing; use another backup.")
    return manifest


def table_rows(database: Database) -> dict[str, int]:
    """Rows by table of schema kairos, all counted at one moment."""
    names = [table.name for table in metadata.sorted_tables]
    counts = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM {SCHEMA}.{name}" for name in names)
    return dict(database.read_only(counts)[1])


def _schema_options() -> list[str]:
    return [f"--schema={schema}" for schema in SCHEMAS]


def run_client(program: str, database: Database, *arguments: str) -> None:
    """Nothing; the program of PostgreSQL's did its work. The password goes by the environment.

    Raises:
        KairosError: It failed; tells its first complaint.
    """
    url: URL = make_url(database.url)
    address = url.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    named = {"PGPASSWORD": str(url.password or ""), "PGAPPNAME": CLIENT_NAME}
    environment = {"PATH": os.defpath, "LC_ALL": "C", **named}
    command = [client_program(program), f"--dbname={address}", *arguments]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    if ended.returncode != 0:
        why = next((line for line in ended.stderr.splitlines() if "error" in line.lower()), "no reason given")
        fix = "correct that and run it again"
        if "max_locks_per_transaction" in ended.stderr:  # one lock a table: thousands of batches
            fix = "raise max_locks_per_transaction there, or keep fewer batches (kept_batches)"
        raise KairosError(f"{program} on {place(url)} failed: {why.rstrip('.')}; {fix}.")
