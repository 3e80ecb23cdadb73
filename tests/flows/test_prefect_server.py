"""The platform of a home, found again by other commands."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from flows.prefect_server import PlatformAddresses, running_platform, write_addresses
from flows.state import platform_words
from infra.settings import Settings, load_settings


class _Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    """The address of something that answers, as Prefect's server lives on when its `kairos up` is killed."""
    with HTTPServer(("127.0.0.1", 0), _Healthy) as answering:
        threading.Thread(target=answering.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{answering.server_port}"
        answering.shutdown()


@pytest.fixture
def settings(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("KAIROS_HOME", str(tmp_path))
    return load_settings()


def _addresses(pid: int, server: str) -> PlatformAddresses:
    return PlatformAddresses(pid, f"{server}/api", server, server, server)


def test_what_a_killed_up_left_is_found_and_known_as_such(server: str, settings: Settings) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    write_addresses(settings, _addresses(ended.pid, server))
    found = running_platform(settings)
    assert found is not None and not found.is_watched
    told = asdict(found) | {"is_watched": found.is_watched}
    assert "was killed; kairos up again" in platform_words(told)


def test_a_watched_platform_is_up(server: str, settings: Settings) -> None:
    write_addresses(settings, _addresses(os.getpid(), server))
    found = running_platform(settings)
    assert found is not None and found.is_watched
    assert platform_words(asdict(found) | {"is_watched": True}) == f"up, {server}"


def test_nothing_that_answers_is_no_platform(settings: Settings) -> None:
    assert running_platform(settings) is None
    write_addresses(settings, _addresses(os.getpid(), "http://127.0.0.1:9"))
    assert running_platform(settings) is None
    assert platform_words(None) == "not up; kairos up"
