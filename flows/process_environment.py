"""The environment that every process of ours starts with."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.settings import Settings

QUIET = {
    # Threads that wait give up their core: LightGBM shares the machine with PostgreSQL and Prefect.
    "OMP_WAIT_POLICY": "PASSIVE",
    # Nothing phones home.
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "FEAST_USAGE": "False",
}

SERVER_START_SECONDS = 180
"""A crowded machine needs more than a minute, not Prefect's 20 s; a server that ended is seen at once."""

ANSWER_SECONDS = 180
"""Two writers of the server may wait for each other's lock on its SQLite until one gives up, after 60 s: with
Prefect's own 60 s a run that asks meanwhile would crash."""


def enter_quiet_environment() -> None:
    """Nothing; this process and its children share their cores and report to nobody."""
    os.environ.update(QUIET)


def process_environment(settings: Settings, api_url: str | None = None) -> dict[str, str]:
    """What a process of this home needs on top of its parent's environment.

    Args:
        api_url: The Prefect server to talk to; None leaves the choice to Prefect (an ephemeral one).
    """
    environment = {
        **QUIET,
        "KAIROS_HOME": str(settings.home),
        "PREFECT_HOME": str(prefect_home(settings)),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": str(SERVER_START_SECONDS),
        "PREFECT_API_REQUEST_TIMEOUT": str(ANSWER_SECONDS),
        # On disk: a server that was killed would not know who holds a limit. A run fails when it cannot renew
        # its lease, and the place of one that ended meanwhile is nobody's for good.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_CONCURRENCY_INITIAL_DEPLOYMENT_LEASE_DURATION": "60",
        # `make` calls .venv/bin/kairos without activating it; what we start must find its neighbours.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    if api_url is not None:
        environment["PREFECT_API_URL"] = api_url
    return environment


def prefect_home(settings: Settings) -> Path:
    """Where Prefect keeps its SQLite database and logs."""
    return settings.home / "prefect"
