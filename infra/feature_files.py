"""One file of a feature table: typed, sorted, whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow.compute as pc
import pyarrow.parquet as pq
from duckdb import DuckDBPyRelation

from features.errors import KairosError
from features.table import FeatureTable
from infra.lake_files import sql_literal, sync

TIMESTAMP = "event_timestamp"
ROWS_A_GROUP = 122_880
_KINDS = {"float": "DOUBLE", "int": "BIGINT", "str": "VARCHAR"}


def write_rows(relation: DuckDBPyRelation, table: FeatureTable, path: Path, where: str = "TRUE") -> None:
    """Nothing; `path` holds the relation's rows, sorted by keys and event_timestamp, on the disk itself.

    Timestamps are microseconds in UTC. A process that is killed meanwhile leaves no file of that name.

    Args:
        relation: (*keys, event_timestamp, *columns), unique by keys and time.
        table: The declaration it was built from.
        path: Its folder exists.
        where: SQL condition on the rows.

    Raises:
        KairosError: A declared column is missing.
    """
    wanted = stored_columns(table)
    missing = [name for name in wanted if name not in relation.columns]
    if missing:
        raise KairosError(
            f"feature table {table.name!r} lacks column {missing[0]!r}, its build returned "
            f"{', '.join(relation.columns)}; make build and declaration agree."
        )
    columns = ", ".join(f'CAST("{name}" AS {kind}) AS "{name}"' for name, kind in wanted.items())
    order = ", ".join(f'"{name}"' for name in (*table.keys, TIMESTAMP))
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        (
            relation.filter(where)
            .project(columns)
            .order(order)
            .write_parquet(str(partial), compression="zstd", row_group_size=ROWS_A_GROUP)
        )
        sync(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def stored_columns(table: FeatureTable) -> dict[str, str]:
    """SQL type of each column of the table's files, in order."""
    return (
        dict.fromkeys(table.keys, "VARCHAR")
        | {TIMESTAMP: "TIMESTAMPTZ"}
        | {column.name: _KINDS[column.dtype] for column in table.columns}
    )


def read_files(files: Iterable[Path]) -> str:
    """SQL for the rows of the files, of which there is at least one."""
    # Names are taken as they are: DuckDB would read brackets and stars in a folder's name as a pattern.
    listed = ", ".join(sql_literal(_literally(path)) for path in files)
    return f"read_parquet([{listed}])"


def no_rows(table: FeatureTable) -> str:
    """SQL for a table without rows."""
    columns = ", ".join(f'CAST(NULL AS {kind}) AS "{name}"' for name, kind in stored_columns(table).items())
    return f"(SELECT {columns} WHERE FALSE)"


def rows_and_newest(path: Path, as_of: datetime) -> tuple[int, datetime | None]:
    """How many rows the file has, and the latest event_timestamp that is not after `as_of`."""
    metadata = pq.read_metadata(path)
    place = metadata.schema.names.index(TIMESTAMP)
    groups = [
        metadata.row_group(number).column(place).statistics for number in range(metadata.num_row_groups)
    ]
    told = [group.max for group in groups if group is not None and group.has_min_max]
    newest = max((one if one.tzinfo else one.replace(tzinfo=UTC) for one in told), default=None)
    if metadata.num_rows and (newest is None or newest > as_of):
        times = pq.read_table(path, columns=[TIMESTAMP])[TIMESTAMP]
        newest = pc.max(times.filter(pc.less_equal(times, as_of))).as_py()
    return metadata.num_rows, newest


def scratch() -> duckdb.DuckDBPyConnection:
    """A small DuckDB connection in UTC, for reading a few rows."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _literally(path: Path) -> str:
    text = str(path)
    for sign in "[*?":
        text = text.replace(sign, f"[{sign}]")
    return text
