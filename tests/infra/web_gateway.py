"""A push gateway on this machine: checks signatures, drops what it has, and can be told to fail."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from infra.gateway import signature

SECRET = "a secret of the test"


@dataclass
class Received:
    """What came in.

    Attributes:
        url: Where to post.
        posts: Every request's key, in order of arrival.
        kept: Body by key; a second body of a key is dropped.
        forged: Requests whose signature is wrong.
    """

    url: str = ""
    posts: list[str] = field(default_factory=list)
    kept: dict[str, bytes] = field(default_factory=dict)
    forged: int = 0

    @property
    def most(self) -> int:
        return max(Counter(self.posts).values(), default=0)


@contextmanager
def web_gateway(
    answer: Callable[[str, int], tuple[int, dict[str, str]]] = lambda key, nth: (202, {}),
    seconds: float = 0.0,
) -> Iterator[Received]:
    """A gateway at work. `answer` is told the key and how often it has come, and says status and headers."""
    received, lock = Received(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            key, timestamp = self.headers["Idempotency-Key"], self.headers["X-Kairos-Timestamp"]
            time.sleep(seconds)
            with lock:
                received.posts.append(key)
                if self.headers["X-Kairos-Signature"] != signature(SECRET, timestamp, body):
                    received.forged += 1  # or cut short, by the death of who sent it
                    status, headers = 401, {}
                else:
                    status, headers = answer(key, received.posts.count(key))
                if status < 300:
                    received.kept.setdefault(key, body)
            self.send_response(status)
            for name, value in {"Content-Length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    received.url = f"http://127.0.0.1:{server.server_address[1]}/push"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
