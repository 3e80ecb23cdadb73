"""The Prefect server of one home: started, found again, and talked to."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from features.errors import KairosError
from flows.process_environment import SERVER_START_SECONDS, prefect_home, process_environment
from infra.settings import Settings

HOST = "127.0.0.1"


@dataclass(frozen=True)
class PlatformAddresses:
    """Where a running `kairos up` can be reached.

    Attributes:
        pid: The process of `kairos up`.
        api_url, ui_url: Prefect's.
        reports_url: The drift and quality reports as web pages.
        history_url: Their history in Evidently's own UI.
    """

    pid: int
    api_url: str
    ui_url: str
    reports_url: str
    history_url: str

    @property
    def is_watched(self) -> bool:
        """Whether that process still runs; what it started lives on when it is killed outright."""
        return psutil.pid_exists(self.pid)


def addresses_file(settings: Settings) -> Path:
    """Where `kairos up` leaves its addresses for other commands."""
    return settings.home / "up.json"


def write_addresses(settings: Settings, addresses: PlatformAddresses) -> None:
    """Nothing; other commands of this home now find the platform."""
    target = addresses_file(settings)
    fresh = target.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(addresses)), encoding="utf-8")
    fresh.replace(target)


def running_platform(settings: Settings) -> PlatformAddresses | None:
    """What `kairos up` started in this home, if its Prefect server answers."""
    try:
        written = json.loads(addresses_file(settings).read_text(encoding="utf-8"))
        addresses = PlatformAddresses(**written)
    except (OSError, ValueError, TypeError):
        return None
    return addresses if is_healthy(addresses.api_url) else None


def is_healthy(api_url: str, timeout_seconds: float = 2.0) -> bool:
    """Whether a Prefect server answers there."""
    try:
        with urllib.request.urlopen(f"{api_url}/health", timeout=timeout_seconds) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError, urllib.error.URLError):
        return False


def enter_prefect(settings: Settings) -> str | None:
    """The URL of the Prefect server that this process uses from now on; None: an ephemeral one of its own.

    To be called before Prefect is first imported, which is when it reads the environment. A server named in
    PREFECT_API_URL wins, then that of `kairos up`.
    """
    prefect_home(settings).mkdir(parents=True, exist_ok=True)
    api_url = os.environ.get("PREFECT_API_URL")
    if api_url is not None and not is_healthy(api_url):
        raise KairosError(
            f"no Prefect server answers at PREFECT_API_URL={api_url}; start it, or unset PREFECT_API_URL."
        )
    if api_url is None and (platform := running_platform(settings)) is not None:
        api_url = platform.api_url
    os.environ.update(process_environment(settings, api_url))
    if not os.environ.get("KAIROS_DEBUG"):
        # A person sees our progress and one line for an error; the run's log is kept by the server.
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
        os.environ.setdefault("PREFECT_SERVER_LOGGING_LEVEL", "ERROR")
    return api_url


def server_command(port: int) -> list[str]:
    """The command that serves Prefect's API and UI."""
    return [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]


def await_server(api_url: str, is_alive: Callable[[], bool], log: Path) -> None:
    """Nothing; returns once the server answers.

    Raises:
        KairosError: It ended, or needs too long.
    """
    give_up = time.monotonic() + SERVER_START_SECONDS
    while not is_healthy(api_url):
        if not is_alive():
            raise KairosError(f"the Prefect server ended at start; see {log}.")
        if time.monotonic() > give_up:
            raise KairosError(
                f"the Prefect server did not answer within {SERVER_START_SECONDS} s; see {log}."
            )
        time.sleep(0.2)


def free_port(preferred: int) -> int:
    """`preferred` if nobody listens there, otherwise one that the system picks."""
    for port in (preferred, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise KairosError(f"no port is free on {HOST}; stop a program that listens there.")
