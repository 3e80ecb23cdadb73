"""When an alert is told: once when it opens, again while nobody acts, and once when it is over.

An incident that comes and goes is one incident: after a second return its end is told only once it has
stayed away for a while, so that a flapping check pages once and not all night.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from monitoring.alert_kinds import SEVERITIES, Severity

Status = Literal["open", "acknowledged", "resolved"]
Notice = Literal["trigger", "reminder", "acknowledge", "resolve"]


@dataclass(frozen=True)
class AlertParams:
    """How patient on-call is.

    Attributes:
        reminder_hours: Until an alert that nobody has acknowledged is told again; a severity that is not
            here is told once.
        reopen_minutes: A problem that returns so soon after its end is the same incident.
        flaps_to_settle: Returns from which on the end of an incident is told late.
        settle_minutes: For so long a flapping incident must stay away before its end is told.
    """

    reminder_hours: dict[Severity, float] = field(
        default_factory=lambda: {"critical": 1.0, "error": 6.0, "warning": 24.0}
    )
    reopen_minutes: float = 60.0
    flaps_to_settle: int = 2
    settle_minutes: float = 60.0


@dataclass(frozen=True)
class Incident:
    """An alert as it is stored.

    Attributes:
        flaps: How often it came back within the hour after it had gone.
        told: The newest notice; None when nobody has been told.
        told_at: When; None likewise.
        told_severity: The severity that notice had.
    """

    kind: str
    subject: str
    owner: str
    severity: Severity
    status: Status
    first_seen: datetime
    last_seen: datetime
    resolved_at: datetime | None = None
    flaps: int = 0
    told: Notice | None = None
    told_at: datetime | None = None
    told_severity: Severity | None = None


@dataclass(frozen=True)
class Mute:
    """A maintenance window: what it names is kept on record but not told until it ends.

    Attributes:
        kind, owner: Empty means any.
    """

    begins_at: datetime
    ends_at: datetime
    kind: str = ""
    owner: str = ""

    def holds(self, incident: Incident, now: datetime) -> bool:
        """Whether the incident is not told at `now`."""
        return (
            self.begins_at <= now < self.ends_at
            and self.kind in ("", incident.kind)
            and self.owner in ("", incident.owner)
        )


def due_notice(
    incident: Incident, now: datetime, mutes: Sequence[Mute] = (), params: AlertParams | None = None
) -> Notice | None:
    """What must be told of the incident at `now`; None when nothing must.

    Examples:
        >>> from datetime import UTC
        >>> at = datetime(2026, 11, 27, 3, tzinfo=UTC)
        >>> incident = Incident("drift", "m1", "models", "error", "open", at, at)
        >>> due_notice(incident, at)
        'trigger'
        >>> due_notice(incident, at, [Mute(at, at + timedelta(hours=1))])
    """
    params = params or AlertParams()
    if any(mute.holds(incident, now) for mute in mutes):
        return None
    is_known = incident.told in ("trigger", "reminder", "acknowledge")
    if incident.status == "resolved":
        return "resolve" if is_known and _has_settled(incident, now, params) else None
    if not is_known or _is_worse(incident):
        return "trigger"
    if incident.status == "acknowledged":
        return None if incident.told == "acknowledge" else "acknowledge"
    patience = params.reminder_hours.get(incident.severity)
    assert incident.told_at is not None
    if patience is not None and now - incident.told_at >= timedelta(hours=patience):
        return "reminder"
    return None


def is_return(resolved_at: datetime, now: datetime, params: AlertParams | None = None) -> bool:
    """Whether a problem seen at `now` is the incident that ended at `resolved_at`."""
    return now - resolved_at < timedelta(minutes=(params or AlertParams()).reopen_minutes)


def _has_settled(incident: Incident, now: datetime, params: AlertParams) -> bool:
    if incident.flaps < params.flaps_to_settle:
        return True
    assert incident.resolved_at is not None
    return now - incident.resolved_at >= timedelta(minutes=params.settle_minutes)


def _is_worse(incident: Incident) -> bool:
    told = incident.told_severity
    return told is not None and SEVERITIES.index(incident.severity) < SEVERITIES.index(told)
