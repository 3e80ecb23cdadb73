"""`kairos reports`: the reports as web pages, and `/metrics`."""

from __future__ import annotations

from typing import Annotated

import typer


def reports(
    port: Annotated[int, typer.Option("--port", min=0, max=65535)] = 4280,
    host: Annotated[
        str, typer.Option("--host", help="0.0.0.0 answers other machines; put TLS and a log-in before it.")
    ] = "127.0.0.1",
) -> None:
    """Serve the reports, /metrics for Prometheus, /healthz and /readyz, until stopped; kairos up does too."""
    import os

    from flows.commands.output import console
    from flows.reports_server import reports_server
    from infra.database import open_database
    from infra.settings import load_settings

    settings = load_settings()
    database = open_database(settings)
    server = reports_server(settings, database, host, port, os.environ.get("PREFECT_API_URL"))
    console().print(f"http://{host}:{server.server_address[1]}", soft_wrap=True)
    server.serve_forever()
