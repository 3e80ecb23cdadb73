"""Four tables of somebody's database, read in chunks through SQLAlchemy and never written."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from features.contracts import CONTRACTS
from features.errors import ContractError, KairosError, UsageError
from features.mapped_rows import mapped_rows, mapped_types
from features.scene_names import scene_names
from features.source_mapping import SourceMapping
from infra.shown_url import shown_url

_CHUNK_ROWS = 100_000
_REQUIRED = ("events", "items")
_READ_ONLY = {
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
    "sqlite": "PRAGMA query_only = ON",
}
"""By dialect, what makes a session refuse to write."""


class DatabaseSource:
    """The tables or views `events`, `users`, `items` and `promotions` of any database SQLAlchemy can reach.

    Rows are read by key, with a server-side cursor, in a read-only transaction that is rolled back: even a
    view that would write is refused by the database itself.
    """

    def __init__(
        self, url: str, default_timezone: str = "UTC", mapping: SourceMapping = SourceMapping()
    ) -> None:
        """Nothing is opened yet.

        Raises:
            UsageError: Not a database URL.
        """
        try:
            parsed = sa.make_url(url)
            if parsed.drivername in ("postgres", "postgresql"):
                parsed = parsed.set(drivername="postgresql+psycopg")
            self._engine = sa.create_engine(parsed, poolclass=sa.NullPool)
        except (ArgumentError, NoSuchModuleError, ImportError, ValueError):
            raise UsageError(
                "source sql: the URL is not one SQLAlchemy can open; write for example "
                "sql:postgresql+psycopg://USER:PASSWORD@HOST/NAME and install the driver."
            ) from None
        if (read_only := _READ_ONLY.get(self._engine.dialect.name)) is not None:
            sa.event.listen(self._engine, "connect", lambda opened, _: _tell(opened, read_only))
        self.name = f"sql:{shown_url(parsed)}"
        self.default_timezone = default_timezone
        self.mapping = mapping

    def fingerprint(self) -> str:
        """Empty: a changed row, a withdrawn consent above all, shows only when everything is read."""
        return ""

    def notes(self) -> tuple[str, ...]:
        """What is read as what."""
        return self.mapping.notes()

    def read(self, table: str) -> Iterator[pd.DataFrame]:
        """Chunks of a table ordered by its key; only contract columns and what the mapping reads them from
        are selected, and what stands for a part of a scene (see `features.scene_names`).

        Raises:
            KairosError: The database cannot be read, or has no such required table.
            ContractError: A required column is missing.
        """
        return self._rows(table)

    def tells_time(self) -> bool:
        """Whether events are told by a column of times that the database itself compares."""
        try:
            with self._engine.connect() as connection:
                return self._time_column(connection) is not None
        except SQLAlchemyError:
            return False  # reading will say what is wrong

    def events_since(self, since: datetime) -> Iterator[pd.DataFrame]:
        """Chunks of the events at or after `since`; errors as `read`."""
        return self._rows("events", since)

    def _rows(self, table: str, since: datetime | None = None) -> Iterator[pd.DataFrame]:
        try:
            with self._engine.connect() as connection:
                query = self._query(connection, table)
                if query is None:
                    return
                if since is not None and (time := self._time_column(connection)) is not None:
                    # A time without a zone is UTC, as the contract reads it.
                    zoned = isinstance(time.type, sa.DateTime) and time.type.timezone
                    bound = since if zoned else since.astimezone(UTC).replace(tzinfo=None)
                    query = query.where(time >= bound)
                streamed = connection.execution_options(stream_results=True, yield_per=_CHUNK_ROWS)
                result = streamed.execute(query)
                for rows in result.partitions():
                    told = [tuple(row) for row in rows]
                    frame = pd.DataFrame(told, columns=list(result.keys()), dtype=object)
                    yield mapped_rows(self.mapping, table, frame)
        except ContractError as error:
            raise self.mapping.explained(table, error) from None
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise KairosError(
                f"source {self.name}: cannot read {table} ({reason}); check address, rights and that it runs."
            ) from error

    def _query(self, connection: sa.Connection, table: str) -> sa.Select[Any] | None:
        """What selects the table's columns that we read, by key; None without an optional table."""
        contract, named = CONTRACTS[table], self.mapping.name_of(table)
        inspector = sa.inspect(connection)
        schema, _, name = named.rpartition(".")
        if not inspector.has_table(name, schema=schema or None):
            if table not in _REQUIRED:
                return None
            raise KairosError(
                f"source {self.name}: found no table {named}; create a table or view so named, or name yours "
                "under [tables] in kairos.toml."
            )
        there = [column["name"] for column in inspector.get_columns(name, schema=schema or None)]
        contract.check_file(mapped_types(self.mapping, table, dict.fromkeys(there, "object")))
        mapped = self.mapping.columns_of(table)
        read = [column for columns in mapped.values() for column in columns]
        known = [*contract.column_names, *read, *scene_names(there, contract.column_names)]
        wanted: list[sa.ColumnClause[Any]] = [sa.column(n) for n in dict.fromkeys(known) if n in there]
        key: list[sa.ColumnClause[Any]] = [sa.column(n) for n in mapped.get(contract.key, (contract.key,))]
        return sa.select(*wanted).select_from(sa.table(name, schema=schema or None)).order_by(*key)

    def _time_column(self, connection: sa.Connection) -> sa.ColumnClause[Any] | None:
        """What events are told by; None where that is text, or more than one column."""
        schema, _, name = self.mapping.name_of("events").rpartition(".")
        names = self.mapping.columns_of("events").get("event_ts", ("event_ts",))
        for column in sa.inspect(connection).get_columns(name, schema=schema or None):
            if names == (column["name"],) and isinstance(column["type"], sa.DateTime):
                zoned = bool(column["type"].timezone)
                return sa.column(column["name"], sa.DateTime(timezone=zoned))
        return None


def _tell(opened: Any, statement: str) -> None:
    cursor = opened.cursor()
    cursor.execute(statement)
    cursor.close()
    opened.commit()
