"""Least privilege in PostgreSQL: the roles, and the rights each has on the tables there are."""

from __future__ import annotations

from pathlib import Path

import psycopg

from features.errors import KairosError
from infra.database import Database
from infra.database_errors import place, primary_message

ROLES_FILE = Path(__file__).with_name("database_roles.sql")
GRANTS_FILE = Path(__file__).with_name("database_grants.sql")
ROLES = ("kairos_migrator", "kairos_worker", "kairos_dispatcher", "kairos_gateway", "kairos_analyst")


def create_roles(database: Database) -> None:
    """Nothing; the roles and the schemas they own are there. For an administrator; safe to repeat."""
    _run(database, ROLES_FILE)


def has_roles(database: Database) -> bool:
    """Whether all roles are there."""
    with database.session() as session:
        found = session.execute("SELECT count(*) FROM pg_roles WHERE rolname = ANY(%s)", [list(ROLES)])
        return found.fetchone() == (len(ROLES),)


def grant_rights(database: Database) -> bool:
    """Whether each role has its rights on every table now; not without roles, nor where we may give none."""
    asked = (
        "SELECT count(*), coalesce(bool_or(rolname = %s AND pg_has_role(oid, 'USAGE')), false) "
        "FROM pg_roles WHERE rolname = ANY(%s)"
    )
    with database.session() as session:
        there = session.execute(asked, [ROLES[0], list(ROLES)]).fetchone()
    if there != (len(ROLES), True):
        return False
    _run(database, GRANTS_FILE)
    return True


def _run(database: Database, file: Path) -> None:
    """Nothing; all of the file's statements are done, or none.

    Raises:
        KairosError: This login may not.
    """
    try:
        with database.session() as session, session.transaction():
            session.execute(file.read_text(encoding="utf-8"))
    except psycopg.errors.InsufficientPrivilege as error:
        raise KairosError(
            f"{place(database.engine.url)} refuses {file.name}: {primary_message(error)}; run it as a "
            "superuser, or as a login that works as kairos_migrator."
        ) from None
