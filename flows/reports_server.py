"""The web pages of the reports, `/metrics` for Prometheus, `/healthz` and `/readyz` for probes."""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from features.errors import KairosError
from flows.metrics import CONTENT_TYPE, exposition
from infra.database import Database
from infra.settings import Settings


def reports_server(
    settings: Settings, database: Database, host: str, port: int, prefect_api: str | None = None
) -> ThreadingHTTPServer:
    """The server, listening; `serve_forever` answers.

    Raises:
        KairosError: The port is taken.
    """
    settings.reports_dir.mkdir(parents=True, exist_ok=True)
    handler = partial(_Pages, settings, database, prefect_api, directory=str(settings.reports_dir))
    try:
        return ThreadingHTTPServer((host, port), handler)
    except OSError as error:
        raise KairosError(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another --port."
        ) from None


class _Pages(SimpleHTTPRequestHandler):
    """One request."""

    def __init__(
        self, settings: Settings, database: Database, prefect_api: str | None, *arguments: Any, **options: Any
    ) -> None:
        self._settings, self._database, self._prefect_api = settings, database, prefect_api
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:
        """A report, or what machines ask."""
        match self.path.partition("?")[0]:
            case "/metrics":
                self._say(200, CONTENT_TYPE, exposition(self._settings, self._database, self._prefect_api))
            case "/healthz":
                self._say(200, "text/plain", b"ok\n")
            case "/readyz":
                try:
                    self._database.revision()
                except KairosError:
                    self._say(503, "text/plain", b"the database does not answer\n")
                else:
                    self._say(200, "text/plain", b"ok\n")
            case _:
                super().do_GET()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing; who asks every few seconds is not logged."""
        if self.path not in ("/metrics", "/healthz", "/readyz"):
            super().log_request(code, size)

    def _say(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
