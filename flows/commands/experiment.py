"""`kairos experiment`: from a file to a decision, each step with who and why on record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(help="Experiments: launch, approve, look, stop.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="As kairos experiment list shows it.")]
Why = Annotated[str, typer.Option("--why", help="Kept in the record.")]
By = Annotated[str | None, typer.Option("--by", metavar="WHO", help="Kept in the record. Default: you.")]
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of", metavar="TS", help="Nothing at or after it is known. Default: now, or data's end."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


@app.callback()
def experiment() -> None:
    """Experiments: launch, approve, look, stop."""


@app.command()
def launch(
    file: Annotated[Path, typer.Argument(help="Like infra/experiment.toml.example.")],
    by: By = None,
    as_of: AsOf = None,
) -> None:
    """Propose an experiment; refused (exit 3) if it finds nothing or gets in another's way."""
    from flows.commands.output import console, who_am_i
    from flows.experiment_launch import propose
    from flows.wiring import open_stores

    form, stores = _form(file), open_stores()
    found = propose(stores, form, _moment(stores, as_of), by or who_am_i())
    place = found.design["split"]
    console().print(
        f"{found.status}: {found.name}, {place['ends_at'] - place['starts_at']:.1%} of the users from "
        f"{_dates(stores, found)}; {found.words}",
        markup=False,
    )
    if found.status == "proposed":
        console().print(f"next: kairos experiment approve {found.name} --by WHO", markup=False)


@app.command()
def approve(name: Name, by: Annotated[str, typer.Option("--by", metavar="WHO")], why: Why = "") -> None:
    """Let a proposed experiment start on its plan date."""
    from flows.commands.output import console
    from flows.experiment_launch import approve as approve_experiment
    from flows.wiring import open_stores

    stores = open_stores()
    found = approve_experiment(stores, name, by, why)
    words = f"{found.status}: {name}, planned for {_dates(stores, found)}; by {found.approved_by}"
    console().print(words, markup=False)


@app.command()
def estimate(
    file: Annotated[Path, typer.Argument(help="As for launch.")],
    days: Annotated[int, typer.Option("--days", min=1, max=90, help="Past plan dates to replay.")] = 7,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """What its arms would have earned a push, from past plans that chance had a say in; nothing starts."""
    from flows.commands.output import console, print_json, progress_console, table
    from flows.flow_run import run_flow
    from flows.moments import parse_as_of, shop_timezone
    from flows.progress import showing_progress
    from infra.settings import load_settings
    from infra.sources import reality_note

    form, settings = _form(file), load_settings()
    told = {} if as_of is None else {"as_of": parse_as_of(as_of, shop_timezone(settings))}
    entrypoint = "flows.experiment_estimate.estimate_experiment"
    with showing_progress(progress_console()):
        found = run_flow(settings, entrypoint, experiment=form, days=days, **told)
    if as_json:
        print_json(found)
        return
    rows = [("as logged", "mean", f"{found[0]['logged']:.5f}", "")] + [
        (one["arm"], row["method"], f"{row['value']:.5f}", f"{row['low']:.5f}..{row['high']:.5f}")
        for one in found
        for row in one["estimates"]
    ]
    title = "; ".join(filter(None, (f"{found[0]['metric']}, a push", reality_note(settings.source))))
    console().print(table(title, ("arm", "estimate", "value", "95 % interval"), rows))
    for one in found:
        for words in one["words"]:
            console().print(words, markup=False)


@app.command("list")
def list_experiments(as_json: AsJson = False) -> None:
    """Every experiment there was, and where it stands."""
    from flows.commands.output import console, print_json, table
    from flows.wiring import open_stores

    stores = open_stores()
    found = stores.experiments.list_of()
    if as_json:
        print_json([vars(one) for one in found])
        return
    if not found:
        console().print("no experiment yet; see infra/experiment.toml.example")
        return
    rows = [
        (
            *(one.name, one.status, one.owner, *_dates(stores, one).split(" to ")),
            *(" ".join(filter(None, (one.decision, one.winner))), one.hypothesis),
        )
        for one in found
    ]
    names = ("experiment", "state", "owner", "from", "to", "decision", "hypothesis")
    console().print(table(None, names, rows))


@app.command()
def status(name: Name, as_json: AsJson = False) -> None:
    """The experiment, its newest readout in words, and everything that was done to it."""
    from flows.commands.output import console, print_json, table
    from flows.wiring import open_stores
    from infra.sources import reality_note

    stores = open_stores()
    one, readouts, events = (
        stores.experiments.read(name),
        stores.readouts.read(name),
        stores.experiments.events(name),
    )
    if as_json:
        print_json({**vars(one), "readouts": readouts, "events": events})
        return
    out = console()
    if note := reality_note(stores.settings.source):
        out.print(note, markup=False)
    words = f"{name}: {one.status}, {_dates(stores, one)}; {one.words}"
    out.print(words, markup=False)
    if readouts:
        told = readouts[-1]["readout"]
        decided = " ".join(filter(None, (told["decision"], told["winner"])))
        out.print(f"as of {readouts[-1]['as_of']:%Y-%m-%d %H:%M} UTC: {decided}", markup=False)
        for line in (*told["reasons"], told["mismatch"]["words"]):
            out.print(f"  - {line}", markup=False)
        names = ("arm", "plans", "assigned", "found", "pushes", "sent")
        arms = [tuple(arm[name] for name in names) for arm in told["arms"]]
        out.print(table(None, names, arms))
    rows = [(f"{event['at']:%Y-%m-%d %H:%M}", event["what"], event["who"], event["why"]) for event in events]
    out.print(table(None, ("when, UTC", "what", "by", "why"), rows))
    if one.report is not None:
        out.print(one.report, markup=False)


@app.command()
def readout(as_of: AsOf = None) -> None:
    """Judge every running experiment now; what does harm is stopped."""
    from flows.commands.output import console, progress_console
    from flows.flow_run import run_flow
    from flows.moments import parse_as_of, shop_timezone
    from flows.progress import showing_progress
    from infra.settings import load_settings

    settings = load_settings()
    told = {} if as_of is None else {"as_of": parse_as_of(as_of, shop_timezone(settings))}
    with showing_progress(progress_console()):
        found = run_flow(settings, "flows.experiment_readout.readout", **told)
    for name, decision in found.items():
        console().print(f"{name}: {decision}", markup=False)
    if not found:
        console().print("no experiment is running")


@app.command()
def stop(
    name: Name,
    why: Why,
    end: Annotated[
        str | None,
        typer.Option("--as", metavar="END", help="ship or keep. Default: what its plan decided."),
    ] = None,
    extend: Annotated[
        int | None, typer.Option("--extend", metavar="DAYS", help="One more look, instead of an end.")
    ] = None,
    by: By = None,
    as_of: AsOf = None,
) -> None:
    """End an experiment as its plan decided, or prolong it; a winner's model goes through the gate."""
    from features.errors import UsageError
    from flows.commands.output import console, who_am_i
    from flows.experiment_stop import extend_experiment, stop_experiment
    from flows.wiring import open_stores

    if end not in (None, "ship", "keep"):
        raise UsageError(f"--as {end!r}, must be ship or keep; leave it out to do what the plan decided.")
    stores, who = open_stores(), by or who_am_i()
    if extend is not None:
        found = extend_experiment(stores, name, extend, who, why)
        console().print(f"extended: {name}, {_dates(stores, found)}", markup=False)
        return
    found, words = stop_experiment(stores, name, end, _moment(stores, as_of), who, why)  # type: ignore[arg-type]
    decided = " ".join(filter(None, (found.decision, found.winner)))
    console().print(f"{found.status}: {name}, {decided}; {words}", markup=False)
    if found.report is not None:
        console().print(found.report, markup=False)


def _form(file: Path) -> Any:
    from features.errors import UsageError
    from monitoring.experiments.form import read_form

    try:
        return read_form(file.read_text(encoding="utf-8"), file.name)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}; name a file.") from None


def _dates(stores: Any, one: Any) -> str:
    """'FIRST to LAST' as the shop's calendar has them: plan date of the start, and day of the last look."""
    from flows.moments import local_date, shop_timezone

    zone = shop_timezone(stores.settings)
    return f"{local_date(one.starts_at, zone)} to {local_date(one.ends_at, zone)}"


def _moment(stores: Any, text: str | None) -> Any:
    from flows.materialize import resolved_as_of
    from flows.moments import parse_as_of, shop_timezone

    return resolved_as_of(stores, None if text is None else parse_as_of(text, shop_timezone(stores.settings)))
