"""A home as it is at one moment: its rows by PostgreSQL's own dump, its files by name; and back again.

DIR/manifest.json   what is in it: schema's revision, rows by table, files with their sizes
DIR/database.dump   schemas kairos, kairos_batches and kairos_online (pg_dump --format=custom)
DIR/home/           the files
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import psycopg
from sqlalchemy.engine import URL, make_url

from features.errors import KairosError, RefusedError, UsageError
from infra.backup_files import copy_files, kept_files
from infra.database import Database
from infra.database_errors import place
from infra.database_roles import has_roles
from infra.embedded_postgres import client_program
from infra.lake_files import disk_errors, sync_tree
from infra.tables import BATCHES_SCHEMA, SCHEMA, metadata

SCHEMAS = (SCHEMA, BATCHES_SCHEMA, "kairos_online")
FORMAT = 1
_ASIDE = "_aside"
_MANIFEST, _DUMP, _HOME = "manifest.json", "database.dump", "home"


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
            _run("pg_dump", database, "--format=custom", f"--file={fresh / _DUMP}", *_schema_options())
            files = copy_files(home, fresh / _HOME, kept_files(home))
            manifest = BackupManifest(now.isoformat(), database.revision() or "", rows, files)
            (fresh / _MANIFEST).write_text(json.dumps(asdict(manifest), indent=1) + "\n", encoding="utf-8")
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
        told = json.loads((source / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UsageError(
            f"{source} is no backup: it has no {_MANIFEST}; name what kairos backup wrote."
        ) from None
    if told.get("format") != FORMAT:
        raise UsageError(
            f"{source} has format {told.get('format')}, must be {FORMAT}; use the Kairos that wrote it."
        )
    manifest = BackupManifest(**told)
    for name, size in manifest.files.items():
        file = source / _HOME / name
        if not file.is_symlink() and (not file.is_file() or file.stat().st_size != size):
            raise UsageError(f"{source} is damaged: {name} is not as it was written; use another backup.")
    if not (source / _DUMP).is_file():
        raise UsageError(f"{source} is damaged: {_DUMP} is missing; use another backup.")
    return manifest


def restore_backup(database: Database, home: Path, source: Path, *, force: bool = False) -> BackupManifest:
    """The manifest of the backup that home and database now hold, the schema brought up to date.

    Args:
        database: Ours to change: embedded, or as the owner of its schemas.
        home: Nobody may use it meanwhile.
        source: From `write_backup`.
        force: Replace what is there.

    Raises:
        RefusedError: There is something already, and no `force`.
        UsageError: No sound backup.
        KairosError: The disk is full, or the database refuses; what was there is there still.
    """
    manifest = read_manifest(source)
    there = _present(database, home)
    if there and not force:
        raise RefusedError(
            f"{' and '.join(there)} would be replaced; add --force, or restore to an empty home."
        )
    fresh = home / ".restoring"
    shutil.rmtree(fresh, ignore_errors=True)
    with disk_errors(home):
        fresh.mkdir(parents=True)
        try:
            copy_files(source / _HOME, fresh, [Path(name) for name in manifest.files])
            sync_tree(fresh)
            with _set_aside(database):
                # Where there are roles they own what is theirs; elsewhere it is ours.
                owners = () if has_roles(database) else ("--no-owner", "--no-privileges")
                options = ("--single-transaction", "--exit-on-error", *owners)
                _run("pg_restore", database, *options, str(source / _DUMP))
            for entry in sorted(fresh.iterdir()):
                shutil.rmtree(home / entry.name, ignore_errors=True)
                entry.replace(home / entry.name)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    database.migrate()
    return manifest


@contextmanager
def _set_aside(database: Database) -> Iterator[None]:
    """Nothing; our schemas are out of the way inside the block, and back again if it fails.

    A restore that was killed in between left them aside: they come back first.
    """
    with database.session() as session:
        _bring_back(session)
        for schema in SCHEMAS:
            if _exists(session, schema):
                session.execute(f"ALTER SCHEMA {schema} RENAME TO {schema}{_ASIDE}")
        try:
            yield
        except BaseException:
            _bring_back(session)
            raise
        for schema in SCHEMAS:
            session.execute(f"DROP SCHEMA IF EXISTS {schema}{_ASIDE} CASCADE")


def _bring_back(session: psycopg.Connection) -> None:
    with session.transaction():
        for schema in SCHEMAS:
            if _exists(session, f"{schema}{_ASIDE}"):
                if _exists(session, schema):  # pg_restore leaves all or nothing: what is here may be in use
                    raise KairosError(
                        f"the database has {schema} and {schema}{_ASIDE}: an earlier restore was cut off; "
                        "look at both, drop the schema that is not wanted and run again, nothing was changed."
                    )
                session.execute(f"ALTER SCHEMA {schema}{_ASIDE} RENAME TO {schema}")


def _exists(session: psycopg.Connection, schema: str) -> bool:
    return session.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema]).fetchone() is not None


def table_rows(database: Database) -> dict[str, int]:
    """Rows by table of schema kairos, all counted at one moment."""
    names = [table.name for table in metadata.sorted_tables]
    counts = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM {SCHEMA}.{name}" for name in names)
    return dict(database.read_only(counts)[1])


def _present(database: Database, home: Path) -> list[str]:
    """What a restore would replace, in words."""
    found = []
    if any(kept_files(home)) if home.is_dir() else False:
        found.append(f"files in {home}")
    if database.revision() is not None and (rows := sum(table_rows(database).values())):
        found.append(f"{rows:,} rows in {place(database.engine.url)}")
    return found


def _schema_options() -> list[str]:
    return [f"--schema={schema}" for schema in SCHEMAS]


def _run(program: str, database: Database, *arguments: str) -> None:
    """Nothing; the program did its work on the database. The password goes by the environment."""
    url: URL = make_url(database.url)
    address = url.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    environment = {"PATH": os.defpath, "LC_ALL": "C", "PGPASSWORD": str(url.password or "")}
    command = [client_program(program), f"--dbname={address}", *arguments]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    if ended.returncode != 0:
        why = next((line for line in ended.stderr.splitlines() if "error" in line.lower()), "no reason given")
        raise KairosError(
            f"{program} on {place(url)} failed: {why.rstrip('.')}; correct that and run it again."
        )
