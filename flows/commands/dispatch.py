"""`kairos dispatch`: due pushes go to the gateway."""

from __future__ import annotations

from typing import Annotated

import typer


def dispatch(
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", metavar="TS", help="As if it were then: UTC, or local date. Default: now."),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on until stopped: pushes go out as they become due.")
    ] = False,
) -> None:
    """Hand the pushes that are due to the gateway, each once; late ones expire. Several may run at once."""
    from flows.commands.output import console
    from flows.dispatch import dispatch_due
    from flows.moments import parse_as_of, shop_timezone
    from flows.wiring import open_stores
    from infra.gateway import open_gateway
    from infra.settings import load_settings

    settings = load_settings()
    gateway = open_gateway(settings)
    now = None if as_of is None else parse_as_of(as_of, shop_timezone(settings))
    counts = dispatch_due(open_stores(settings), now, gateway, watch)
    words = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    console().print(words or "nothing is due")
