"""`kairos why`: one user's plan and every push that was held back."""

from __future__ import annotations

from typing import Annotated

import typer


def why(
    user: Annotated[str, typer.Argument(help="user_id")],
    day: Annotated[
        str | None, typer.Option("--date", metavar="DATE", help="Plan date. Default: the newest plan.")
    ] = None,
) -> None:
    """Say in words what a user is sent, why, and what was held back."""
    from features.errors import UsageError
    from flows.commands.output import console
    from flows.moments import parse_date
    from flows.plan_words import plan_in_words
    from flows.plans import newest_plan_date, read_user_plan
    from flows.wiring import open_stores
    from infra.sources import reality_note

    plan_date = None if day is None else parse_date(day, "--date")
    stores = open_stores()
    plan_date = plan_date or newest_plan_date(stores)
    if stores.plans.live_batch(plan_date) is None:
        raise UsageError(f"no plan for {plan_date}; kairos status shows the plans there are.")
    plan = read_user_plan(stores, user, plan_date)
    if plan.pushes.empty and plan.suppressions.empty:
        raise UsageError(f"user {user!r} is not in the plan for {plan_date}; check the user_id.")
    if note := reality_note(stores.settings.source):
        console().print(note, markup=False)
    for line in plan_in_words(plan, ledger_lines=len(plan.suppressions)):
        console().print(line, markup=False, soft_wrap=True)
