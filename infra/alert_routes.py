"""Who is told of which alerts: `critical,error=pagerduty://KEY warning@data=slack://... *=file:PATH`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from features.errors import UsageError

ANY = "*"
SEVERITIES = ("critical", "error", "warning", "info")


@dataclass(frozen=True)
class AlertRoute:
    """Where alerts of some severities and owners go.

    Attributes:
        severities: Which; all when empty.
        owners: Whose; everybody's when empty.
        address: pagerduty://KEY, file:PATH or any address that Apprise knows; it may hold a secret.
    """

    severities: frozenset[str]
    owners: frozenset[str]
    address: str = field(repr=False)

    @property
    def name(self) -> str:
        """Tells the routes apart and gives no secret away: scheme and a digest."""
        scheme = self.address.partition(":")[0]
        return f"{scheme}-{hashlib.sha256(self.address.encode()).hexdigest()[:8]}"

    def takes(self, severity: str, owner: str) -> bool:
        """Whether such an alert goes this way."""
        return (not self.severities or severity in self.severities) and (
            not self.owners or owner in self.owners
        )


def parse_routes(text: str) -> tuple[AlertRoute, ...]:
    """The routes of a setting, in order; spaces or new lines stand between them.

    Raises:
        UsageError: One is malformed, or there twice; no address is repeated in the message.

    Examples:
        >>> [sorted(route.severities) for route in parse_routes("critical,error=file:a.jsonl *=json://host")]
        [['critical', 'error'], []]
    """
    found: dict[str, AlertRoute] = {}
    for number, entry in enumerate(text.split(), 1):
        who, separator, address = entry.partition("=")
        if not separator or ":" not in address:
            raise UsageError(
                f"alert route {number} must be SEVERITIES[@OWNERS]=ADDRESS, such as "
                "critical,error=pagerduty://KEY or *=file:alerts.jsonl."
            )
        severities, _, owners = who.partition("@")
        unknown = set(_split(severities)) - {*SEVERITIES, ANY}
        if unknown:
            raise UsageError(
                f"alert route {number} names severity {min(unknown)!r}, must be of {', '.join(SEVERITIES)}."
            )
        route = AlertRoute(
            frozenset(_split(severities)) - {ANY} if ANY not in severities else frozenset(),
            frozenset(_split(owners)) - {ANY},
            address,
        )
        if route.name in found:
            raise UsageError(f"alert route {number} goes where an earlier one does; name both in one.")
        found[route.name] = route
    return tuple(found.values())


def _split(names: str) -> list[str]:
    return [name for name in names.split(",") if name]
