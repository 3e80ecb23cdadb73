"""`kairos up` as people run it: everything starts, schedules itself, works, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import psutil
import pytest
from small_market import market_settings

from flows.deployments import DRIFT_FAILED
from flows.prefect_server import PlatformAddresses, running_platform
from infra.deployment_table import deployment_table
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
    with httpx.Client(base_url=addresses.api_url, timeout=60, transport=_Patient()) as client:
        # A healthy server may still schedule nothing (SQLAlchemy 2.1 does that), so look at the runs.
        for flow in deployment_table().scheduled:
            deployment = client.get(f"/deployments/name/{flow.name}/{flow.deployment}").json()["id"]
            _await(lambda of=deployment: _scheduled(client, of), 90, f"scheduled run of {flow.name}")
        _expect_deployments_as_reviewed(client)
        ingest = client.get("/deployments/name/ingest/scheduled").json()["id"]
        run = client.post(f"/deployments/{ingest}/create_flow_run", json={}).json()["id"]
        ended = _await(lambda: _ended(client, run), 120, "finished ingest")
        assert ended == "COMPLETED", (settings.home / "prefect" / "worker.log").read_text()
        cycle = client.get("/deployments/name/cycle/scheduled").json()["id"]
        assert client.post("/events", json=[_drift()]).status_code < 300
        _await(lambda: _started_by_event(client, cycle), 60, "cycle that drift called for")
        train = client.get("/deployments/name/train/scheduled").json()["id"]
        crashed = client.post(f"/deployments/{train}/create_flow_run", json=_in_a_week()).json()["id"]
        _set_state(client, crashed, "CRASHED")
        _await(lambda: _started_by_event(client, train, but=crashed), 60, "second start of a crashed run")
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


class _Patient(httpx.HTTPTransport):
    """Asks again, as Prefect's own clients do: the server says 503 while its SQLite is locked."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        for _ in range(60):
            response = super().handle_request(request)
            if response.status_code not in (429, 502, 503):
                break
            response.close()
            time.sleep(0.5)
        if response.is_error:
            response.read()
            raise AssertionError(f"{request.method} {request.url}: {response.status_code} {response.text}")
        return response


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


def _expect_deployments_as_reviewed(client: httpx.Client) -> None:
    """Each deployment on the server is as `infra/prefect.yaml` has it, and its form explains itself."""
    table = deployment_table()
    assert client.get(f"/work_pools/{table.pool}").json()["concurrency_limit"] == table.pool_limit
    for flow in table.flows:
        told = client.get(f"/deployments/name/{flow.name}/{flow.deployment}").json()
        assert tuple(told["tags"]) == flow.tags
        limit = told["global_concurrency_limit"]
        assert (limit and limit["limit"]) == flow.concurrency_limit
        assert [one["schedule"]["cron"] for one in told["schedules"]] == ([flow.cron] if flow.cron else [])
        assert all(one["schedule"]["timezone"] == "UTC" for one in told["schedules"])
        for name, parameter in told["parameter_openapi_schema"]["properties"].items():
            assert parameter.get("description"), f"{flow.name} does not explain {name}"
    automations = {one["name"] for one in client.post("/automations/filter", json={}).json()}
    assert {one.name for one in table.automations} <= automations


def _in_a_week() -> dict[str, Any]:
    later = datetime.now(UTC) + timedelta(days=7)
    return {"state": {"type": "SCHEDULED", "state_details": {"scheduled_time": later.isoformat()}}}


def _set_state(client: httpx.Client, run: str, state: str) -> None:
    told = {"state": {"type": state}, "force": True}
    assert client.post(f"/flow_runs/{run}/set_state", json=told).status_code < 300


def _started_by_event(client: httpx.Client, deployment: str, but: str = "") -> bool | None:
    """True once the deployment has a run, other than `but`, that no schedule made; it is cancelled."""
    wanted = {"deployments": {"id": {"any_": [deployment]}}, "limit": 200}
    runs = client.post("/flow_runs/filter", json=wanted).json()
    for run in runs:
        if not run["auto_scheduled"] and run["id"] != but:
            _set_state(client, run["id"], "CANCELLED")
            return True
    return None


def _ended(client: httpx.Client, run: str) -> str | None:
    state = client.get(f"/flow_runs/{UUID(run)}").json()["state"]["type"]
    return state if state in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None
