"""`kairos up` as people run it: everything starts, schedules itself, works, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import psutil
import pytest
from small_market import market_settings

from flows.deployments import DEPLOYMENT, DRIFT_FAILED, SCHEDULED_FLOWS
from flows.prefect_server import PlatformAddresses, running_platform
from infra.settings import load_settings

KAIROS = Path(sys.executable).with_name("kairos")


def _await(look: Callable[[], Any], seconds: float, what: str) -> Any:
    give_up = time.monotonic() + seconds
    while (found := look()) is None:
        assert time.monotonic() < give_up, f"no {what} within {seconds} s"
        time.sleep(0.5)
    return found


@pytest.fixture
def environment(tmp_path: Path, small_market: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name, value in market_settings(tmp_path / "home", small_market).items():
        monkeypatch.setenv(name, value)
    return dict(os.environ)


@pytest.fixture
def up(environment: dict[str, str], tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A running `kairos up`; killed with all it started if the test leaves it running."""
    with (tmp_path / "up.log").open("w") as log:
        process = subprocess.Popen(
            [KAIROS, "up"], env=environment, cwd=tmp_path, stdout=log, stderr=log, text=True
        )
    yield process
    if process.poll() is None:
        family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
        for member in family:
            member.kill()
        psutil.wait_procs(family, timeout=10)


def test_up_schedules_runs_works_and_stops_whole(
    up: subprocess.Popen[str], environment: dict[str, str], tmp_path: Path
) -> None:
    settings = load_settings()

    def ready() -> PlatformAddresses | None:
        assert up.poll() is None, (tmp_path / "up.log").read_text()
        return running_platform(settings)

    addresses = _await(ready, 120, "platform")
    assert httpx.get(addresses.ui_url, timeout=60).status_code == 200
    assert httpx.get(addresses.reports_url, timeout=60).status_code == 200
    assert _await(lambda: _answers(addresses.history_url), 120, "Evidently") == 200
    with httpx.Client(base_url=addresses.api_url, timeout=60) as client:
        # A healthy server may still schedule nothing (SQLAlchemy 2.1 does that), so look at the runs.
        for flow in SCHEDULED_FLOWS:
            deployment = client.get(f"/deployments/name/{flow.name}/{DEPLOYMENT}").json()["id"]
            _await(lambda of=deployment: _scheduled(client, of), 90, f"scheduled run of {flow.name}")
        ingest = client.get(f"/deployments/name/ingest/{DEPLOYMENT}").json()["id"]
        run = client.post(f"/deployments/{ingest}/create_flow_run", json={}).json()["id"]
        ended = _await(lambda: _ended(client, run), 120, "finished ingest")
        assert ended == "COMPLETED", (settings.home / "prefect" / "worker.log").read_text()
        cycle = client.get(f"/deployments/name/cycle/{DEPLOYMENT}").json()["id"]
        assert client.post("/events", json=[_drift()]).status_code < 300
        _await(lambda: _started_by_event(client, cycle), 60, "cycle that drift called for")
    watch = settings.home / "prefect" / "alerts.log"
    looked = "runs of the last two days, no flow in trouble"
    _await(lambda: True if looked in watch.read_text() else None, 60, "look at the flows")

    second = subprocess.run([KAIROS, "up"], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert second.returncode == 0
    assert f"runs already (process {up.pid})" in second.stdout and addresses.ui_url in second.stdout

    family = psutil.Process(up.pid).children(recursive=True)
    assert family
    up.send_signal(signal.SIGTERM)
    assert up.wait(timeout=60) == 0
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []
    assert running_platform(settings) is None


def _answers(address: str) -> int | None:
    try:
        return httpx.get(f"{address}/api/projects", timeout=60).status_code
    except httpx.TransportError:
        return None


def _scheduled(client: httpx.Client, deployment: str) -> bool | None:
    wanted = {
        "deployments": {"id": {"any_": [deployment]}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
    }
    runs = client.post("/flow_runs/filter", json=wanted).json()
    return True if any(run["auto_scheduled"] for run in runs) else None


def _drift() -> dict[str, Any]:
    """The event of a failed drift verdict, as the flow `monitor` emits it."""
    return {
        "id": str(uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": DRIFT_FAILED,
        "resource": {"prefect.resource.id": "kairos.drift/data"},
        "payload": {},
    }


def _started_by_event(client: httpx.Client, deployment: str) -> bool | None:
    """True once the deployment has a run that no schedule made; it is cancelled."""
    wanted = {"deployments": {"id": {"any_": [deployment]}}, "limit": 200}
    runs = client.post("/flow_runs/filter", json=wanted).json()
    for run in runs:
        if not run["auto_scheduled"]:
            state = {"state": {"type": "CANCELLED"}, "force": True}
            client.post(f"/flow_runs/{run['id']}/set_state", json=state)
            return True
    return None


def _ended(client: httpx.Client, run: str) -> str | None:
    state = client.get(f"/flow_runs/{UUID(run)}").json()["state"]["type"]
    return state if state in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None
