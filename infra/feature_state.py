"""What counting goes on from: the newest row of each key, and the rows that leave a window meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from duckdb import DuckDBPyConnection, DuckDBPyRelation

from features.counters import Counts
from features.table import FeatureTable
from infra.feature_files import TIMESTAMP, no_rows, read_files, write_rows

SNAPSHOT_DAYS = 7
"""A snapshot is renewed when so many days have been counted since."""
_WORTH_IT = 0.3
"""A snapshot pays where it has at most this share of the rows it replaces."""


@dataclass(frozen=True)
class Past:
    """What was counted of a table so far.

    Attributes:
        parts: Files by (first day, day after the last), in order of time.
        snapshot: The newest rows as of a day, and that day.
    """

    parts: Mapping[tuple[date, date], Path]
    snapshot: tuple[date, Path] | None = None

    @property
    def files(self) -> list[Path]:
        """Every row."""
        return list(self.parts.values())

    @property
    def state_files(self) -> list[Path]:
        """Enough rows to find each key's newest one."""
        if self.snapshot is None:
            return self.files
        day, path = self.snapshot
        return [path, *(file for (_, end), file in self.parts.items() if end > day)]

    def before(self, day: date) -> Past:
        """The same as of an earlier day, at which a file ends."""
        parts = {span: file for span, file in self.parts.items() if span[1] <= day}
        kept = self.snapshot if self.snapshot is not None and self.snapshot[0] <= day else None
        return Past(parts, kept)


def key_list(table: FeatureTable) -> str:
    """The table's keys as SQL."""
    return ", ".join(f'"{key}"' for key in table.keys)


def newest_rows(table: FeatureTable, files: Sequence[Path], among: str = "") -> str:
    """SQL for the newest row of each key in the files.

    Args:
        table: Its declaration.
        files: Some of its files; with none there are no rows.
        among: A clause that picks rows, such as a semi-join with keys.
    """
    if not files:
        return no_rows(table)
    keys, stored = key_list(table), f"{read_files(files)} AS stored"
    # Two passes, the first over keys and times only: far less to hold than sorting whole rows.
    return f"""(
        WITH newest AS (
            SELECT {keys}, max({TIMESTAMP}) AS {TIMESTAMP} FROM {stored} {among} GROUP BY {keys}
        )
        SELECT stored.* FROM {stored} SEMI JOIN newest USING ({keys}, {TIMESTAMP})
    )"""


def create_state(
    connection: DuckDBPyConnection,
    table: FeatureTable,
    lines: DuckDBPyRelation,
    past: Past,
    since: datetime,
    until: datetime,
    bucket: str = "TRUE",
) -> tuple[DuckDBPyRelation, DuckDBPyRelation | None]:
    """(state, expiring) for `count_changes`, as temporary tables of the connection.

    Args:
        connection: That of `lines`.
        table: A counted table.
        lines: What will be counted.
        past: All that was counted before `since`.
        since: Where counting goes on.
        until: Where it ends.
        bucket: SQL condition that picks the keys to look at.
    """
    counts = table.counts
    assert counts is not None
    keys = key_list(table)
    expiring = _create_expiring(connection, table, counts, past.files, since, until, bucket)
    touched = f"SELECT {keys} FROM ({lines.sql_query()}) WHERE {counts.where}"
    if expiring is not None:
        touched += f" UNION ALL SELECT {keys} FROM expiring"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE touched AS SELECT DISTINCT * FROM ({touched})")
    known = newest_rows(table, past.state_files, f"SEMI JOIN touched USING ({keys})")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE state AS SELECT * FROM {known}")
    return connection.table("state"), expiring


def _create_expiring(
    connection: DuckDBPyConnection,
    table: FeatureTable,
    counts: Counts,
    files: Sequence[Path],
    since: datetime,
    until: datetime,
    bucket: str,
) -> DuckDBPyRelation | None:
    if not counts.windows_hours:
        return None
    leaving = " OR ".join(
        f"({TIMESTAMP} > {_instant(window.start)} AND {TIMESTAMP} <= {_instant(window.end)})"
        for window in counts.leaving(since, until)
    )
    gained = f'"{counts.prefix}_gained"'
    rows = read_files(files) if files else no_rows(table)
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE expiring AS "
        f"SELECT {key_list(table)}, {TIMESTAMP}, {gained} FROM {rows} "
        f"WHERE {gained} > 0 AND ({leaving}) AND {bucket}"
    )
    return connection.table("expiring")


def write_snapshot(
    connection: DuckDBPyConnection, table: FeatureTable, files: Sequence[Path], path: Path
) -> None:
    """Nothing; `path` holds the newest row of each key in the files."""
    write_rows(connection.sql(f"SELECT * FROM {newest_rows(table, files)}"), table, path)


def snapshot_pays(table: FeatureTable, files: Sequence[Path]) -> bool:
    """Whether keys change often enough that their newest rows are far fewer than all rows.

    Judged by the first rows of the largest file: rows lie by key.
    """
    largest = max(files, key=lambda path: path.stat().st_size)
    file = pq.ParquetFile(largest)
    if not file.metadata.num_rows:
        return False
    rows = file.read_row_group(0, columns=list(table.keys))
    distinct = pa.TableGroupBy(rows, list(table.keys)).aggregate([]).num_rows
    return bool(distinct <= _WORTH_IT * rows.num_rows)


def due_snapshot(known: date | None, day: date) -> bool:
    """Whether a snapshot as of `day` should be written although there is one as of `known`."""
    return known is None or known > day or (day - known).days >= SNAPSHOT_DAYS


def _instant(moment: datetime) -> str:
    return f"TIMESTAMPTZ '{moment.astimezone(UTC).isoformat()}'"
