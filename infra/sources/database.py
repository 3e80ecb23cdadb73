"""Four tables of somebody's database, read in chunks through SQLAlchemy and never written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from features.contracts import CONTRACTS
from features.errors import KairosError, UsageError
from features.scene_names import scene_names
from infra.shown_url import shown_url

_CHUNK_ROWS = 100_000
_REQUIRED = ("events", "items")


class DatabaseSource:
    """The tables or views `events`, `users`, `items` and `promotions` of any database SQLAlchemy can reach.

    Rows are read by key, with a server-side cursor, inside one transaction that is rolled back.
    """

    def __init__(self, url: str, default_timezone: str = "UTC") -> None:
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
        self.name = f"sql:{shown_url(parsed)}"
        self.default_timezone = default_timezone

    def fingerprint(self) -> str:
        """Empty: a changed row, a withdrawn consent above all, shows only when everything is read."""
        return ""

    def notes(self) -> tuple[str, ...]:
        """Nothing is decided here."""
        return ()

    def read(self, table: str) -> Iterator[pd.DataFrame]:
        """Chunks of a table ordered by its key; only contract columns are selected,
        and what stands for a part of a scene that the table does not name (see `features.scene_names`).

        Raises:
            KairosError: The database cannot be read, or has no such required table.
            ContractError: A required column is missing.
        """
        contract = CONTRACTS[table]
        try:
            with self._engine.connect() as connection:
                inspector = sa.inspect(connection)
                if not inspector.has_table(table):
                    if table in _REQUIRED:
                        raise KairosError(
                            f"source {self.name}: found no table {table}; create a table or view so named."
                        )
                    return
                names = [column["name"] for column in inspector.get_columns(table)]
                contract.check_file(dict.fromkeys(names, "object"))
                known = [*contract.column_names, *scene_names(names, contract.column_names)]
                wanted: list[sa.ColumnClause[Any]] = [sa.column(name) for name in known if name in names]
                query = sa.select(*wanted).select_from(sa.table(table)).order_by(sa.column(contract.key))
                result = connection.execution_options(stream_results=True, yield_per=_CHUNK_ROWS).execute(
                    query
                )
                for rows in result.partitions():
                    yield pd.DataFrame(
                        [tuple(row) for row in rows], columns=list(result.keys()), dtype=object
                    )
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise KairosError(
                f"source {self.name}: cannot read {table} ({reason}); check address, rights and that it runs."
            ) from error
