"""How on-call is told: PagerDuty's Events API, whatever Apprise knows (Slack, e-mail, ...), or a file.

PagerDuty is spoken to directly: it needs a dedup_key and a severity, which Apprise does not send.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from features.errors import KairosError, UsageError
from infra.alert_routes import AlertRoute

_TIMEOUT_SECONDS = 10.0
_PAGERDUTY = "events.pagerduty.com"
_ACTIONS = {"trigger": "trigger", "reminder": "trigger", "acknowledge": "acknowledge", "resolve": "resolve"}
_LONGEST_SUMMARY = 1_024  # PagerDuty's own limit
_WORTH_ANOTHER_TRY = (408, 425, 429)


class DeliveryError(KairosError):
    """A notice did not arrive; `detail` gives no address and no secret away."""

    def __init__(self, detail: str, is_final: bool = False) -> None:
        """Args: `is_final` where another try of the same cannot help."""
        super().__init__(detail)
        self.is_final = is_final


@dataclass(frozen=True)
class Message:
    """One notice of one alert.

    Attributes:
        notice: trigger, reminder, acknowledge or resolve.
        dedup_key: The incident's; the same for all its notices.
        lines: (what, in words).
        links: (text, address).
    """

    notice: str
    dedup_key: str
    severity: str
    owner: str
    kind: str
    title: str
    lines: tuple[tuple[str, str], ...]
    links: tuple[tuple[str, str], ...] = ()


class Channel(Protocol):
    """Tells somebody."""

    @property
    def groups(self) -> bool:
        """Whether several messages become one."""

    def send(self, messages: Sequence[Message]) -> None:
        """Nothing; they have arrived.

        Raises:
            DeliveryError: They have not.
        """


def open_channel(route: AlertRoute) -> Channel:
    """The channel of a route.

    Raises:
        UsageError: Nothing knows such an address; it is not repeated.
    """
    scheme = route.address.partition(":")[0]
    if scheme == "file":
        return FileChannel(Path(route.address.removeprefix("file:").removeprefix("//")))
    if scheme in ("pagerduty", "pagerduty+http"):
        place = urlsplit(route.address).netloc  # as written: a host name is read in small letters, a key not
        key, _, host = place.rpartition("@") if "@" in place else (place, "", _PAGERDUTY)
        return PagerDuty(f"{'http' if scheme.endswith('+http') else 'https'}://{host}/v2/enqueue", key)
    return AppriseChannel.of(route)


@dataclass(frozen=True)
class PagerDuty:
    """Events API v2: one event a message."""

    url: str
    routing_key: str = field(repr=False)

    @property
    def groups(self) -> bool:
        return False

    def send(self, messages: Sequence[Message]) -> None:
        import httpx

        for message in messages:
            try:
                answer = httpx.post(self.url, json=self.event(message), timeout=_TIMEOUT_SECONDS)
            except httpx.HTTPError as error:
                raise DeliveryError(f"PagerDuty: {type(error).__name__}") from None
            if not answer.is_success:
                again = answer.status_code >= 500 or answer.status_code in _WORTH_ANOTHER_TRY
                raise DeliveryError(f"PagerDuty: HTTP {answer.status_code}", is_final=not again)

    def event(self, message: Message) -> dict[str, Any]:
        """The event as PagerDuty takes it."""
        found: dict[str, Any] = {
            "routing_key": self.routing_key,
            "event_action": _ACTIONS[message.notice],
            "dedup_key": message.dedup_key[:255],
        }
        if found["event_action"] == "trigger":
            found |= {
                "client": "Kairos",
                "links": [{"href": address, "text": text} for text, address in message.links],
                "payload": {
                    "summary": message.title[:_LONGEST_SUMMARY],
                    "severity": message.severity,
                    "source": "kairos",
                    "component": message.owner,
                    "class": message.kind,
                    "custom_details": dict(message.lines),
                },
            }
        return found


@dataclass(frozen=True)
class AppriseChannel:
    """Slack, mail and a hundred more; several messages are one."""

    notifier: Any = field(repr=False)
    scheme: str

    @classmethod
    def of(cls, route: AlertRoute) -> AppriseChannel:
        """The channel of a route.

        Raises:
            UsageError: Apprise does not know the address.
        """
        import apprise

        notifier = apprise.Apprise()
        scheme = route.address.partition(":")[0]
        if not notifier.add(route.address):
            raise UsageError(
                f"alert route {route.name} is no address that Apprise takes; look up what follows {scheme}://."
            )
        return cls(notifier, scheme)

    @property
    def groups(self) -> bool:
        return True

    def send(self, messages: Sequence[Message]) -> None:
        title = (
            messages[0].title if len(messages) == 1 else f"{len(messages)} alerts: {messages[0].title}, ..."
        )
        parts = []
        for message in messages:
            words = "\n".join(f"{name}: {text}" for name, text in message.lines)
            parts.append(words if len(messages) == 1 else f"{message.title}\n{words}")
        try:
            arrived = self.notifier.notify(title=f"[{messages[0].severity}] {title}", body="\n\n".join(parts))
        except TypeError as error:  # Apprise's answer to a message it finds empty
            raise DeliveryError(f"{self.scheme}: {error}", is_final=True) from None
        if not arrived:
            raise DeliveryError(f"{self.scheme}: not taken")


@dataclass(frozen=True)
class FileChannel:
    """A line of JSON a message."""

    path: Path

    @property
    def groups(self) -> bool:
        return True

    def send(self, messages: Sequence[Message]) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.write(b"".join(json.dumps(asdict(one)).encode() + b"\n" for one in messages))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise DeliveryError(f"file: {error.strerror}") from None
