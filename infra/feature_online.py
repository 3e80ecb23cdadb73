"""What the online store must be told when one version of the feature tables takes the place of another."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
from duckdb import DuckDBPyConnection

from features.table import FeatureTable
from infra.feature_files import TIMESTAMP, no_rows, read_files, scratch, stored_columns
from infra.feature_manifest import TablesManifest
from infra.feature_state import key_list

Version = tuple[Path, TablesManifest]
"""A version's folder and manifest."""


@dataclass(frozen=True)
class OnlineChanges:
    """Changes of one online table.

    Attributes:
        rows: The newest valid row of keys that may have changed, or of all.
        gone: Keys whose present row is not to be trusted, however new it is.
        complete: Whether `rows` is all there is.
        expire_before: Rows older than this have outlived their view; None keeps all.
    """

    rows: pa.Table
    gone: pa.Table
    complete: bool
    expire_before: datetime | None


def online_changes(
    table: FeatureTable, new: Version, old: Version | None, *, memory_gb: float = 4.0
) -> OnlineChanges | None:
    """What changes in the online table when version `old` is followed by `new`; None for nothing.

    Args:
        table: An online table.
        new: The version in use.
        old: What the online store holds; None when nobody knows.
        memory_gb: What may be used before it spills to disk.
    """
    folder, manifest = new
    as_of = manifest.as_of
    oldest = as_of - timedelta(days=table.ttl_days) if table.ttl_days is not None else None
    valid = f"{TIMESTAMP} <= {_instant(as_of)}"
    valid += f" AND {TIMESTAMP} >= {_instant(oldest)}" if oldest is not None else ""
    with closing(scratch()) as connection:
        connection.execute(f"SET memory_limit = '{int(memory_gb * 1024)}MiB'")
        if old is not None and _is_same_whole(table, manifest, old[1]):
            valid += f" AND {TIMESTAMP} > {_instant(old[1].as_of)}"
            rows = _newest(connection, table, _files(folder, manifest, table), valid)
            return OnlineChanges(rows, rows.select(list(table.keys)), False, oldest)
        since = _same_until(table, manifest, old[1]) if old is not None and table.counts is not None else None
        if old is None or since is None:
            rows = _newest(connection, table, _files(folder, manifest, table), valid)
            return OnlineChanges(rows, rows.select(list(table.keys)), True, None)
        before, after = (_files(*version, table, since=since) for version in (old, new))
        if not before and not after:
            return None
        keys = key_list(table)
        told = f"SELECT DISTINCT {keys} FROM {read_files(before)}" if before else None
        connection.execute(f"CREATE TEMP TABLE gone AS {told or f'SELECT {keys} FROM {no_rows(table)}'}")
        rows = _newest(connection, table, after, valid)
        connection.register("fresh", rows.select(list(table.keys)))
        earlier = _files(folder, manifest, table, until=since)
        among = f"SEMI JOIN (SELECT * FROM gone ANTI JOIN fresh USING ({keys})) USING ({keys})"
        restored = _newest(connection, table, earlier, valid, among)
        gone = connection.sql(f"SELECT {keys} FROM gone").to_arrow_table()
        return OnlineChanges(pa.concat_tables([rows, restored]), gone, False, oldest)


def _is_same_whole(table: FeatureTable, new: TablesManifest, old: TablesManifest) -> bool:
    """Whether a table that is built as a whole is the same, and only time has gone on."""
    units = [[part.unit for part in version.tables.get(table.name, ())] for version in (new, old)]
    return table.counts is None and units[0] == units[1] and new.as_of >= old.as_of


def _same_until(table: FeatureTable, new: TablesManifest, old: TablesManifest) -> date:
    """The last day before which both versions hold the same rows."""
    known = {(part.end, part.unit) for part in old.tables.get(table.name, ())}
    return max(
        (part.end for part in new.tables[table.name] if (part.end, part.unit) in known), default=date.min
    )


def _files(
    folder: Path,
    manifest: TablesManifest,
    table: FeatureTable,
    *,
    since: date = date.min,
    until: date = date.max,
) -> list[Path]:
    parts = manifest.tables.get(table.name, ())
    return [folder / table.name / part.file for part in parts if part.end > since and part.end <= until]


def _newest(
    connection: DuckDBPyConnection,
    table: FeatureTable,
    files: Sequence[Path],
    valid: str,
    among: str = "",
) -> pa.Table:
    """The newest valid row of each key in the files."""
    columns = ", ".join(f'"{name}"' for name in stored_columns(table))
    stored = f"(SELECT * FROM {read_files(files)} WHERE {valid})" if files else no_rows(table)
    keys = key_list(table)
    newest = f"SELECT {keys}, max({TIMESTAMP}) AS {TIMESTAMP} FROM {stored} {among} GROUP BY {keys}"
    return connection.sql(
        f"SELECT {columns} FROM {stored} SEMI JOIN ({newest}) USING ({keys}, {TIMESTAMP})"
    ).to_arrow_table()


def _instant(moment: datetime) -> str:
    return f"TIMESTAMPTZ '{moment.astimezone(UTC).isoformat()}'"
