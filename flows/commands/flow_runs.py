"""`kairos ingest`, `materialize`, `backfill`, `train`, `score`, `monitor`, `cycle`: one flow now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="TS",
        help="Nothing at or after it is known: UTC time, or local date. Default: now, or the data's end.",
    ),
]
PlanDate = Annotated[
    str | None,
    typer.Option("--plan-date", metavar="DATE", help="The local day to plan. Default: the day of --as-of."),
]


def ingest(
    as_of: AsOf = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="Every event, also where ingest_overlap_hours is set.")
    ] = False,
) -> None:
    """Read the source into the event lake: accept, or quarantine with a reason."""
    _run("flows.ingest.ingest", as_of, whole=whole or None)


def materialize(as_of: AsOf = None) -> None:
    """Build the feature tables and fill the online store."""
    _run("flows.materialize.materialize", as_of)


def backfill(
    start: Annotated[
        str, typer.Option("--from", metavar="DATE", help="First UTC day whose events are counted anew.")
    ],
    end: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="DATE",
            help="Last day that changed; later days are counted as well, as they follow.",
        ),
    ] = None,
) -> None:
    """Count features anew from a day on, for events that came too late to be noticed."""
    _run("flows.backfill.backfill", None, days={"--from": start, "--to": end})


def train(as_of: AsOf = None) -> None:
    """Train a ranker and a timing model, and measure them against the baselines."""
    _run("flows.train.train", as_of)


def score(
    as_of: AsOf = None,
    plan_date: PlanDate = None,
    despite_quality: Annotated[
        str | None,
        typer.Option("--despite-quality", metavar="WHY", help="Plan although data quality failed; recorded."),
    ] = None,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who says so. Default: you.")] = "",
) -> None:
    """Score every candidate for one day and publish the champion's plan."""
    from flows.commands.output import who_am_i
    from infra.overrides import Override

    despite = None if despite_quality is None else (by or who_am_i(), despite_quality)
    if despite is not None:
        Override("quality", "", "", *despite).require_words()
    _run("flows.score.score", as_of, plan_date, despite_quality=despite)


def monitor(as_of: AsOf = None, plan_date: PlanDate = None) -> None:
    """Compare what was scored with what was trained on, and write the drift report."""
    _run("flows.monitor.monitor", as_of, plan_date)


def cycle(as_of: AsOf = None, plan_date: PlanDate = None) -> None:
    """Do all of it in order: from events to a published plan, if the gate says yes."""
    from flows.commands.output import console
    from flows.summary import CycleSummary, render_summary

    summary = _run("flows.cycle.cycle", as_of, plan_date)
    assert isinstance(summary, CycleSummary)
    console().print(render_summary(summary, "kairos cycle"))
    summary.raise_if_refused()


COMMANDS = (ingest, materialize, backfill, train, score, monitor, cycle)


def _run(
    entrypoint: str,
    as_of: str | None,
    plan_date: str | None = None,
    days: Mapping[str, str | None] | None = None,
    **others: Any,
) -> Any:
    """The flow's result, with what was typed read before anything starts."""
    from flows.commands.output import progress_console
    from flows.flow_run import run_flow
    from flows.moments import parse_as_of, parse_date, shop_timezone
    from flows.progress import showing_progress
    from infra.settings import load_settings

    settings = load_settings()
    parameters: dict[str, Any] = {name: value for name, value in others.items() if value is not None}
    if as_of is not None:
        parameters["as_of"] = parse_as_of(as_of, shop_timezone(settings))
    if plan_date is not None:
        parameters["plan_date"] = parse_date(plan_date, "--plan-date")
    for option, name in (("--from", "start"), ("--to", "end")):
        if days is not None and (day := days[option]) is not None:
            parameters[name] = parse_date(day, option)
    with showing_progress(progress_console()):
        return run_flow(settings, entrypoint, **parameters)
