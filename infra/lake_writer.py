"""Builds one table of the lake: chunks in, checked rows out, each key once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.contract import Contract
from features.contract_values import TEXT
from infra.lake_files import parquet_literal
from infra.lake_manifest import TableCounts

ROW_GROUP = 250_000
_MICROSECONDS_PER_DAY = 86_400_000_000


class TableWriter:
    """Takes a table's chunks one at a time; memory holds two row groups at most.

    Args:
        contract: The table's contract.
        staging: Folder that becomes the lake.
        now: Later events are from the future.
        default_timezone: Stands in for a user's missing zone.
        zones_by_place: Stands in before it, by region or country.
    """

    def __init__(
        self,
        contract: Contract,
        staging: Path,
        *,
        now: datetime,
        default_timezone: str,
        zones_by_place: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._contract = contract
        self._staging = staging
        self._now = now
        self._default_timezone = default_timezone
        self._zones_by_place = zones_by_place
        self._raw = staging / "raw" / f"{contract.name}.parquet"
        self._accepted = RowGroupWriter(self._raw, contract.arrow_schema())
        reasons = [(name, pa.string()) for name in (*contract.column_names, "reason")]
        self._quarantine = RowGroupWriter(
            staging / "quarantine" / f"{contract.name}.parquet", pa.schema(reasons)
        )
        self._reasons: Counter[str] = Counter()
        self._filled: Counter[str] = Counter()
        self._absent: dict[str, None] = {}
        self._repeats = 0
        self._chunks = 0
        self.rows_read = 0

    def append(self, chunk: pa.Table | pd.DataFrame) -> None:
        """Splits one chunk by the contract and keeps both halves.

        Raises:
            ContractError: The whole file is wrong.
        """
        if not isinstance(chunk, pd.DataFrame):
            self._contract.check_file({field.name: str(field.type) for field in chunk.schema})
            chunk = chunk.to_pandas(types_mapper={pa.string(): TEXT, pa.large_string(): TEXT}.get)
        split = self._contract.split(
            chunk,
            now=self._now,
            default_timezone=self._default_timezone,
            zones_by_place=self._zones_by_place,
        )
        self._accepted.append(split.accepted)
        self._set_aside(split.quarantined)
        self._repeats += split.repeats
        self._filled.update(split.filled)
        self._absent.update(dict.fromkeys(split.absent))
        self._chunks += 1
        self.rows_read += len(chunk)

    def close(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Finishes the table: keys are unique, events lie by day in time order, other tables in one file."""
        self._accepted.close()
        doubtful = self._chunks > 1 and self._drop_repeated_keys(connection)
        final = self._staging / f"{self._contract.name}.parquet"
        kept = self._numbered_rows()
        columns = ", ".join(f'"{name}"' for name in self._contract.column_names)
        query = f"SELECT {columns} FROM {kept} rows"
        if doubtful:
            query += " ANTI JOIN dropped ON rows.file_row_number = dropped.n"
        if self._contract.name == "events":
            self._write_days(connection.sql(f"{query} ORDER BY event_ts, event_id"))
            self._raw.unlink()
        elif doubtful:
            final_writer = RowGroupWriter(final, self._contract.arrow_schema())
            for batch in connection.sql(f"{query} ORDER BY rows.file_row_number").to_arrow_reader(ROW_GROUP):
                final_writer.append(pa.Table.from_batches([batch]))
            final_writer.close()
            self._raw.unlink()
        else:
            self._raw.rename(final)
        self._quarantine.close()

    def counts(self) -> TableCounts:
        """What became of the rows read."""
        return TableCounts(self._accepted.rows, self._repeats, dict(self._reasons.most_common()))

    def degraded(self) -> tuple[str, ...]:
        """What was not told and is taken as unknown."""
        return self._contract.degraded_words(tuple(self._absent), self._filled, self._accepted.rows)

    def _numbered_rows(self) -> str:
        """The accepted rows in reading order as SQL, with `file_row_number`."""
        return f"read_parquet({parquet_literal(self._raw.parent, self._raw.name)}, file_row_number = true)"

    def _set_aside(self, rows: pd.DataFrame) -> None:
        self._quarantine.append(rows)
        self._reasons.update({str(reason): int(n) for reason, n in rows["reason"].value_counts().items()})

    def _drop_repeated_keys(self, connection: duckdb.DuckDBPyConnection) -> bool:
        """Fills the table `dropped` with rows whose key an earlier chunk has; False when there are none."""
        key, raw = self._contract.key, self._numbered_rows()
        # Eight bytes a row, sorted in place: far less memory than letting the database group the keys.
        hashes = connection.execute(f"SELECT hash({key}) AS hash FROM {raw}").fetchnumpy()["hash"]
        hashes.sort()
        shared = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
        if len(shared) == 0:
            return False
        connection.register("shared", pa.table({"hash": shared}))
        columns = ", ".join(f'"{name}"' for name in self._contract.column_names)
        # Equal rows repeat an earlier one and go silently; rows with another content contradict it.
        connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE dropped AS
            SELECT n, repeats FROM (
                SELECT n, row_number() OVER (PARTITION BY key, content ORDER BY n) > 1 AS repeats,
                       row_number() OVER (PARTITION BY key ORDER BY n) > 1 AS later
                FROM (
                    SELECT file_row_number AS n, {key} AS key, hash(row({columns})) AS content FROM {raw}
                    WHERE hash({key}) IN (SELECT hash FROM shared)
                )
            ) WHERE later
            """
        )
        reader = connection.sql(
            f"SELECT {columns} FROM {raw} rows JOIN dropped ON rows.file_row_number = dropped.n "
            "WHERE NOT repeats ORDER BY n"
        ).to_arrow_reader(ROW_GROUP)
        for batch in reader:
            told = pa.Table.from_batches([batch]).to_pandas(types_mapper={pa.string(): TEXT}.get)
            self._set_aside(told.astype(TEXT).assign(reason=f"duplicate {key} with other content"))
        repeats = _one(connection, "SELECT count(*) FILTER (repeats) FROM dropped")
        self._repeats += repeats
        dropped = _one(connection, "SELECT count(*) FROM dropped")
        self._accepted.rows -= dropped
        return dropped > 0

    def _write_days(self, ordered: duckdb.DuckDBPyRelation) -> None:
        """One file a UTC day, rows by time and event_id."""
        writer, open_day = None, None
        for batch in ordered.to_arrow_reader(ROW_GROUP):
            table = pa.Table.from_batches([batch])
            days = pc.cast(table["event_ts"], pa.int64()).to_numpy() // _MICROSECONDS_PER_DAY
            starts = [0, *(np.flatnonzero(np.diff(days)) + 1), len(days)]
            for start, end in pairwise(starts):
                day = np.datetime64(int(days[start]), "D")
                if day != open_day:
                    if writer is not None:
                        writer.close()
                    path = self._staging / "events" / f"day={day}" / "part-0.parquet"
                    writer, open_day = RowGroupWriter(path, self._contract.arrow_schema()), day
                assert writer is not None
                writer.append(table.slice(start, end - start))
        if writer is not None:
            writer.close()


class RowGroupWriter:
    """A Parquet file in row groups of one size, so that the chunks' sizes leave no trace in the bytes."""

    def __init__(self, path: Path, schema: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._schema = schema
        self._writer = pq.ParquetWriter(path, schema, compression="zstd", compression_level=1)
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        self.rows = 0

    def append(self, rows: pa.Table | pd.DataFrame) -> None:
        """Takes rows in the schema's columns; writes whenever a row group is full."""
        if isinstance(rows, pd.DataFrame):
            table = pa.Table.from_pandas(rows, self._schema, preserve_index=False)
        else:
            table = rows.select(self._schema.names).cast(self._schema)
        self._pending.append(table.replace_schema_metadata(None))
        self._pending_rows += len(table)
        self.rows += len(table)
        if self._pending_rows >= ROW_GROUP:
            self._flush(everything=False)

    def close(self) -> None:
        """Writes the rest and finishes the file."""
        self._flush(everything=True)
        self._writer.close()

    def _flush(self, *, everything: bool) -> None:
        if not self._pending_rows:
            return
        table = pa.concat_tables(self._pending).combine_chunks()
        whole = len(table) if everything else len(table) // ROW_GROUP * ROW_GROUP
        self._writer.write_table(table.slice(0, whole), row_group_size=ROW_GROUP)
        rest = table.slice(whole)
        self._pending, self._pending_rows = ([rest], len(rest)) if len(rest) else ([], 0)


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    # All rows, although there is one: an unfinished result blocks the connection.
    return int(connection.execute(query).fetchall()[0][0])
