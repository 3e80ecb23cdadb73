"""Feast's online store on SQLite: the same tables as on PostgreSQL, in one file."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from pydantic import StrictStr

from features.errors import KairosError
from infra.online_columns import EVENT_TIMESTAMP, TIMES, OnlineColumn, in_utc
from infra.online_rows import RowOnlineStore
from infra.online_tables import GONE, STAGED, Lookup, OnlineTable, names

_LOWEST = "-9223372036854775808"
_BUSY_SECONDS = 60
_MOST_VARIABLES = 30_000  # SQLite takes 32,766 a statement


class SqliteRowOnlineStoreConfig(FeastConfigBaseModel):
    """Where the online tables live.

    Attributes:
        path: The database file, created with its folder when missing; relative to the repository. Only one
            project's online tables may live in it.
        request_time_field: Request field with the moment of the request, UTC seconds; see `RowOnlineStore`.
        check_ttl: Whether rows older than their view's ttl read as missing; Feast's own stores answer them.
    """

    type: StrictStr = "infra.sqlite_online_store.SqliteRowOnlineStore"
    path: StrictStr = "data/online.db"
    request_time_field: StrictStr = "request_epoch_seconds"
    check_ttl: bool = True


class SqliteRowOnlineStore(RowOnlineStore):
    """`RowOnlineStore` on SQLite, with a write-ahead log: readers never wait, writers wait for each other.

    Instants are microseconds of UTC. Reads share one connection a process; every write is one transaction on
    a connection of its own.
    """

    def __init__(self) -> None:
        super().__init__()
        self._reader: tuple[int, str, sqlite3.Connection] | None = None
        self._guard = threading.Lock()

    @contextmanager
    def _writing(self, config: RepoConfig) -> Iterator[_SqliteWriter]:
        connection = _connect(_path(config))
        try:
            connection.execute("PRAGMA synchronous = NORMAL")
            yield _SqliteWriter(connection)
            if connection.in_transaction:
                connection.execute("COMMIT")
        finally:
            connection.close()  # which rolls back what was not committed

    def _read(self, config: RepoConfig, lookups: Sequence[Lookup]) -> list[list[tuple[Any, ...]]]:
        """All look-ups of one state of the database."""
        with self._guard:
            connection = self._open_reader(_path(config))
            try:
                connection.execute("BEGIN")
                return [_look_up(connection, lookup) for lookup in lookups]
            except sqlite3.OperationalError as error:
                if "no such" not in str(error):
                    raise
                raise KairosError(
                    f"the online store has no such table or column ({error}); "
                    "declare its feature table online and run `kairos materialize`."
                ) from None
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def _open_reader(self, path: Path) -> sqlite3.Connection:
        """The process's reading connection; one inherited by a fork is left to its owner."""
        if self._reader is None or self._reader[:2] != (os.getpid(), str(path)):
            self._reader = (os.getpid(), str(path), _connect(path))
        return self._reader[2]

    def _close(self) -> None:
        if self._reader is not None and self._reader[0] == os.getpid():
            self._reader[2].close()
        self._reader = None


class _SqliteWriter:
    """A writing transaction on SQLite, which begins when the first statement needs it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def fit(self, online: OnlineTable) -> None:
        """Creates the table, or adds and drops columns until it fits; keys of another type empty it."""
        self._begin()
        table = names([online.name])
        columns = self._connection.execute(f"PRAGMA main.table_info({table})").fetchall()
        present = {name: kind for _, name, kind, *_ in columns}
        primary = [name for _, name, *_, place in sorted(columns, key=lambda row: row[-1]) if place]
        wanted = {column.stored_name: column.storage.sqlite for column in (*online.keys, *online.features)}
        wanted |= dict.fromkeys(TIMES, "INTEGER")
        if present and not (
            primary == [key.stored_name for key in online.keys]
            and all(present[name] == kind for name, kind in wanted.items() if name in present)
        ):
            self._connection.execute(f"DROP TABLE main.{table}")
            present = {}
        if not present:
            self._connection.execute(_create(online, wanted))
            return
        for name in wanted.keys() - present.keys():
            self._connection.execute(f"ALTER TABLE main.{table} ADD COLUMN {names([name])} {wanted[name]}")
        for name in present.keys() - wanted.keys():
            self._connection.execute(f"ALTER TABLE main.{table} DROP COLUMN {names([name])}")

    def drop(self, online: OnlineTable) -> None:
        """Drops the table where there is one."""
        self._begin()
        self._connection.execute(f"DROP TABLE IF EXISTS main.{names([online.name])}")

    def load(
        self,
        online: OnlineTable,
        batches: Iterable[pa.RecordBatch],
        *,
        gone: pa.RecordBatch | None = None,
        complete: bool = False,
        expire_before: datetime | None = None,
    ) -> int:
        """Number of rows inserted or replaced: all is staged first, then merged under a lock.

        Raises:
            KairosError: There is no such table.
        """
        table = f"main.{names([online.name])}"
        if not self._connection.execute(
            "SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = ?", [online.name]
        ).fetchone():
            raise KairosError(f"the online store has no table {online.name!r}; apply its view first.")
        self._stage(STAGED, online.stored_columns, batches)
        if gone is not None:
            self._stage(GONE, [key.stored_name for key in online.keys], [gone])
        self._begin()
        if gone is not None:
            self._connection.execute(online.delete_gone(table))
        if complete:
            self._connection.execute(online.delete_others(table))
        changed = self._connection.execute(online.merge(table, lowest=_LOWEST, row="rowid")).rowcount
        if expire_before is not None:
            oldest = in_utc(expire_before)
            assert oldest is not None
            self._connection.execute(
                f"DELETE FROM {table} WHERE {names([EVENT_TIMESTAMP])} < ?", [oldest.timestamp() * 1e6]
            )
        return int(changed)

    def _begin(self) -> None:
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")

    def _stage(self, staging: str, columns: Sequence[str], batches: Iterable[pa.RecordBatch]) -> None:
        """Fills a temporary table, which other connections neither see nor wait for."""
        self._connection.execute(f"DROP TABLE IF EXISTS temp.{staging}")
        self._connection.execute(f"CREATE TEMP TABLE {staging} ({names(columns)})")
        marks = ", ".join("?" * len(columns))
        for batch in batches:
            self._connection.execute("BEGIN")
            rows = zip(*(_plain(column) for column in batch.columns), strict=True)
            self._connection.executemany(f"INSERT INTO temp.{staging} VALUES ({marks})", rows)
            self._connection.execute("COMMIT")


def _path(config: RepoConfig) -> Path:
    path = Path(config.online_store.path)
    return path if path.is_absolute() or config.repo_path is None else Path(config.repo_path) / path


def _connect(path: Path) -> sqlite3.Connection:
    """A connection without implicit transactions, used by one thread at a time.

    Raises:
        KairosError: The file cannot be opened.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA temp_store = FILE")
        connection.execute("PRAGMA cache_size = -65536")  # KiB
    except (OSError, sqlite3.Error) as error:
        raise KairosError(
            f"the online store {path} cannot be opened: {error}; correct `online_store.path`."
        ) from None
    return connection


def _look_up(connection: sqlite3.Connection, lookup: Lookup) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    width = len(lookup.table.keys) + 1
    size = _MOST_VARIABLES // width
    for start in range(0, len(lookup.keys), size):
        keys = lookup.keys[start : start + size]
        parameters = [one for place, key in enumerate(keys, start) for one in (place, *key)]
        query = _select(lookup.table, lookup.features, len(keys))
        found += connection.execute(query, parameters).fetchall()
    return found


def _select(online: OnlineTable, features: Sequence[OnlineColumn], asked: int) -> str:
    """Takes (place, *key) for each key asked; keys without a row are left out."""
    keys = names(key.stored_name for key in online.keys)
    row = f"({', '.join('?' * (len(online.keys) + 1))})"
    read = "".join(f", kept.{names([column.stored_name])}" for column in features)
    return (
        f"WITH asked (place, {keys}) AS (VALUES {', '.join([row] * asked)}) "
        f"SELECT asked.place, kept.{names([EVENT_TIMESTAMP])}{read} "
        f"FROM asked CROSS JOIN main.{names([online.name])} AS kept USING ({keys})"
    )


def _create(online: OnlineTable, wanted: dict[str, str]) -> str:
    keys = [key.stored_name for key in online.keys]
    columns = [
        f"{names([name])} {kind}{' NOT NULL' if name in (*keys, EVENT_TIMESTAMP) else ''}"
        for name, kind in wanted.items()
    ]
    return (
        f"CREATE TABLE main.{names([online.name])} ({', '.join(columns)}, PRIMARY KEY ({names(keys)})) "
        "WITHOUT ROWID"
    )


def _plain(column: pa.Array) -> list[Any]:
    """The values as SQLite takes them; instants as microseconds."""
    values: list[Any] = (
        column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
    ).to_pylist()
    return values
