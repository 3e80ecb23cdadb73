"""A test alert by every route, outside the record: whether somebody would hear."""

from __future__ import annotations

from datetime import datetime

from features.errors import KairosError
from flows.alerts import alert_key, alert_routes
from infra.notifier import Message, open_channel
from infra.settings import Settings
from monitoring.alert_kinds import OWNERS, Severity, kind_named
from monitoring.alert_words import AlertFacts, body_of, title_of
from monitoring.alerts import Incident, Notice

KIND = "test"


def try_routes(settings: Settings, severity: Severity, now: datetime) -> list[tuple[str, str]]:
    """(route, why it failed or '') of each that takes this severity, whoever owns the alert."""
    found = []
    for route in alert_routes(settings):
        owners = [owner for owner in OWNERS if route.takes(severity, owner)]
        if not owners:
            continue
        try:
            channel = open_channel(route)
            for notice in _NOTICES:
                channel.send([_message(severity, owners[0], notice, now)])
        except KairosError as error:
            found.append((route.name, str(error)))
        else:
            found.append((route.name, ""))
    return found


_NOTICES: tuple[Notice, ...] = ("trigger", "resolve")


def _message(severity: Severity, owner: str, notice: Notice, now: datetime) -> Message:
    incident = Incident(KIND, "kairos alert test", owner, severity, "open", now, now)
    facts = AlertFacts("nothing is wrong", "somebody ran kairos alert test")
    return Message(
        notice=notice,
        dedup_key=alert_key(KIND, f"{now:%Y%m%dT%H%M%S}"),
        severity=severity,
        owner=owner,
        kind=kind_named(KIND).name,
        title=title_of(incident, notice),
        lines=tuple(body_of(incident, facts)),
    )
