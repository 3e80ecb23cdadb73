"""The event lake: every accepted row as Parquet, replaced as a whole, read as of any instant.

root/current -> v-<fingerprint>/   the lake: events/day=YYYY-MM-DD/*.parquet (UTC days), users.parquet,
                                   items.parquet, promotions.parquet, quarantine/, manifest.json
root/previous -> v-<fingerprint>/  the one before, kept for readers that still have it open
root/refused/                      the quarantine of the last ingest that was refused, if any
root/staging/, root/spill/         work in progress
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from features.contract import Contract
from features.contracts import CONTRACTS, EVENTS
from features.errors import KairosError, UsageError
from infra.lake_contents import described
from infra.lake_files import digest_tree, disk_errors, parquet_literal, point_to, sql_literal, sync_tree
from infra.lake_manifest import Manifest

_spill_numbers = itertools.count()
_SQL_TYPES = {
    "string": "VARCHAR",
    "double": "DOUBLE",
    "bool": "BOOLEAN",
    "timestamp[us, tz=UTC]": "TIMESTAMPTZ",
}


class EventLake:
    """One folder of Parquet with a manifest.

    Args:
        root: The lake's folder; created by the first ingest.
        memory_gb: Memory a connection may use before it spills to `root/spill`.
    """

    def __init__(self, root: Path, *, memory_gb: float = 4.0) -> None:
        self.root = root
        self.memory_gb = memory_gb

    @property
    def staging(self) -> Path:
        """Where the next content is built."""
        return self.root / "staging"

    @property
    def refused(self) -> Path:
        """Where the quarantine of a refused ingest lies."""
        return self.root / "refused"

    @property
    def lock_path(self) -> Path:
        """Held by the one process that may write."""
        return self.root / "ingest.lock"

    def manifest(self) -> Manifest | None:
        """What the lake holds; None before the first ingest."""
        return Manifest.read(self.root / "current" / "manifest.json")

    def fingerprint(self) -> str:
        """Digest of the lake's content; changes exactly when a row does.

        Raises:
            KairosError: The lake is empty.
        """
        return self._filled().fingerprint

    def connect(
        self, as_of: datetime | None = None, *, since: datetime | None = None, known_keys: bool = True
    ) -> duckdb.DuckDBPyConnection:
        """A DuckDB connection, in UTC, with the views `events`, `users`, `items` and `promotions`.

        Args:
            as_of: Knowledge cut-off, timezone-aware: events at or after it do not show, nor do users who
                signed up and items that were created since. Promotions are announced ahead: all show.
            since: Events before this instant do not show either; their days' files are not opened.
            known_keys: Whether `as_of` hides users and items too. A part of the past counted by itself needs
                the zone and category that every other part sees, of those who signed up later as well.

        Raises:
            KairosError: The lake is empty.
            UsageError: `as_of` or `since` has no timezone.
        """
        for name, moment in (("as_of", as_of), ("since", since)):
            if moment is not None and moment.tzinfo is None:
                raise UsageError(
                    f"{name} == {moment.isoformat()}, must carry a timezone; add +00:00 for UTC."
                )
        self._filled()
        folder = (self.root / "current").resolve()  # a later ingest must not change what is read here
        connection = self.open_scratch()
        for contract in CONTRACTS.values():
            events = contract is EVENTS
            files = parquet_literal(folder, "events/*/*.parquet" if events else f"{contract.name}.parquet")
            layout = ", hive_partitioning = true, hive_types = {'day': DATE}" if events else ""
            columns = ", ".join(_columns(contract, _stored(folder, contract.name)))
            shown = _known(contract.name, as_of, since) if events or known_keys else ""
            rows = f"read_parquet({files}{layout}) {shown}"
            connection.execute(f"CREATE VIEW {contract.name} AS SELECT {columns} FROM {rows}")
        return connection

    def open_scratch(self) -> duckdb.DuckDBPyConnection:
        """A DuckDB connection in UTC without views, within the memory limit, spilling inside the lake."""
        connection = duckdb.connect()
        spill = self.root / "spill" / f"{os.getpid()}-{next(_spill_numbers)}"  # never shared
        spill.parent.mkdir(parents=True, exist_ok=True)
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET memory_limit = '{int(self.memory_gb * 1024)}MiB'")
        connection.execute(f"SET temp_directory = {sql_literal(str(spill))}")
        return connection

    def replace(self, manifest: Manifest) -> bool:
        """Makes the staged files the lake's content; False when they equal what is there.

        Readers see the old content or the new one, at any instant and after any crash.
        """
        with disk_errors(self.root):
            described(manifest, self.staging).write(self.staging / "manifest.json")
            sync_tree(self.staging)
            name = f"v-{digest_tree(self.staging)}"
            current = self.root / "current"
            old = current.readlink().name if current.is_symlink() else None
            if (self.root / name).exists():
                shutil.rmtree(self.staging)
            else:
                self.staging.replace(self.root / name)
            if old is not None and old != name:
                point_to(self.root / "previous", old)
            point_to(current, name)
            sync_tree(self.root)
        self.clean()
        return old != name

    def clean(self) -> None:
        """Removes what a killed ingest or a finished reader left behind; only under the lock."""
        links = (self.root / "current", self.root / "previous")
        kept = {link.readlink().name for link in links if link.is_symlink()}
        for folder in self.root.glob("v-*"):
            if folder.name not in kept:
                shutil.rmtree(folder)
        for folder in (self.root / "spill").glob("*-*"):
            if not _alive(folder.name.partition("-")[0]):
                shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(self.staging, ignore_errors=True)

    def _filled(self) -> Manifest:
        manifest = self.manifest()
        if manifest is None:
            raise KairosError(f"the event lake {self.root} is empty; run `kairos ingest` first.")
        return manifest


def _stored(folder: Path, table: str) -> set[str]:
    """The columns of the table's files, which all have the same."""
    files = (folder / "events").glob("*/*.parquet") if table == "events" else folder.glob(f"{table}.parquet")
    first = next(files, None)
    return set() if first is None else set(pq.read_schema(first).names)


def _columns(contract: Contract, stored: set[str]) -> Iterator[str]:
    """Every column of the contract as SQL; null where the lake was written before the contract had it."""
    for column in contract.arrow_schema():
        known = column.name in stored or not stored
        yield f'"{column.name}"' if known else f'NULL::{_SQL_TYPES[str(column.type)]} AS "{column.name}"'


def _known(table: str, as_of: datetime | None, since: datetime | None) -> str:
    """The WHERE clause that hides what was not known at `as_of`, and events before `since`."""
    bounds = []
    for moment, sign in ((as_of, "<"), (since, ">=")):
        if moment is None:
            continue
        instant = f"TIMESTAMPTZ '{moment.astimezone(UTC).isoformat()}'"
        if table == "events":
            # The day prunes files; the instant decides.
            day = moment.astimezone(UTC).date()
            bounds.append(f"day {sign[0]}= DATE '{day}' AND event_ts {sign} {instant}")
        elif sign == "<" and (column := {"users": "signup_ts", "items": "created_ts"}.get(table)):
            bounds.append(f"({column} IS NULL OR {column} < {instant})")
    return f"WHERE {' AND '.join(bounds)}" if bounds else ""


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True
