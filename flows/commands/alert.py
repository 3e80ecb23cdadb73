"""`kairos alert`: what is wrong now, who looks after it, and whether alerts arrive at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

app = typer.Typer(help="Alerts: list, acknowledge, resolve, mute, test.", no_args_is_help=True)

By = Annotated[str | None, typer.Option("--by", metavar="WHO", help="Kept in the record. Default: you.")]
Key = Annotated[str, typer.Argument(help="Its number or key, as kairos alert list shows them.")]
Kind = Annotated[str, typer.Option("--kind", metavar="KIND", help="Only this kind. Default: any.")]
OwnerOption = Annotated[
    str, typer.Option("--owner", metavar="OWNER", help="Only platform, data, models or crm. Default: any.")
]


@app.callback()
def alert() -> None:
    """Alerts: list, acknowledge, resolve, mute, test."""


@app.command("list")
def list_alerts(
    everything: Annotated[bool, typer.Option("--all", help="Those that are over as well.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show what is wrong now, the newest first."""
    from flows.commands.output import console, print_json, table
    from flows.wiring import open_stores

    alerts = open_stores().alerts
    found = alerts.read(unresolved_only=not everything)
    if as_json:
        print_json([dict(one.row) for one in found])
        return
    rows = [
        (
            str(one.number),
            one.row["severity"],
            one.row["status"] + (f" by {one.row['acknowledged_by']}" if _is_held(one.row) else ""),
            one.row["title"],
            one.row["details"].get("how_bad", ""),
            f"{one.row['first_seen']:%Y-%m-%d %H:%M}",
            str(one.row["count"]),
            one.row["runbook"] or "",
        )
        for one in found
    ]
    if rows:
        names = ("", "severity", "status", "what", "how bad", "since, UTC", "seen", "runbook")
        console().print(table(None, names, rows))
    else:
        console().print("no alert is open" if not everything else "there was never an alert")
    for mute in alerts.mutes(datetime.now(UTC)):
        what = " ".join(name for name in (mute["kind"], mute["owner"]) if name) or "everything"
        words = f"muted: {what} until {mute['ends_at']:%Y-%m-%d %H:%M} UTC, by {mute['who']}: {mute['why']}"
        console().print(words, markup=False)


def _is_held(row: object) -> bool:
    assert isinstance(row, dict)
    return bool(row["status"] == "acknowledged")


@app.command()
def ack(key: Key, by: By = None) -> None:
    """Say that you look after an alert: no more reminders; refused (exit 3) when it is not open."""
    from flows.alerts import tell
    from flows.commands.output import console, who_am_i
    from flows.wiring import open_stores

    stores, now = open_stores(), datetime.now(UTC)
    one = stores.alerts.acknowledge(key, now, by or who_am_i())
    tell(stores, now)
    console().print(f"acknowledged by {one.row['acknowledged_by']}: {one.row['title']}", markup=False)


@app.command()
def resolve(key: Key, by: By = None) -> None:
    """Say that an alert is over; it opens again by itself when it is seen again."""
    from flows.alerts import tell
    from flows.commands.output import console, who_am_i
    from flows.wiring import open_stores

    stores, now = open_stores(), datetime.now(UTC)
    one = stores.alerts.resolve(key, now, by or who_am_i())
    tell(stores, now)
    console().print(f"resolved by {one.row['resolved_by']}: {one.row['title']}", markup=False)


@app.command()
def mute(
    hours: Annotated[float, typer.Option("--hours", min=0.01, max=24 * 14, help="From now on.")],
    why: Annotated[str, typer.Option("--why", help="Kept in the record.")],
    kind: Kind = "",
    owner: OwnerOption = "",
) -> None:
    """Begin a maintenance window: alerts are kept on record, and told after it if they are still open."""
    from features.errors import UsageError
    from flows.commands.output import console, who_am_i
    from flows.wiring import open_stores
    from monitoring.alert_kinds import OWNERS, kind_named

    if kind:
        kind_named(kind)
    if owner and owner not in OWNERS:
        raise UsageError(f"--owner {owner!r} must be one of {', '.join(OWNERS)}.")
    now = datetime.now(UTC)
    ends_at = now + timedelta(hours=hours)
    open_stores().alerts.mute(now, ends_at, kind, owner, who_am_i(), why)
    console().print(f"muted until {ends_at:%Y-%m-%d %H:%M} UTC; kairos alert unmute ends it")


@app.command()
def unmute() -> None:
    """End every maintenance window now, and tell what is still open."""
    from flows.alerts import tell
    from flows.commands.output import console
    from flows.wiring import open_stores

    stores, now = open_stores(), datetime.now(UTC)
    ended = stores.alerts.unmute(now)
    told = tell(stores, now)
    console().print(f"{ended} maintenance windows ended, {told.notices} notices were due")


@app.command()
def test(
    severity: Annotated[
        str, typer.Option("--severity", help="critical, error, warning or info.")
    ] = "critical",
) -> None:
    """Send one test alert by every route that takes this severity, then resolve it; exit 1 if one fails."""
    from features.errors import KairosError, UsageError
    from flows.alert_test import try_routes
    from flows.commands.output import console, table
    from flows.wiring import open_stores
    from monitoring.alert_kinds import SEVERITIES

    found = next((one for one in SEVERITIES if one == severity), None)
    if found is None:
        raise UsageError(f"--severity {severity!r} must be one of {', '.join(SEVERITIES)}.")
    tried = try_routes(open_stores().settings, found, datetime.now(UTC))
    if not tried:
        raise UsageError(
            f"no route takes {severity} alerts; set KAIROS_ALERT_ROUTES, such as "
            "critical,error=pagerduty://KEY *=file:alerts.jsonl."
        )
    rows = [(name, "failed" if why else "arrived", why or "") for name, why in tried]
    console().print(table(None, ("route", "", ""), rows))
    failed = [name for name, why in tried if why]
    if failed:
        raise KairosError(f"{len(failed)} of {len(tried)} routes failed: {', '.join(failed)}.")


@app.command()
def watch(
    once: Annotated[bool, typer.Option("--once", help="Look once and end.")] = False,
) -> None:
    """Look for late, failed and crashed flow runs and tell what is due; kairos up does this by itself."""
    from flows.alert_watch import watch_alerts
    from flows.commands.output import console
    from flows.prefect_server import enter_prefect
    from flows.wiring import open_stores
    from infra.settings import load_settings

    enter_prefect(load_settings())
    stores = open_stores()
    for words in watch_alerts(stores, once=once):
        console().print(words, markup=False)
