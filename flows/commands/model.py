"""`kairos model`: the registry; one command forward, one command back."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="The models: list, promote, roll back.", no_args_is_help=True)


@app.command("list")
def list_versions(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Every model version, newest first, and who is champion."""
    from flows.commands.output import console, print_json, table
    from flows.wiring import open_stores

    stores = open_stores()
    versions, rollout = stores.registry.list_versions(), stores.rollouts.current()
    stage = {} if rollout is None else {rollout.version: rollout.stage}
    if as_json:
        print_json([vars(version) | {"stage": stage.get(version.version)} for version in versions])
        return
    if not versions:
        console().print("no model yet; run kairos demo.")
        return
    rows = [
        (
            version.version,
            ", ".join(version.aliases),
            stage.get(version.version, ""),
            version.status,
            f"{version.created_at:%Y-%m-%d %H:%M}",
        )
        for version in versions
    ]
    console().print(table(None, ("version", "alias", "stage", "status", "registered (UTC)"), rows))


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="As kairos model list shows it.")],
    why: Annotated[str, typer.Option("--why", help="Kept in the record.")] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Although the gate said no, or nothing; needs --why.")
    ] = False,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who says so. Default: you.")] = "",
) -> None:
    """Make a version champion; refused (exit 3) unless the gate said yes to it."""
    from features.errors import RefusedError
    from flows.commands.output import console, who_am_i
    from flows.wiring import open_stores
    from infra.overrides import Override

    registry, who = open_stores().registry, by or who_am_i()
    registry.read(version)
    gate = registry.latest_gate(version)
    if gate is not None and gate["promote"]:
        event = registry.move_alias("champion", version, who, why or "by hand")
    else:
        said = "never looked at it" if gate is None else f"said no: {'; '.join(gate['reasons'])}"
        if not force:
            raise RefusedError(f"the gate {said}; add --force to promote {version} all the same.")
        event = registry.promote_despite(Override("model", version, f"the gate {said}", who, why))
    console().print(f"champion: {event.to_version} (before: {event.from_version or 'none'})")


@app.command()
def rollback(why: Annotated[str, typer.Option("--why", help="Kept in the record.")] = "rolled back") -> None:
    """Give the champion's place, and the plans not sent yet, back to the version that had it before."""
    from flows.commands.output import console, who_am_i
    from flows.plans import first_open_date
    from flows.wiring import open_stores
    from infra.model_rollback import roll_back_model

    stores = open_stores()
    done = roll_back_model(stores.database, first_open_date(stores), who_am_i(), why)
    console().print(f"champion: {done.event.to_version} (before: {done.event.from_version})")
    for plan_date, batch_id in done.plans:
        again = f"batch {batch_id} is live again" if batch_id else "no plan of it; kairos score makes one"
        console().print(f"plan {plan_date}: {again}")


@app.command()
def withdraw(why: Annotated[str, typer.Option("--why", help="Kept in the record.")]) -> None:
    """End the stages of the challenger that is in shadow or canary; kairos score plans without it."""
    from datetime import UTC, datetime

    from features.errors import RefusedError
    from flows.commands.output import console, who_am_i
    from flows.wiring import open_stores

    rollouts = open_stores().rollouts
    rollout = rollouts.current()
    if rollout is None:
        raise RefusedError("no challenger is in shadow or canary; kairos model list shows the versions.")
    rollouts.end(rollout, "withdrawn", datetime.now(UTC), who_am_i(), why)
    console().print(f"{rollout.version} left {rollout.stage}; {rollout.champion} plans for everybody")
