"""`kairos health`: what a container's probe runs."""

from __future__ import annotations

from typing import Annotated

import typer


def health(
    parts: Annotated[
        list[str] | None,
        typer.Argument(help="database, prefect, home, or an http:// address; the first three by default."),
    ] = None,
) -> None:
    """Say whether each part answers: exit 0 if all do, 1 if one does not. Starts and changes nothing."""
    from features.errors import KairosError, UsageError
    from flows.commands.output import console, table
    from flows.probes import PARTS, probe
    from infra.settings import load_settings

    settings = load_settings()
    rows: list[tuple[str, str, str]] = []
    failed: list[str] = []
    for part in parts or PARTS:
        try:
            rows.append((part, "ok", probe(settings, part)))
        except UsageError:
            raise
        except KairosError as error:
            failed.append(str(error))
            rows.append((part, "WRONG", str(error)))
    console().print(table(None, ("part", "", ""), rows))
    if failed:
        raise KairosError(f"{len(failed)} of {len(rows)} not well: {failed[0]}")
