"""A backup put back, rows first: cut off at any moment, a second run takes it back or ends it.

The old rows stay in schemas of other names until the new ones are whole; the new files lie beside those they
replace. From there on there is only forwards: what is left is renaming, which a second run ends.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path, PurePosixPath

import psycopg

from features.errors import KairosError, RefusedError
from infra.backup import (
    CLIENT_NAME,
    DUMP,
    HOME,
    SCHEMAS,
    BackupManifest,
    read_manifest,
    run_client,
    table_rows,
)
from infra.backup_files import copy_file, kept_files
from infra.database import Database
from infra.database_errors import place
from infra.database_roles import has_roles
from infra.lake_files import disk_errors, sync, sync_tree
from infra.restore_journal import RestoreJournal, end_journal, read_journal, write_journal

_ASIDE = "_aside"
_TABLES_AT_A_TIME = 200
"""Dropped in one transaction, which locks each and its indexes; a server has room for some thousand locks."""


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
    cut_off = read_journal(home)
    if cut_off is not None and _settle(database, home, cut_off) and cut_off.created_at == manifest.created_at:
        return manifest
    there = _present(database, home)
    if there and not force:
        raise RefusedError(
            f"{' and '.join(there)} would be replaced; add --force, or restore to an empty home."
        )
    tops = tuple(sorted({PurePosixPath(name).parts[0] for name in manifest.files}))
    with disk_errors(home), database.session() as session:
        home.mkdir(parents=True, exist_ok=True)
        _require_none_aside(session)
        schemas = tuple(schema for schema in SCHEMAS if _exists(session, schema))
        where = place(database.engine.url)
        journal = RestoreJournal(str(source), manifest.created_at, where, schemas, tops, "copying")
        write_journal(home, journal)
        try:
            _copy(source / HOME, home, manifest, tops)
            journal = replace(journal, phase="database")
            write_journal(home, journal)
            for schema in schemas:
                session.execute(f"ALTER SCHEMA {schema} RENAME TO {schema}{_ASIDE}")
            # Where there are roles they own what is theirs; elsewhere it is ours.
            owners = () if has_roles(database) else ("--no-owner", "--no-privileges")
            run_client("pg_restore", database, "--exit-on-error", *owners, str(source / DUMP))
        except BaseException:
            _take_back(session, home, journal)
            raise
        journal = replace(journal, phase="files")
        write_journal(home, journal)
        _end(database, session, home, journal)
    return manifest


def _settle(database: Database, home: Path, cut_off: RestoreJournal) -> bool:
    """Whether a restore that was cut off is done now; otherwise all is as it was before it.

    Raises:
        KairosError: It was into another database.
    """
    if cut_off.place != (here := place(database.engine.url)):
        raise KairosError(
            f"a restore into {cut_off.place} was cut off, this is {here}; set KAIROS_DATABASE_URL as then."
        )
    with disk_errors(home), database.session() as session:
        if cut_off.phase == "files":
            _end(database, session, home, cut_off)
            return True
        _take_back(session, home, cut_off)
        return False


def _end(database: Database, session: psycopg.Connection, home: Path, journal: RestoreJournal) -> None:
    """Nothing; the old rows are gone, the new files in their places."""
    for schema in reversed(SCHEMAS):
        _drop(session, f"{schema}{_ASIDE}")
    for target in _targets(home, journal.tops):
        fresh = _beside(target)
        if fresh.exists():
            _remove(target)
            fresh.replace(target)
            sync(target.parent)
    database.migrate()
    end_journal(home)


def _take_back(session: psycopg.Connection, home: Path, journal: RestoreJournal) -> None:
    """Nothing; rows and files are what they were, and no copies are left."""
    if journal.phase == "database":
        # A pg_restore that outlived its starter would go on filling what is dropped here.
        session.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE application_name = %s AND datname = current_database()",
            [CLIENT_NAME],
        )
        for schema in reversed(SCHEMAS):
            if _exists(session, f"{schema}{_ASIDE}") or schema not in journal.schemas:
                _drop(session, schema)
        for schema in journal.schemas:
            if _exists(session, f"{schema}{_ASIDE}"):
                session.execute(f"ALTER SCHEMA {schema}{_ASIDE} RENAME TO {schema}")
    for target in _targets(home, journal.tops):
        _remove(_beside(target))
    end_journal(home)


def _require_none_aside(session: psycopg.Connection) -> None:
    for schema in SCHEMAS:
        if _exists(session, f"{schema}{_ASIDE}"):
            raise KairosError(
                f"the database has {schema}{_ASIDE}: a restore of another home was cut off; end it there, or "
                "drop that schema; nothing was changed."
            )


def _drop(session: psycopg.Connection, schema: str) -> None:
    """Nothing; the schema is gone, in pieces that any server has locks for."""
    tables = "SELECT format('%%I.%%I', schemaname, tablename) FROM pg_tables WHERE schemaname = %s LIMIT %s"
    while names := session.execute(tables, [schema, _TABLES_AT_A_TIME]).fetchall():
        session.execute(f"DROP TABLE {', '.join(name for (name,) in names)} CASCADE")
    session.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


def _exists(session: psycopg.Connection, schema: str) -> bool:
    return session.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema]).fetchone() is not None


def _present(database: Database, home: Path) -> list[str]:
    """What a restore would replace, in words."""
    found = []
    if any(kept_files(home)) if home.is_dir() else False:
        found.append(f"files in {home}")
    if database.revision() is not None and (rows := sum(table_rows(database).values())):
        found.append(f"{rows:,} rows in {place(database.engine.url)}")
    return found


def _copy(source: Path, home: Path, manifest: BackupManifest, tops: tuple[str, ...]) -> None:
    """Nothing; the backup's files lie beside what they will replace, on the disk itself."""
    fresh = dict(zip(tops, map(_beside, _targets(home, tops)), strict=True))
    for copy in fresh.values():
        _remove(copy)
    for name in manifest.files:
        top, *rest = PurePosixPath(name).parts
        copy_file(source, Path(name), fresh[top].joinpath(*rest))
    for copy in fresh.values():
        if copy.is_dir() and not copy.is_symlink():
            sync_tree(copy)


def _targets(home: Path, tops: tuple[str, ...]) -> list[Path]:
    """Where each of them lies: a folder that is a link, such as a lake on another disk, where it leads."""
    entries = [home / top for top in tops]
    # A link that leads nowhere: its folder was taken away by a restore that was cut off right then.
    return [
        entry.resolve() if entry.is_symlink() and (entry.is_dir() or not entry.exists()) else entry
        for entry in entries
    ]


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.restoring")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
