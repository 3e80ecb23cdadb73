"""What an alert says: what, since when, how bad, likely why, what was done already, and where to look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from monitoring.alert_kinds import kind_named
from monitoring.alerts import Incident, Notice

RUNBOOKS = "infra/runbooks"
_WORDS: Mapping[Notice, str] = {
    "trigger": "",
    "reminder": "still open: ",
    "acknowledge": "acknowledged: ",
    "resolve": "resolved: ",
}


@dataclass(frozen=True)
class AlertFacts:
    """What whoever raises an alert knows.

    Attributes:
        how_bad: The numbers, in one clause.
        cause: Likely why: the columns and slices that moved most, an error's text.
        done: What the platform did by itself.
        links: (text, address) of reports.
    """

    how_bad: str
    cause: str = ""
    done: str = ""
    links: tuple[tuple[str, str], ...] = ()


def runbook_of(kind: str) -> str:
    """Where the runbook of a kind lies in the repository."""
    return f"{RUNBOOKS}/{kind_named(kind).name}.md"


def title_of(incident: Incident, notice: Notice = "trigger") -> str:
    """One line.

    Examples:
        >>> from datetime import UTC, datetime
        >>> at = datetime(2026, 11, 27, 3, tzinfo=UTC)
        >>> title_of(Incident("drift", "m1", "models", "error", "open", at, at), "reminder")
        'still open: Data or scores have drifted: m1'
    """
    title = kind_named(incident.kind).title
    return f"{_WORDS[notice]}{title}" + (f": {incident.subject}" if incident.subject else "")


def body_of(incident: Incident, facts: AlertFacts, count: int = 1) -> list[tuple[str, str]]:
    """(what, in words) lines, those that are known."""
    seen = f"{incident.first_seen:%Y-%m-%d %H:%M} UTC"
    if count > 1:
        seen += f", {count} times, last {incident.last_seen:%Y-%m-%d %H:%M} UTC"
    if incident.flaps:
        seen += f"; it came back {incident.flaps} times"
    lines = [
        ("severity", f"{incident.severity}, owner {incident.owner}"),
        ("since", seen),
        ("how bad", facts.how_bad),
        ("likely cause", facts.cause),
        ("done already", facts.done),
        ("runbook", runbook_of(incident.kind)),
        *(("see", f"{text}: {address}") for text, address in facts.links),
    ]
    return [(name, words) for name, words in lines if words]


def plain_text(lines: Sequence[tuple[str, str]]) -> str:
    """The lines as a chat or a mail shows them.

    Examples:
        >>> plain_text([("since", "03:00"), ("how bad", "0.61")])
        'since: 03:00\\nhow bad: 0.61'
    """
    return "\n".join(f"{name}: {words}" for name, words in lines)
