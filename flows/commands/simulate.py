"""`kairos simulate`: days of the simulated market, from plan to answers and back."""

from __future__ import annotations

from typing import Annotated

import typer


def simulate(
    days: Annotated[int, typer.Option("--days", min=1, max=365, help="How many days to live.")] = 1,
    start: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="DATE", help="First day; an earlier one is lived again. Default: the next."
        ),
    ] = None,
) -> None:
    """Live days of the simulated market: plan, send, be answered, learn. For KAIROS_SOURCE=simulated."""
    from flows.commands.output import console, progress_console, table
    from flows.flow_run import run_flow
    from flows.moments import parse_date
    from flows.progress import showing_progress
    from flows.simulation_days import COLUMNS, outcome_rows
    from infra.settings import load_settings
    from infra.sources import SIMULATED_NOTE, open_market

    settings = load_settings()
    diary = open_market(settings.source, settings.home).diary
    first = None if start is None else parse_date(start, "--from")
    diary.check_next(first or diary.today)  # before anything starts
    with showing_progress(progress_console()):
        outcomes = run_flow(settings, "flows.simulation.simulate", days=days, start=first)
    console().print(table(f"{SIMULATED_NOTE}; a row a day", COLUMNS, outcome_rows(outcomes)))
