"""Who sends the pushes: a web gateway that is posted each push, signed, or a file of JSON lines.

Every push goes out under its push_id as idempotency key. A dispatcher that dies between sending a push and
recording it leaves the push to be sent once more: a web gateway must drop what it has under that key already
(and may answer 409); the file is looked through here.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import SecretStr

from features.errors import UsageError
from infra.settings import Settings

if TYPE_CHECKING:
    import httpx

SENT, RETRY, REFUSED = "sent", "retry", "refused"

_TIMEOUT_SECONDS = 10.0
_AT_ONCE = 8
_HAS_IT_ALREADY = 409
_WORTH_ANOTHER_TRY = (408, 425, 429)
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 2.0, 300.0


@dataclass(frozen=True)
class Handover:
    """What became of one push.

    Attributes:
        outcome: sent, retry or refused.
        detail: Why not sent, in a few words; no secret, no payload.
        wait_seconds: Before another try, where the gateway said so.
    """

    outcome: str
    detail: str = ""
    wait_seconds: float | None = None


class Gateway(Protocol):
    """Takes pushes."""

    @property
    def name(self) -> str:
        """Whom all dispatchers of this gateway share a pace with; tells no secret."""

    @property
    def slowest_seconds(self) -> float:
        """What a push takes at worst, among many that are handed over together."""

    def hand_over(self, pushes: Sequence[dict[str, Any]]) -> list[Handover]:
        """One outcome a push, in their order. `attempt` above 1 means that it may have been sent before."""


def open_gateway(settings: Settings) -> Gateway:
    """The gateway of these settings.

    Raises:
        UsageError: None is set, it is of an unknown kind, or a web gateway has no secret to sign with.
    """
    place = settings.gateway
    if place is None:
        raise UsageError(
            "no gateway is set; set KAIROS_GATEWAY to https://HOST/PATH (and KAIROS_GATEWAY_SECRET), or to "
            "file:PATH."
        )
    scheme, _, rest = place.partition(":")
    if scheme == "file" and rest:
        return FileGateway(Path(rest.removeprefix("//")))
    if scheme not in ("http", "https"):
        raise UsageError(f"KAIROS_GATEWAY begins with {scheme}:, must be https://HOST/PATH or file:PATH.")
    if settings.gateway_secret is None:
        raise UsageError("KAIROS_GATEWAY_SECRET is not set; a web gateway must know that a push is ours.")
    return WebGateway(place, settings.gateway_secret)


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """What `X-Kairos-Signature` holds: HMAC-SHA256 of the timestamp, a dot and the body.

    Examples:
        >>> signature("secret", "1764100000", b"{}")[:19]
        'v1=8b94618f95ab6deb'
    """
    signed = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1={signed.hexdigest()}"


def wait_before(attempt: int) -> float:
    """Seconds before the next attempt: doubling, five minutes at most.

    Examples:
        >>> [wait_before(attempt) for attempt in (1, 2, 5, 20)]
        [2.0, 4.0, 32.0, 300.0]
    """
    return min(_FIRST_WAIT_SECONDS * 2.0 ** min(attempt - 1, 16), _LONGEST_WAIT_SECONDS)


@dataclass(frozen=True)
class WebGateway:
    """Posts each push as JSON with its idempotency key, a timestamp and a signature over both."""

    url: str
    secret: SecretStr
    clock: Callable[[], float] = time.time

    @property
    def name(self) -> str:
        return hashlib.sha256(self.url.encode()).hexdigest()[:16]

    @property
    def slowest_seconds(self) -> float:
        return _TIMEOUT_SECONDS / _AT_ONCE

    @cached_property
    def _client(self) -> httpx.Client:
        import httpx

        limits = httpx.Limits(max_connections=_AT_ONCE, max_keepalive_connections=_AT_ONCE)
        return httpx.Client(timeout=_TIMEOUT_SECONDS, limits=limits, follow_redirects=False)

    def hand_over(self, pushes: Sequence[dict[str, Any]]) -> list[Handover]:
        self._client  # noqa: B018  made here, before threads ask for it
        with ThreadPoolExecutor(min(_AT_ONCE, max(len(pushes), 1))) as beside:
            return list(beside.map(self._post, pushes))

    def _post(self, push: dict[str, Any]) -> Handover:
        import httpx

        body, timestamp = json_line(push), str(int(self.clock()))
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": str(push["push_id"]),
            "X-Kairos-Timestamp": timestamp,
            "X-Kairos-Signature": signature(self.secret.get_secret_value(), timestamp, body),
        }
        try:
            answer = self._client.post(self.url, content=body, headers=headers)
        except httpx.HTTPError as error:
            return Handover(RETRY, type(error).__name__)
        if answer.is_success or answer.status_code == _HAS_IT_ALREADY:
            return Handover(SENT)
        detail = f"HTTP {answer.status_code}"
        if answer.status_code >= 500 or answer.status_code in _WORTH_ANOTHER_TRY:
            return Handover(RETRY, detail, _seconds(answer.headers.get("Retry-After")))
        return Handover(REFUSED, detail)


@dataclass(frozen=True)
class FileGateway:
    """Appends a line of JSON a push; each once, even where an earlier dispatcher died after writing it."""

    path: Path

    @property
    def name(self) -> str:
        return hashlib.sha256(str(self.path.absolute()).encode()).hexdigest()[:16]

    @property
    def slowest_seconds(self) -> float:
        return 0.01

    def hand_over(self, pushes: Sequence[dict[str, Any]]) -> list[Handover]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            _drop_half_a_line(file)
            written: set[str] = set()
            if any(push["attempt"] > 1 for push in pushes):
                file.seek(0)
                written = {json.loads(line)["push_id"] for line in file}
            end = file.seek(0, os.SEEK_END)
            try:
                file.write(b"".join(json_line(p) + b"\n" for p in pushes if p["push_id"] not in written))
                file.flush()
                os.fsync(file.fileno())
            except OSError as error:
                os.ftruncate(file.fileno(), end)
                return [Handover(RETRY, os.strerror(error.errno or 0))] * len(pushes)
        return [Handover(SENT)] * len(pushes)


def json_line(push: dict[str, Any]) -> bytes:
    """The push as it goes out; how often it was tried is not part of it."""
    told = {name: value for name, value in push.items() if name != "attempt"}
    return json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _drop_half_a_line(file: Any) -> None:
    """Nothing; a line whose writer was killed in the middle is gone."""
    end = file.seek(0, os.SEEK_END)
    if end == 0:
        return
    file.seek(end - 1)
    if file.read(1) == b"\n":
        return
    file.seek(0)
    whole = file.read().rfind(b"\n") + 1
    file.truncate(whole)


def _seconds(retry_after: str | None) -> float | None:
    """Seconds that a Retry-After header asks for; None for a date or nonsense."""
    try:
        return max(0.0, min(float(retry_after or ""), 3600.0))
    except ValueError:
        return None
