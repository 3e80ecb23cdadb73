"""`kairos status`: where everything stands."""

from __future__ import annotations

from typing import Annotated

import typer


def status(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Show data, models, the last gate, plans, drift and what runs."""
    from flows.commands.output import console, print_json, table
    from flows.state import read_state, state_rows
    from flows.wiring import open_stores

    state = read_state(open_stores())
    if as_json:
        print_json(state)
    else:
        console().print(table(None, ("", ""), state_rows(state)))
