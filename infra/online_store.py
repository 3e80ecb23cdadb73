"""Feast's online store on PostgreSQL: one native table a view, one typed row an entity."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.csv as pa_csv
from feast.entity import Entity
from feast.feature_view import FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from psycopg import sql
from pydantic import SecretStr, StrictStr
from sqlalchemy.engine import make_url

from features.errors import KairosError
from infra.database_errors import database_error, primary_message
from infra.online_tables import CREATED_TIMESTAMP, EVENT_TIMESTAMP, OnlineTable, in_utc, names

_LOCK = "SELECT pg_advisory_xact_lock(hashtext(%s))"

Row = tuple[EntityKey, dict[str, Value], datetime, datetime | None]


class PostgresRowOnlineStoreConfig(FeastConfigBaseModel):
    """Where the online tables live.

    Attributes:
        database_url: `postgresql+psycopg://...`; never shown when the configuration is printed.
        schema_name: PostgreSQL schema, created when missing; only online tables may live in it.
    """

    type: StrictStr = "infra.online_store.PostgresRowOnlineStore"
    database_url: SecretStr
    schema_name: StrictStr = "kairos_online"


class PostgresRowOnlineStore(OnlineStore):
    """One table a feature view: join keys, features in their own types, event and creation time.

    Reads share one connection a process; every write is one transaction on a connection of its own.
    Feast checks no time to live when it reads online, so whoever materialises removes stale rows.
    """

    def __init__(self) -> None:
        self._reader: tuple[int, str, psycopg.Connection[Any]] | None = None
        self._guard = threading.Lock()

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Makes the tables fit their views; one whose keys or types changed starts empty again."""
        schema = config.online_store.schema_name
        with _transaction(config) as con:
            con.execute(_LOCK, [schema])
            con.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
            for view in tables_to_delete:
                con.execute(_drop(OnlineTable.of(schema, view)))
            for view in tables_to_keep:
                _fit(con, OnlineTable.of(schema, view))

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        """Drops the views' tables; closes the connection."""
        with _transaction(config) as con:
            for view in tables:
                con.execute(_drop(OnlineTable.of(config.online_store.schema_name, view)))
        self._close()

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Takes the rows, all or none; a row older than the one known for its keys changes nothing."""
        online = OnlineTable.of(config.online_store.schema_name, table)

        def copy_rows(copy: psycopg.Copy) -> None:
            for entity, values, event, created in data:
                keyed = dict(zip(entity.join_keys, entity.entity_values, strict=True))
                copy.write_row(
                    [
                        *(column.to_database(keyed.get(column.name)) for column in online.keys),
                        *(column.to_database(values.get(column.name)) for column in online.features),
                        in_utc(event),
                        in_utc(created),
                    ]
                )

        with _transaction(config) as con:
            _merge(con, online, sql.SQL(""), copy_rows)
        if progress:
            progress(len(data))

    def replace_latest(
        self, config: RepoConfig, view: FeatureView, rows: pa.Table, expire_before: datetime | None = None
    ) -> int:
        """Number of rows inserted or replaced: the bulk way in, straight from Arrow.

        One transaction: readers see all of it or nothing. A late older value never overwrites a newer one.

        Args:
            config: The store's configuration.
            view: Whose table.
            rows: Its keys, features, event_timestamp and, where it has one, created_timestamp, by name;
                duplicates allowed.
            expire_before: Rows of the table with an earlier event_timestamp are removed as well.

        Raises:
            KairosError: A column is missing, or has a type that is only kept as bytes.
        """
        online = OnlineTable.of(config.online_store.schema_name, view)
        if CREATED_TIMESTAMP not in rows.column_names:
            rows = rows.append_column(CREATED_TIMESTAMP, pa.nulls(rows.num_rows, pa.timestamp("us", "UTC")))
        missing = set(online.columns) - set(rows.column_names)
        odd = [name for name, kind in online.column_types.items() if kind == "bytea"]
        if missing or odd:
            raise KairosError(
                f"online table {online.name!r} cannot be loaded in bulk: column {min(missing or odd)!r} is "
                f"{'missing' if missing else 'kept as bytes'}; write it through online_write_batch."
            )
        with _transaction(config) as con:
            changed = _merge(
                con,
                online,
                sql.SQL("WITH (FORMAT csv)"),
                lambda copy: _write_csv(copy, rows.select(online.columns)),
            )
            if expire_before is not None:
                con.execute(
                    sql.SQL("DELETE FROM {} WHERE {} < %s").format(
                        online.identifier, sql.Identifier(EVENT_TIMESTAMP)
                    ),
                    [in_utc(expire_before)],
                )
        return changed

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        """(event time, features) for each key, in order; (None, None) for one without a row."""
        online = OnlineTable.of(config.online_store.schema_name, table)
        wanted = [
            column
            for column in online.features
            if requested_features is None or column.name in requested_features
        ]
        arrays: list[list[Any]] = [[] for _ in online.keys]
        for entity in entity_keys:
            keyed = dict(zip(entity.join_keys, entity.entity_values, strict=True))
            for column, array in zip(online.keys, arrays, strict=True):
                array.append(column.to_database(keyed.get(column.name)))
        found: list[tuple[datetime | None, dict[str, Value] | None]] = [(None, None)] * len(entity_keys)
        readers = [(column.name, column.reader()) for column in wanted]
        for place, event, *stored in self._fetch(config, online.select_by_keys(wanted), arrays):
            values = {name: read(value) for (name, read), value in zip(readers, stored, strict=True)}
            found[place - 1] = (event, values)
        return found

    def _fetch(self, config: RepoConfig, query: sql.Composed, parameters: list[Any]) -> list[tuple[Any, ...]]:
        """The query's rows; a connection that the server closed is opened again, once.

        Raises:
            KairosError: There is no such table or column, or no server.
        """
        with self._guard:
            try:
                try:
                    return self._open_reader(config).execute(query, parameters).fetchall()
                except psycopg.OperationalError:
                    self._close()
                    return self._open_reader(config).execute(query, parameters).fetchall()
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


def _connect(config: RepoConfig, *, autocommit: bool) -> psycopg.Connection[Any]:
    """A new connection in UTC.

    Raises:
        KairosError: The server does not answer or refuses us; one line, never with the password.
    """
    url = make_url(config.online_store.database_url.get_secret_value())
    address = url.set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        return psycopg.connect(address, autocommit=autocommit, options="-c timezone=UTC")
    except psycopg.OperationalError as error:
        raise database_error(error, url) from None


def _transaction(config: RepoConfig) -> psycopg.Connection[Any]:
    """A connection that commits when its block ends, rolls back when it fails, and closes."""
    return _connect(config, autocommit=False)


def _drop(online: OnlineTable) -> sql.Composed:
    return sql.SQL("DROP TABLE IF EXISTS {}").format(online.identifier)


def _fit(con: psycopg.Connection[Any], online: OnlineTable) -> None:
    """Creates the table, or adds and drops feature columns until it fits."""
    present = dict(
        con.execute(
            "SELECT column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = %s AND table_name = %s",
            [online.schema, online.name],
        ).fetchall()
    )
    wanted = online.column_types
    keys = {key.name for key in online.keys}
    primary = {
        row[0]
        for row in con.execute(
            "SELECT column_name FROM information_schema.key_column_usage "
            "WHERE table_schema = %s AND table_name = %s",
            [online.schema, online.name],
        ).fetchall()
    }
    same_types = all(present[name] == kind for name, kind in wanted.items() if name in present)
    if present and (primary != keys or not same_types):
        con.execute(_drop(online))
        present = {}
    con.execute(online.create())
    for name in wanted.keys() - present.keys() if present else ():
        con.execute(
            sql.SQL("ALTER TABLE {} ADD COLUMN {} " + wanted[name]).format(
                online.identifier, sql.Identifier(name)
            )
        )
    for name in present.keys() - wanted.keys():
        con.execute(sql.SQL("ALTER TABLE {} DROP COLUMN {}").format(online.identifier, sql.Identifier(name)))


def _merge(
    con: psycopg.Connection[Any],
    online: OnlineTable,
    options: sql.SQL,
    write: Callable[[psycopg.Copy], None],
) -> int:
    """Rows changed: what `write` sends is staged first, then merged in one statement."""
    staging = sql.Identifier("staged_rows")
    # Hundreds of thousands of rows are sorted by key: in memory, and only while this transaction lasts.
    con.execute("SET LOCAL work_mem = '256MB'")
    con.execute(
        sql.SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
            staging, names(online.columns), online.identifier
        )
    )
    with con.cursor() as cursor:
        with cursor.copy(sql.SQL("COPY {} FROM STDIN {}").format(staging, options)) as copy:
            write(copy)
        cursor.execute(online.merge_from(staging))
        return cursor.rowcount


def _write_csv(copy: psycopg.Copy, rows: pa.Table) -> None:
    """Sends Arrow as CSV, which keeps every bit of a double and tells empty text from null."""
    sink = io.BytesIO()
    options = pa_csv.WriteOptions(include_header=False)
    for batch in rows.to_batches(max_chunksize=20_000):
        pa_csv.write_csv(batch, sink, options)
        copy.write(sink.getvalue())
        sink = io.BytesIO()
