"""PagerDuty's Events API on this machine: keeps every event, follows incidents, and can be told to fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "R0UTINGkey"


@dataclass
class Pager:
    """What came in.

    Attributes:
        address: The route's.
        events: Every event that was taken, in order of arrival.
        bodies: Every other JSON document, as Apprise's json:// sends them.
    """

    port: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"pagerduty+http://{KEY}@127.0.0.1:{self.port}"

    @property
    def open_incidents(self) -> set[str]:
        """dedup_keys whose newest event is no resolve."""
        newest = {event["dedup_key"]: event["event_action"] for event in self.events}
        return {key for key, action in newest.items() if action != "resolve"}

    def told(self, key: str) -> list[str]:
        """The actions of one incident."""
        return [event["event_action"] for event in self.events if event["dedup_key"] == key]


@contextmanager
def events_api(answer: Callable[[int], int] = lambda nth: 202) -> Iterator[Pager]:
    """The API at work. `answer` is told how many requests came before this one and says the status."""
    pager, lock, requests = Pager(), threading.Lock(), [0]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                status = answer(requests[0])
                requests[0] += 1
                if status < 300 and self.path == "/v2/enqueue":
                    status = self._take(body)
                elif status < 300:
                    pager.bodies.append(body)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _take(self, event: dict[str, Any]) -> int:
            if event.get("routing_key") != KEY or not event.get("dedup_key"):
                return 400
            if event["event_action"] == "trigger" and not {"summary", "source", "severity"} <= set(
                event.get("payload", {})
            ):
                return 400
            pager.events.append(event)
            return 202

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    pager.port = int(server.server_address[1])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield pager
    finally:
        server.shutdown()
        server.server_close()
