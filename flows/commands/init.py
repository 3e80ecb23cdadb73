"""`kairos init`: a configuration to edit."""

from __future__ import annotations

from typing import Annotated

import typer


def init(
    source: Annotated[
        str | None, typer.Option("--source", help="parquet:DIR, sql:URL or complete-journey.")
    ] = None,
    timezone: Annotated[
        str | None, typer.Option("--timezone", help="IANA zone of the shop, such as Europe/Berlin.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a kairos.toml that is there.")] = False,
) -> None:
    """Write a commented kairos.toml here: source, your names of columns, zones, policy, routes."""
    from pathlib import Path

    from features.calendar import zone_named
    from flows.commands.output import console
    from infra.first_configuration import write_configuration
    from infra.sources import open_source

    if source is not None:
        open_source(source)
    if timezone is not None:
        zone_named(timezone)
    written = write_configuration(Path.cwd(), source, timezone, force=force)
    console().print(f"wrote {written}", soft_wrap=True)
    console().print("next: edit it, then kairos check-data, then kairos cycle")
