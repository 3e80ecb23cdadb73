"""Feast's online store on PostgreSQL: one native table a view, one typed row an entity."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.csv as pa_csv
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from pydantic import SecretStr, StrictStr
from sqlalchemy.engine import make_url

from features.errors import KairosError
from infra.database_errors import database_error, primary_message
from infra.online_columns import EVENT_TIMESTAMP, TIMES, OnlineColumn, in_utc
from infra.online_rows import RowOnlineStore
from infra.online_tables import GONE, STAGED, Lookup, OnlineTable, names

_LOCK = "SELECT pg_advisory_xact_lock(hashtext($1))"
_CSV = pa_csv.WriteOptions(include_header=False)


class PostgresRowOnlineStoreConfig(FeastConfigBaseModel):
    """Where the online tables live.

    Attributes:
        database_url: `postgresql+psycopg://...`; never shown when the configuration is printed.
        schema_name: PostgreSQL schema, created when missing; only one project's online tables may live in it.
        request_time_field: Request field with the moment of the request, UTC seconds; see `RowOnlineStore`.
        check_ttl: Whether rows older than their view's ttl read as missing; Feast's own stores answer them.
    """

    type: StrictStr = "infra.online_store.PostgresRowOnlineStore"
    database_url: SecretStr
    schema_name: StrictStr = "kairos_online"
    request_time_field: StrictStr = "request_epoch_seconds"
    check_ttl: bool = True


class PostgresRowOnlineStore(RowOnlineStore):
    """`RowOnlineStore` on PostgreSQL.

    Reads share one connection a process; every write is one transaction on a connection of its own. Writes
    to one table wait for each other, readers never wait.
    """

    def __init__(self) -> None:
        super().__init__()
        self._reader: tuple[int, str, psycopg.Connection[Any]] | None = None
        self._guard = threading.Lock()

    @contextmanager
    def _writing(self, config: RepoConfig) -> Iterator[_PostgresWriter]:
        with _connect(config, autocommit=False) as connection:
            yield _PostgresWriter(connection, config.online_store.schema_name)

    def _read(self, config: RepoConfig, lookups: Sequence[Lookup]) -> list[list[tuple[Any, ...]]]:
        """All look-ups in one round trip; a connection that the server closed is opened again, once."""
        schema = config.online_store.schema_name
        with self._guard:
            try:
                try:
                    return _look_up(self._open_reader(config), schema, lookups)
                except psycopg.OperationalError:
                    self._close()
                    return _look_up(self._open_reader(config), schema, lookups)
            except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
                raise KairosError(
                    f"the online store has no such table or column ({primary_message(error)}); "
                    "declare its feature table online and run `kairos materialize`."
                ) from None
            except psycopg.OperationalError as error:
                url = make_url(config.online_store.database_url.get_secret_value())
                raise database_error(error, url) from None

    def _open_reader(self, config: RepoConfig) -> psycopg.Connection[Any]:
        """The process's reading connection; one inherited by a fork is left to its owner."""
        url = config.online_store.database_url.get_secret_value()
        if self._reader is None or self._reader[:2] != (os.getpid(), url):
            self._reader = (os.getpid(), url, _connect(config, autocommit=True))
        return self._reader[2]

    def _close(self) -> None:
        if self._reader is not None and self._reader[0] == os.getpid():
            self._reader[2].close()
        self._reader = None


class _PostgresWriter:
    """A writing transaction on PostgreSQL."""

    def __init__(self, connection: psycopg.Connection[Any], schema: str) -> None:
        self._connection = connection
        self._schema = schema

    def fit(self, online: OnlineTable) -> None:
        """Creates the table, or adds and drops columns until it fits; keys of another type empty it."""
        self._run(_LOCK, self._schema)
        # Asked first: IF NOT EXISTS wants the right to create even where there is nothing to do.
        if self._run("SELECT 1 FROM pg_namespace WHERE nspname = $1", self._schema).fetchone() is None:
            self._run(f"CREATE SCHEMA {names([self._schema])}")
        table = self._name(online)
        present = dict(
            self._run(
                "SELECT column_name, data_type FROM information_schema.columns "
                "WHERE table_schema = $1 AND table_name = $2",
                self._schema,
                online.name,
            ).fetchall()
        )
        wanted = _types(online)
        if present and not (
            self._primary_key(online) == [key.stored_name for key in online.keys]
            and all(present[name] == kind for name, kind in wanted.items() if name in present)
        ):
            self._run(f"DROP TABLE {table}")
            present = {}
        if not present:
            self._run(_create(table, online, wanted))
            return
        changes = [f"ADD COLUMN {names([name])} {wanted[name]}" for name in wanted.keys() - present.keys()]
        changes += [f"DROP COLUMN {names([name])}" for name in present.keys() - wanted.keys()]
        if changes:
            self._run(f"ALTER TABLE {table} {', '.join(changes)}")

    def drop(self, online: OnlineTable) -> None:
        """Drops the table where there is one."""
        self._run(f"DROP TABLE IF EXISTS {self._name(online)}")

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
            KairosError: There is no such table, or not with these columns.
        """
        table = self._name(online)
        types = _types(online)
        self._stage(STAGED, types, batches)
        if gone is not None:
            self._stage(GONE, {key.stored_name: types[key.stored_name] for key in online.keys}, [gone])
        self._run(_LOCK, f"{self._schema}.{online.name}")
        try:
            if gone is not None:
                self._run(online.delete_gone(table))
            if complete:
                self._run(online.delete_others(table))
            changed = self._run(online.merge(table, lowest="'-infinity'", row="ctid")).rowcount
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
            raise KairosError(
                f"the online store has no such table or column ({primary_message(error)}); "
                "apply its view first."
            ) from None
        if expire_before is not None:
            self._run(f"DELETE FROM {table} WHERE {names([EVENT_TIMESTAMP])} < $1", in_utc(expire_before))
        return changed

    def _stage(self, staging: str, types: dict[str, str], batches: Iterable[pa.RecordBatch]) -> None:
        """Fills a temporary table; the table itself is not touched yet, so nobody waits for a slow source."""
        # Hundreds of thousands of rows are sorted by key: in memory, and only while this transaction lasts.
        self._run("SET LOCAL work_mem = '256MB'")
        self._run(f"DROP TABLE IF EXISTS pg_temp.{staging}")
        columns = ", ".join(f"{names([name])} {kind}" for name, kind in types.items())
        self._run(f"CREATE TEMP TABLE {staging} ({columns}) ON COMMIT DROP")
        with (
            self._connection.cursor() as cursor,
            cursor.copy(f"COPY {staging} FROM STDIN WITH (FORMAT csv)".encode()) as copy,
        ):
            for batch in batches:
                copy.write(_csv(batch))

    def _primary_key(self, online: OnlineTable) -> list[str]:
        found = self._run(
            "SELECT column_name FROM information_schema.key_column_usage "
            "WHERE table_schema = $1 AND table_name = $2 ORDER BY ordinal_position",
            self._schema,
            online.name,
        ).fetchall()
        return [row[0] for row in found]

    def _name(self, online: OnlineTable) -> str:
        return _table_name(self._schema, online)

    def _run(self, query: str, *parameters: Any) -> psycopg.Cursor[Any]:
        return self._connection.execute(query.encode(), parameters or None)


def _connect(config: RepoConfig, *, autocommit: bool) -> psycopg.Connection[Any]:
    """A new connection in UTC, whose statements name their parameters $1, $2, ...

    Raises:
        KairosError: The server does not answer or refuses us; one line, never with the password.
    """
    url = make_url(config.online_store.database_url.get_secret_value())
    address = url.set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        return psycopg.connect(
            address, autocommit=autocommit, options="-c timezone=UTC", cursor_factory=psycopg.RawCursor
        )
    except psycopg.OperationalError as error:
        raise database_error(error, url) from None


def _look_up(
    connection: psycopg.Connection[Any], schema: str, lookups: Sequence[Lookup]
) -> list[list[tuple[Any, ...]]]:
    found: list[list[tuple[Any, ...]]] = [[] for _ in lookups]
    cursors = []
    with connection.pipeline():
        for place, lookup in enumerate(lookups):
            if lookup.keys:
                cursor = connection.cursor(binary=True)
                arrays = [_array_literal(values) for values in zip(*lookup.keys, strict=True)]
                cursor.execute(_select(schema, lookup.table, lookup.features).encode(), arrays, prepare=True)
                cursors.append((place, cursor))
        for place, cursor in cursors:
            found[place] = cursor.fetchall()
    return found


def _select(schema: str, online: OnlineTable, features: Sequence[OnlineColumn]) -> str:
    """Takes one array a key column; keys without a row are left out."""
    keys = names(key.stored_name for key in online.keys)
    arrays = ", ".join(f"${n}::{key.storage.postgres}[]" for n, key in enumerate(online.keys, start=1))
    read = "".join(f", kept.{names([column.stored_name])}" for column in features)
    return (
        f"SELECT asked.place::int - 1, (date_part('epoch', kept.{EVENT_TIMESTAMP}) * 1000000)::bigint{read} "
        f"FROM unnest({arrays}) WITH ORDINALITY AS asked ({keys}, place) "
        f"JOIN {_table_name(schema, online)} AS kept USING ({keys})"
    )


def _array_literal(values: Sequence[Any]) -> str:
    """PostgreSQL's text of an array of values of one type; psycopg takes twenty times as long to write it."""
    if isinstance(values[0], str):
        joined = "\x00".join(values)  # which no text of ours holds
        if "\\" in joined or '"' in joined:
            joined = joined.replace("\\", "\\\\").replace('"', '\\"')
        return '{"' + joined.replace("\x00", '","') + '"}'
    if isinstance(values[0], bytes):
        return '{"' + '","'.join("\\\\x" + value.hex() for value in values) + '"}'
    return "{" + ",".join(map(repr, values)) + "}"


def _types(online: OnlineTable) -> dict[str, str]:
    """PostgreSQL's type of each column, in the table's order."""
    types = {column.stored_name: column.storage.postgres for column in (*online.keys, *online.features)}
    return types | dict.fromkeys(TIMES, "timestamp with time zone")


def _create(table: str, online: OnlineTable, wanted: dict[str, str]) -> str:
    keys = [key.stored_name for key in online.keys]
    columns = [
        f"{names([name])} {kind}{' NOT NULL' if name in (*keys, EVENT_TIMESTAMP) else ''}"
        for name, kind in wanted.items()
    ]
    return f"CREATE TABLE {table} ({', '.join(columns)}, PRIMARY KEY ({names(keys)}))"


def _table_name(schema: str, online: OnlineTable) -> str:
    return f"{names([schema])}.{names([online.name])}"


def _csv(batch: pa.RecordBatch) -> bytes:
    """The rows as CSV, which keeps every bit of a double and tells empty text from null."""
    columns = [
        pa.array([None if one is None else "\\x" + one.hex() for one in column.to_pylist()], pa.string())
        if pa.types.is_binary(column.type)
        else column
        for column in batch.columns
    ]
    sink = io.BytesIO()
    pa_csv.write_csv(pa.RecordBatch.from_arrays(columns, names=batch.schema.names), sink, _CSV)
    return sink.getvalue()
