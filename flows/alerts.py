"""Alerts from flows: raised where something goes wrong, over where it goes right, told through the routes.

Raising must never make a run fail that would otherwise go on: what cannot be told is logged.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from features.errors import KairosError
from flows.wiring import Stores
from infra.alert_routes import AlertRoute, parse_routes
from infra.alert_rows import Delivery, NewAlert, StoredAlert
from infra.alert_store import AlertStore
from infra.notifier import Channel, DeliveryError, Message, open_channel
from infra.settings import Settings
from monitoring.alert_kinds import Severity, kind_named
from monitoring.alert_words import AlertFacts, body_of, runbook_of, title_of
from monitoring.alerts import Incident, Mute, due_notice, is_return

log = logging.getLogger(__name__)

UNDELIVERED = "alert_undelivered"


@dataclass(frozen=True)
class Told:
    """What one round of telling did.

    Attributes:
        notices: Decided in this round.
        sent: Delivered, of this and earlier rounds.
        failures: (route, why) of what did not arrive.
    """

    notices: int
    sent: int
    failures: tuple[tuple[str, str], ...]


def alert_routes(settings: Settings) -> tuple[AlertRoute, ...]:
    """The routes in effect."""
    return () if settings.alert_routes is None else parse_routes(settings.alert_routes.get_secret_value())


def alert_key(kind: str, subject: str = "") -> str:
    """The incident's dedup_key.

    Examples:
        >>> alert_key("flow_failed", "cycle"), alert_key("data_quality")
        ('kairos/flow_failed/cycle', 'kairos/data_quality')
    """
    return f"kairos/{kind}" + (f"/{subject}" if subject else "")


def raise_alert(
    stores: Stores,
    kind: str,
    facts: AlertFacts,
    subject: str = "",
    severity: Severity | None = None,
    now: datetime | None = None,
) -> None:
    """Nothing; the alert is open, and on-call is told as far as it need be."""
    now = now or datetime.now(UTC)
    try:
        _raise(stores.alerts, kind, facts, subject, severity, now)
        tell(stores, now)
    except KairosError as error:
        log.warning("alert %s was not told: %s", alert_key(kind, subject), error)


def recovered(stores: Stores, kind: str, subject: str = "", now: datetime | None = None) -> None:
    """Nothing; the alert is over, if it was open, and whoever was told of it is told so."""
    now = now or datetime.now(UTC)
    try:
        if stores.alerts.recovered(alert_key(kind, subject), now):
            tell(stores, now)
    except KairosError as error:
        log.warning("the end of alert %s was not told: %s", alert_key(kind, subject), error)


def tell(stores: Stores, now: datetime) -> Told:
    """Every notice that is due is decided, queued and delivered; what does not arrive is tried again later.

    A route that fails for good is itself an alert, which goes the other ways.
    """
    routes = alert_routes(stores.settings)
    found = _round(stores.alerts, routes, now)
    lost = {route.name: stores.alerts.undelivered(route.name) for route in routes}
    for name, reasons in lost.items():
        if reasons:
            words = f"{len(reasons)} notices did not arrive by {name}"
            facts = AlertFacts(words, reasons[0], "each was tried again for about half an hour")
            if not _is_open(stores.alerts, alert_key(UNDELIVERED, name)):
                _raise(stores.alerts, UNDELIVERED, facts, name, None, now)
        else:
            stores.alerts.recovered(alert_key(UNDELIVERED, name), now)
    again = _round(stores.alerts, routes, now)
    return Told(
        found.notices + again.notices,
        found.sent + again.sent,
        tuple(dict.fromkeys(found.failures + again.failures)),
    )


def _raise(
    alerts: AlertStore,
    kind: str,
    facts: AlertFacts,
    subject: str,
    severity: Severity | None,
    now: datetime,
) -> StoredAlert:
    known = kind_named(kind)
    details = {
        "how_bad": facts.how_bad,
        "cause": facts.cause,
        "done": facts.done,
        "links": [list(link) for link in facts.links],
    }
    title = known.title + (f": {subject}" if subject else "")
    new = NewAlert(
        dedup_key=alert_key(kind, subject),
        kind=kind,
        subject=subject,
        severity=severity or known.severity,
        owner=known.owner,
        title=title,
        runbook=runbook_of(kind),
        details=details,
    )
    return alerts.raise_alert(new, now, lambda resolved_at: is_return(resolved_at, now))


def _is_open(alerts: AlertStore, key: str) -> bool:
    return any(one.key == key for one in alerts.read())


def _round(alerts: AlertStore, routes: Sequence[AlertRoute], now: datetime) -> Told:
    def due(one: StoredAlert, mutes: Sequence[Mapping[str, Any]]) -> str | None:
        windows = [Mute(row["begins_at"], row["ends_at"], row["kind"], row["owner"]) for row in mutes]
        return due_notice(incident_of(one), now, windows)

    notices = alerts.queue_notices(now, routes, due)
    sent = 0
    failures: list[tuple[str, str]] = []
    for route in routes:
        with alerts.due_deliveries(route.name, now) as outbox:
            if not outbox.deliveries:
                continue
            for batch, error in _sent(route, outbox.deliveries):
                outbox.record(batch, error)
                if error is None:
                    sent += len(batch)
                else:
                    failures.append((route.name, str(error)))
    return Told(notices, sent, tuple(dict.fromkeys(failures)))


def _sent(
    route: AlertRoute, deliveries: Sequence[Delivery]
) -> list[tuple[Sequence[Delivery], DeliveryError | None]]:
    """(deliveries that went together, why they did not arrive) of all."""
    try:
        channel = open_channel(route)
    except KairosError as error:
        return [(deliveries, DeliveryError(str(error), is_final=True))]
    found: list[tuple[Sequence[Delivery], DeliveryError | None]] = []
    for batch in _together(channel, deliveries):
        try:
            channel.send([message_of(one) for one in batch])
        except DeliveryError as error:
            found.append((batch, error))
        else:
            found.append((batch, None))
    return found


def _together(channel: Channel, deliveries: Sequence[Delivery]) -> list[Sequence[Delivery]]:
    """One message for each owner and notice where the channel groups, one a notice where it does not."""
    if not channel.groups:
        return [[one] for one in deliveries]
    groups: dict[tuple[str, str], list[Delivery]] = defaultdict(list)
    for one in deliveries:
        groups[str(one.alert.row["owner"]), one.notice].append(one)
    return list(groups.values())


def message_of(delivery: Delivery) -> Message:
    """The notice as a channel sends it."""
    incident, row = incident_of(delivery.alert), delivery.alert.row
    details = row["details"]
    links = tuple((str(text), str(address)) for text, address in details.get("links", ()))
    facts = AlertFacts(details.get("how_bad", ""), details.get("cause", ""), details.get("done", ""), links)
    notice: Any = delivery.notice
    return Message(
        notice=delivery.notice,
        dedup_key=delivery.alert.key,
        severity=incident.severity,
        owner=incident.owner,
        kind=incident.kind,
        title=title_of(incident, notice),
        lines=tuple(body_of(incident, facts, row["count"])),
        links=tuple(link for link in links if link[1].startswith("http")),
    )


def incident_of(one: StoredAlert) -> Incident:
    """The stored alert as the rules see it."""
    row = one.row
    names = ("kind", "subject", "owner", "severity", "status", "first_seen", "last_seen", "resolved_at")
    return Incident(**{name: row[name] for name in (*names, "flaps", "told", "told_at", "told_severity")})
