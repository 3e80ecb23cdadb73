"""`kairos plan`: the published plan; one command back, a yes to an unusually large one, or out as a file."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="The published plan: roll back, approve a large one, export.", no_args_is_help=True)

PlanDate = Annotated[
    str | None, typer.Option("--date", metavar="DATE", help="Plan date. Default: the newest plan.")
]


class Format(StrEnum):
    """What an export may be."""

    CSV = "csv"
    PARQUET = "parquet"


@app.callback()
def plan() -> None:
    """The published plan: roll back, approve a large one, export."""


@app.command()
def rollback(day: PlanDate = None) -> None:
    """Bring back the plan that was live before the present one; refused (exit 3) when there is none."""
    from flows.commands.output import console
    from flows.moments import parse_date
    from flows.plans import newest_plan_date
    from flows.wiring import open_stores

    plan_date = None if day is None else parse_date(day, "--date")
    stores = open_stores()
    batch = stores.plans.rollback(plan_date or newest_plan_date(stores))
    console().print(f"live for {batch.plan_date}: batch {batch.batch_id}, {batch.rows:,} pushes")


@app.command()
def approve(
    day: Annotated[str, typer.Option("--date", metavar="DATE", help="Plan date.")],
    pushes: Annotated[int, typer.Option("--pushes", min=1, help="At most so many pushes.")],
    why: Annotated[str, typer.Option("--why", help="Kept in the record.")],
) -> None:
    """Say yes to a plan that is larger than usual; the next kairos score publishes it."""
    from flows.commands.output import console, who_am_i
    from flows.moments import parse_date
    from flows.wiring import open_stores
    from infra.plan_sizes import SizeApproval

    approval = SizeApproval(parse_date(day, "--date"), pushes, who_am_i(), why)
    open_stores().sizes.approve(approval)
    console().print(
        f"approved by {approval.who}: up to {pushes:,} pushes for {day}; kairos score publishes them."
    )


@app.command()
def export(
    kind: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.CSV,
    day: PlanDate = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Default: KAIROS_HOME/exports/plan-DATE.")
    ] = None,
    timezone: Annotated[
        str | None,
        typer.Option("--timezone", metavar="ZONE", help="The account's IANA zone. Default: the shop's."),
    ] = None,
) -> None:
    """Write the live plan for a platform that sends by itself: user, push, item and when; no holdout."""
    from features.calendar import zone_named
    from flows.commands.output import console
    from flows.moments import parse_date, shop_timezone
    from flows.plan_export import export_plan
    from flows.plans import newest_plan_date
    from flows.wiring import open_stores
    from infra.sources import reality_note

    plan_date = None if day is None else parse_date(day, "--date")
    if timezone is not None:
        zone_named(timezone)
    stores = open_stores()
    account = timezone or shop_timezone(stores.settings)
    path, rows = export_plan(stores, plan_date or newest_plan_date(stores), account, kind.value, out)
    note = reality_note(stores.settings.source)
    console().print(f"{path}: {rows:,} pushes{f' ({note})' if note else ''}")
