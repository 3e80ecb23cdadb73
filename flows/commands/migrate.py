"""`kairos migrate`: the schema brought up to date, by whoever may."""

from __future__ import annotations

from typing import Annotated

import typer


def migrate(
    roles: Annotated[
        bool,
        typer.Option("--roles", help="First make the database roles of least privilege; as a superuser."),
    ] = False,
) -> None:
    """Bring the database's schema up to date, and give each database role its rights on it."""
    from flows.commands.output import console
    from infra.database import open_database
    from infra.database_roles import create_roles, grant_rights
    from infra.settings import load_settings

    database = open_database(load_settings())
    if roles:
        create_roles(database)
    revision = database.migrate()
    words = "each role has its rights" if grant_rights(database) else "no rights were given, see --roles"
    console().print(f"schema at revision {revision}; {words}")
