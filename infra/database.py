"""The one door to PostgreSQL: opens it, migrates it, reads it without being able to write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, cast

import psycopg
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, ProgrammingError

from features.errors import KairosError, UsageError
from infra.database_errors import database_error, place, primary_message, query_error
from infra.settings import Settings
from infra.shown_url import shown_url
from infra.tables import BATCHES_SCHEMA, SCHEMA

MIGRATIONS_DIR = Path(__file__).parent / "migrations"
OLDEST_SERVER = 15

_MIGRATION_LOCK = 0x6B61_6972_6F73  # "kairos", in the database's table of advisory locks


@dataclass(frozen=True)
class Database:
    """An opened PostgreSQL.

    Attributes:
        engine: SQLAlchemy engine; sessions speak UTC.
        url: With its password, for libraries that connect by themselves; never printed.
    """

    engine: Engine = field(repr=False)
    url: str = field(repr=False)

    def __repr__(self) -> str:
        return f"Database({shown_url(self.engine.url)})"

    def close(self) -> None:
        """Nothing; gives all connections back."""
        self.engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection whose work is committed whole at the end, or not at all.

        Raises:
            KairosError: The connection was lost, or the server could not do its work (disk, memory).
        """
        try:
            with self.engine.begin() as connection:
                yield connection
        except (OperationalError, InterfaceError) as error:
            raise database_error(error.orig, self.engine.url) from None

    @contextmanager
    def session(self) -> Iterator[psycopg.Connection]:
        """A psycopg connection of its own in autocommit mode, closed at the end with all its locks.

        Raises:
            KairosError: As `transaction`.
        """
        try:
            pooled = self.engine.raw_connection()
            connection = cast(psycopg.Connection, pooled.driver_connection)
            try:
                connection.autocommit = True
                yield connection
            finally:
                connection.close()
                pooled.invalidate()
        except (OperationalError, InterfaceError) as error:
            raise database_error(error.orig, self.engine.url) from None
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise database_error(error, self.engine.url) from None

    def migrate(self) -> str:
        """The schema's revision, which is the newest this Kairos knows; safe in several processes at once.

        Raises:
            KairosError: A newer Kairos has migrated this database already.
        """
        known = known_revisions()
        found = self.revision()
        if found == known[-1]:
            return found  # the common case; importing Alembic takes most of a second
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS_DIR).replace("%", "%%"))
        with self.transaction() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            found = _revision(connection)
            if found is not None and found not in known:
                raise KairosError(
                    f"schema {SCHEMA} is at revision {found}, newer than this Kairos's {known[-1]}; "
                    "upgrade Kairos."
                )
            if found == known[-1]:
                return found  # another process was here first
            _create_schemas(connection)
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except ProgrammingError as error:
                if not isinstance(error.orig, psycopg.errors.InsufficientPrivilege):
                    raise
                raise KairosError(
                    f"schema {SCHEMA} is at revision {found or 'none'}, this Kairos needs {known[-1]}, and "
                    f"{self.engine.url.username} may not change it; run kairos migrate as its owner."
                ) from None
        return known[-1]

    def revision(self) -> str | None:
        """The schema's revision; None before the first migration."""
        with self.transaction() as connection:
            return _revision(connection)

    def read_only(
        self, query: str, limit: int | None = None, timeout_seconds: float = 30.0
    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Column names and rows of one SQL query that cannot change anything.

        The query runs alone (one statement), in a read-only transaction and, where we are a superuser, with
        the rights to read tables only: no files, no programs.

        Args:
            query: One statement that returns rows.
            limit: At most so many rows are read; None reads all.
            timeout_seconds: Longest run time.

        Raises:
            UsageError: It would write, is wrong SQL, or runs too long; one line.
        """
        rows: list[tuple[Any, ...]] = []
        with self.session() as session:
            session.execute("BEGIN READ ONLY")  # never committed: the session ends with the query
            milliseconds = f"{timeout_seconds * 1000:.0f}"
            session.execute("SELECT set_config('statement_timeout', %s, true)", [milliseconds])
            if session.info.parameter_status("is_superuser") == "on":
                session.execute("SET LOCAL ROLE pg_read_all_data")
            cursor = session.cursor()
            try:
                # Streaming uses the extended protocol, which refuses a second statement such as `; COMMIT`.
                rows.extend(islice(cursor.stream(query), limit))
                if cursor.description is None:  # no row, so streaming has seen no names either
                    cursor.execute(query, binary=True)
            except psycopg.Error as error:
                raise query_error(error, timeout_seconds) from None
            return tuple(column.name for column in cursor.description or ()), rows


def open_database(settings: Settings) -> Database:
    """The database of these settings, answering: embedded unless `database_url` is set. Not migrated.

    Raises:
        KairosError: It cannot be reached or refuses us; one line with the fix, never with the password.
    """
    if settings.database_url is not None:
        return connect(settings.database_url.get_secret_value(), settings.connect_timeout_seconds)
    from infra.embedded_postgres import start_embedded

    return connect(start_embedded(settings.home), settings.connect_timeout_seconds)


def connect(url: str, timeout_seconds: int = 10) -> Database:
    """The database at `url` (spelled `postgresql+psycopg://`), answering.

    Raises:
        KairosError: As `open_database`.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # their texts quote parts of the URL
        raise UsageError(
            "KAIROS_DATABASE_URL is no URL; write postgresql://USER:PASSWORD@HOST:5432/NAME, "
            "with %40 for an @ in the password."
        ) from None
    timeout = {} if "connect_timeout" in parsed.query else {"connect_timeout": timeout_seconds}
    # Prepared statements are off because connection poolers lose them.
    arguments = {"application_name": "kairos", "prepare_threshold": None, **timeout}
    engine = create_engine(parsed, pool_pre_ping=True, connect_args=arguments)
    event.listen(engine, "connect", _speak_utc)
    database = Database(engine, url)
    with database.session() as session:
        major = session.info.server_version // 10_000
    if major < OLDEST_SERVER:
        raise KairosError(
            f"{place(parsed)} is version {major}, Kairos needs {OLDEST_SERVER} or newer; "
            "upgrade it or point KAIROS_DATABASE_URL elsewhere."
        )
    return database


def known_revisions() -> list[str]:
    """The revisions this Kairos can migrate to, oldest first."""
    return sorted(path.name.partition("_")[0] for path in (MIGRATIONS_DIR / "versions").glob("[0-9]*_*.py"))


def _speak_utc(connection: psycopg.Connection, _: Any) -> None:
    connection.execute("SET TIME ZONE 'UTC'")
    connection.commit()


def _create_schemas(connection: Connection) -> None:
    """Nothing; a role that may not create schemas finds them there when their owner made them."""
    exists = text("SELECT 1 FROM pg_namespace WHERE nspname = :name")
    for schema in (SCHEMA, BATCHES_SCHEMA):
        if connection.execute(exists, {"name": schema}).scalar() is not None:
            continue
        try:
            connection.execute(text(f"CREATE SCHEMA {schema}"))
        except DBAPIError as error:
            url = connection.engine.url
            raise KairosError(
                f"cannot create schema {schema} in {place(url)}: {primary_message(error.orig)}; "
                f"let its owner run CREATE SCHEMA {schema} AUTHORIZATION {url.username}."
            ) from None


def _revision(connection: Connection) -> str | None:
    exists = connection.execute(text("SELECT to_regclass(:name)"), {"name": f"{SCHEMA}.alembic_version"})
    if exists.scalar() is None:
        return None
    return connection.execute(text(f"SELECT max(version_num) FROM {SCHEMA}.alembic_version")).scalar()
