"""`kairos push`: stop pushes that are planned already, and let them go again; who and why are on record."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

app = typer.Typer(
    help="Stop and resume pushes at once; record a withdrawal of consent.", no_args_is_help=True
)

Scope = Annotated[
    str,
    typer.Option(
        "--scope",
        metavar="SCOPE",
        help="all, channel:NAME, category:'food > dairy', campaign:EXPERIMENT or item:ITEM_ID.",
    ),
]
Why = Annotated[str, typer.Option("--why", help="Kept in the record.")]
User = Annotated[str, typer.Argument(help="user_id")]


@app.callback()
def push() -> None:
    """Stop and resume pushes at once; record a withdrawal of consent."""


@app.command()
def stop(why: Why, scope: Scope = "all") -> None:
    """Stop planned pushes from now on, and plan none, until kairos push resume."""
    from flows.alerts import raise_alert
    from flows.commands.output import console, who_am_i
    from flows.wiring import open_stores
    from infra.push_stops import parse_scope
    from monitoring.alert_words import AlertFacts

    kind, target = parse_scope(scope)
    stores = open_stores()
    new = stores.stops.stop(kind, target, who_am_i(), why)
    _mirror_items(stores)
    held = next(on for on in stores.stops.active() if (on.scope, on.target) == (kind, target))
    raise_alert(
        stores, "pushes_stopped", AlertFacts(f"by {held.who}: {held.why}", done="none are sent"), held.name
    )
    words = "stopped" if new else "stopped already"
    console().print(
        f"{words}: {held.name}, by {held.who} since {held.since:%Y-%m-%d %H:%M} UTC: {held.why}", markup=False
    )


@app.command()
def resume(why: Why, scope: Scope = "all") -> None:
    """Let pushes go again; refused (exit 3) when they are not stopped. What is late by now expires."""
    from flows.alerts import recovered
    from flows.commands.output import console, who_am_i
    from flows.wiring import open_stores
    from infra.push_stops import Stop, parse_scope

    kind, target = parse_scope(scope)
    stores, me = open_stores(), who_am_i()
    stores.stops.resume(kind, target, me, why)
    _mirror_items(stores)
    recovered(stores, "pushes_stopped", Stop(kind, target, me, why, datetime.now(UTC)).name)
    left = ", ".join(on.name for on in stores.stops.active()) or "nothing"
    words = f"resumed: {scope}; still stopped: {left}; what was planned meanwhile kairos score plans anew"
    console().print(words, markup=False)


@app.command()
def withdraw(user: User, why: Why) -> None:
    """Record that a user takes consent back: no push from now on, planned ones included."""
    from flows.commands.output import console, who_am_i
    from flows.wiring import open_stores

    new = open_stores().stops.withdraw(user, who_am_i(), why)
    console().print(f"user {user} {'gets' if new else 'already got'} no push any more", markup=False)


@app.command()
def restore(user: User, why: Why) -> None:
    """Undo kairos push withdraw; refused (exit 3) where the user's own events or row say no."""
    from flows.commands.output import console, who_am_i
    from flows.wiring import open_stores

    open_stores().stops.restore(user, who_am_i(), why)
    console().print(f"user {user} may be pushed again, as far as the data says so", markup=False)


def _mirror_items(stores: object) -> None:
    from flows.push_stops import mirror_items
    from flows.wiring import Stores

    assert isinstance(stores, Stores)
    mirror_items(stores)
