"""`kairos sql`: a read-only look into the platform's PostgreSQL."""

from __future__ import annotations

from typing import Annotated

import typer

_SHOWN_ROWS = 1_000


def sql(
    query: Annotated[str, typer.Argument(help="One statement that returns rows.")],
    as_json: Annotated[bool, typer.Option("--json", help="Every row, as a list of objects.")] = False,
) -> None:
    """Run a read-only query on the platform's Postgres, embedded or not."""
    from features.errors import UsageError
    from flows.commands.output import console, print_json, progress_console, table
    from infra.database import open_database
    from infra.settings import load_settings

    if not query.strip():
        raise UsageError('the query is empty; try kairos sql "select * from kairos.push_batch".')
    settings = load_settings()
    database = open_database(settings)
    database.migrate()
    limit = None if as_json else _SHOWN_ROWS + 1
    columns, rows = database.read_only(query, limit=limit, timeout_seconds=settings.query_timeout_seconds)
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    console().print(table(None, columns, rows[:_SHOWN_ROWS]))
    if len(rows) > _SHOWN_ROWS:
        progress_console().print(f"first {_SHOWN_ROWS:,} rows; add a LIMIT, or --json for all of them")
