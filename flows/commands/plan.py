"""`kairos plan`: the published plan; one command back."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="The published plan: roll back.", no_args_is_help=True)


@app.callback()
def plan() -> None:
    """The published plan: roll back."""


@app.command()
def rollback(
    day: Annotated[
        str | None, typer.Option("--date", metavar="DATE", help="Plan date. Default: the newest plan.")
    ] = None,
) -> None:
    """Bring back the plan that was live before the present one; refused (exit 3) when there is none."""
    from flows.commands.output import console
    from flows.moments import parse_date
    from flows.plans import newest_plan_date
    from flows.wiring import open_stores

    plan_date = None if day is None else parse_date(day, "--date")
    stores = open_stores()
    batch = stores.plans.rollback(plan_date or newest_plan_date(stores))
    console().print(f"live for {batch.plan_date}: batch {batch.batch_id}, {batch.rows:,} pushes")
