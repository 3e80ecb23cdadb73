"""`kairos up` as people run it: all starts, schedules itself, works, is seen, and leaves nothing.

One platform for the whole file, on a home restored from the backup of another; the last test stops it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import psutil
import pytest
from small_market import AS_OF, market_settings
from web_pages import Browser, browser_at

from flows import cli
from flows.deployments import DRIFT_FAILED
from flows.prefect_server import PlatformAddresses, running_platform
from infra.deployment_table import deployment_table
from infra.embedded_postgres import release_embedded
from infra.settings import Settings, load_settings

KAIROS = Path(sys.executable).with_name("kairos")
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@dataclass(frozen=True)
class Up:
    """A running `kairos up`.

    Attributes:
        environment: What it was started with.
        log: What it prints.
    """

    process: subprocess.Popen[str]
    environment: dict[str, str]
    log: Path
    settings: Settings
    addresses: PlatformAddresses


def _await(look: Callable[[], Any], seconds: float, what: str) -> Any:
    give_up = time.monotonic() + seconds
    while (found := look()) is None:
        assert time.monotonic() < give_up, f"no {what} within {seconds} s"
        time.sleep(0.5)
    return found


@pytest.fixture(scope="module")
def home(
    one_cycle, shared_home: Path, small_market: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A home, in effect for this file, to which the backup of one with a finished cycle was restored."""
    folder = tmp_path_factory.mktemp("up")
    with pytest.MonkeyPatch.context() as environment:
        for place in (shared_home, folder / "home"):
            for name, value in market_settings(place, small_market).items():
                environment.setenv(name, value)
            command = "backup" if place == shared_home else "restore"
            assert cli.run([command, str(folder / "backup")]) == 0
        release_embedded(folder / "home")  # the platform's own from now on
        yield folder / "home"


@pytest.fixture(scope="module")
def up(home: Path) -> Iterator[Up]:
    """The platform, ready; killed with all it started if the tests leave it running."""
    environment, log, settings = dict(os.environ), home.parent / "up.log", load_settings()
    with log.open("w") as output:
        process = subprocess.Popen(
            [KAIROS, "up"], env=environment, cwd=home.parent, stdout=output, stderr=output, text=True
        )

    def ready() -> PlatformAddresses | None:
        assert process.poll() is None, log.read_text()
        return running_platform(settings)

    try:
        yield Up(process, environment, log, settings, _await(ready, 240, "platform"))
    finally:
        if process.poll() is None:
            family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
            for member in family:
                member.kill()
            psutil.wait_procs(family, timeout=10)


@pytest.fixture(scope="module")
def prefect(up: Up) -> Iterator[httpx.Client]:
    """A client of the platform's Prefect server."""
    # Two of the server's writers may wait for each other's lock on its SQLite until one gives up, after 60 s.
    with httpx.Client(base_url=up.addresses.api_url, timeout=150, transport=_Patient()) as client:
        yield client


def test_every_flow_is_scheduled_as_reviewed(up: Up, prefect: httpx.Client) -> None:
    assert httpx.get(up.addresses.reports_url, timeout=60).status_code == 200
    # A healthy server may still schedule nothing (SQLAlchemy 2.1 does that), so look at the runs.
    for flow in deployment_table().scheduled:
        deployment = prefect.get(f"/deployments/name/{flow.name}/{flow.deployment}").json()["id"]
        _await(lambda of=deployment: _scheduled(prefect, of), 90, f"scheduled run of {flow.name}")
    _expect_deployments_as_reviewed(prefect)


@pytest.fixture(scope="module")
def finished_cycle(up: Up, prefect: httpx.Client) -> str:
    """The id of a cycle that came to its end, though the worker and the run's process were killed."""
    cycle = prefect.get("/deployments/name/cycle/scheduled").json()["id"]
    asked = {"parameters": {"as_of": f"{AS_OF}T00:00:00Z"}}
    run = prefect.post(f"/deployments/{cycle}/create_flow_run", json=asked).json()["id"]
    _await(lambda: _process_of(run), 120, "process of the run")
    _await(lambda: _is_in(prefect, run, "RUNNING"), 120, "run that runs")
    worker = _process_with(up, "worker")
    for victim in (worker, _process_of(run)):  # the worker first: nobody is left to say that the run crashed
        assert victim is not None
        victim.kill()
    ended = _await(lambda: _ended(prefect, run), 400, "finished cycle")
    assert ended == "COMPLETED", (up.settings.home / "prefect" / "worker.log").read_text()
    return run


def test_a_killed_worker_and_run_lose_nothing(up: Up, prefect: httpx.Client, finished_cycle: str) -> None:
    said = up.log.read_text()
    assert "the worker ended by itself (exit -9) and was started again" in said
    assert "is gone; the run is handed out again" in said
    assert prefect.get(f"/flow_runs/{finished_cycle}").json()["run_count"] == 2
    limit = prefect.get("/deployments/name/cycle/scheduled").json()["global_concurrency_limit"]
    assert limit["active_slots"] == 0


@pytest.mark.browser
def test_a_person_sees_deployments_a_cycle_and_the_form_of_an_experiment(
    up: Up, prefect: httpx.Client, finished_cycle: str, browser: Browser
) -> None:
    page = browser.open(f"{up.addresses.ui_url}/deployments")
    for flow in deployment_table().flows:
        page.sees(flow.name)
    page.keep("deployments")
    page = browser.open(f"{up.addresses.ui_url}/runs/flow-run/{finished_cycle}?tab=Artifacts")
    page.sees(f"cycle as of {AS_OF} 00:00", "Completed", "Artifacts")
    page.keep("cycle")
    wanted = {"flow_runs": {"id": {"any_": [finished_cycle]}}, "artifacts": {"key": {"any_": ["cycle"]}}}
    (artifact,) = prefect.post("/artifacts/filter", json=wanted).json()
    page = browser.open(f"{up.addresses.ui_url}/artifacts/artifact/{artifact['id']}")
    page.sees("learnt, decided, published", "NDCG@10", "Gate:", "Drift:")
    page.keep("artifact")
    launch = prefect.get("/deployments/name/launch_experiment/by-hand").json()["id"]
    page = browser.open(f"{up.addresses.ui_url}/deployments/deployment/{launch}/run")
    page.sees(
        "Hypothesis", "What will change, for whom, and why, in a sentence.", "Of all users who may be pushed"
    )
    page.keep("experiment")


@pytest.mark.browser
def test_a_person_approves_an_experiment_that_waits_without_a_process(
    up: Up, prefect: httpx.Client, finished_cycle: str, browser: Browser
) -> None:
    launch = prefect.get("/deployments/name/launch_experiment/by-hand").json()["id"]
    asked = {"parameters": {"experiment": _experiment(), "as_of": f"{AS_OF}T00:00:00Z"}}
    run = prefect.post(f"/deployments/{launch}/create_flow_run", json=asked).json()["id"]
    _await(lambda: _is_in(prefect, run, "PAUSED"), 240, "experiment that waits")
    _await(lambda: True if _process_of(run) is None else None, 60, "end of the process")
    page = browser.open(f"{up.addresses.ui_url}/runs/flow-run/{run}")
    page.sees("Suspended")
    page.press("Resume")
    page.sees("Asking more of a push loses no buyers.", "decides: conversion", "Your name, kept on record.")
    page.keep("approval")
    page.fill_in("Ada")
    page.press("Submit")
    _await(lambda: _ended(prefect, run), 240, "answer")
    assert prefect.get(f"/flow_runs/{run}").json()["state"]["message"] == "choosy is waiting"
    typed = [KAIROS, "experiment", "list", "--json"]
    listed = subprocess.run(typed, env=up.environment, capture_output=True, text=True, check=True)
    assert [one["approved_by"] for one in json.loads(listed.stdout)] == ["Ada"]


@pytest.mark.browser
def test_a_person_sees_the_history_of_drift(up: Up, browser: Browser) -> None:
    def projects() -> list[dict[str, Any]] | None:
        try:
            return httpx.get(f"{up.addresses.history_url}/api/projects", timeout=60).json()
        except httpx.TransportError:
            return None

    (project,) = _await(projects, 120, "Evidently")
    page = browser.open(f"{up.addresses.history_url}/projects/{project['id']}/reports")
    page.sees("Drift of scores", str(AS_OF))
    page.click("View")
    page.sees("Drift in column 'score'", "Data drift not detected")
    page.keep("drift")


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest, home: Path) -> Iterator[Browser]:
    """Chromium; its pictures go where `--pictures` says, or to a folder that ends with the tests."""
    with browser_at(request.config.getoption("--pictures") or home.parent / "pictures") as opened:
        yield opened


def test_events_start_runs(up: Up, prefect: httpx.Client) -> None:
    cycle = prefect.get("/deployments/name/cycle/scheduled").json()["id"]
    assert prefect.post("/events", json=[_drift()]).status_code < 300
    _await(lambda: _started_by_event(prefect, cycle), 180, "cycle that drift called for")
    train = prefect.get("/deployments/name/train/scheduled").json()["id"]
    crashed = prefect.post(f"/deployments/{train}/create_flow_run", json=_in_a_week()).json()["id"]
    _set_state(prefect, crashed, "CRASHED")
    _await(lambda: _is_due_again(prefect, crashed), 180, "second start of a crashed run")
    _set_state(prefect, crashed, "CANCELLED")
    watch = up.settings.home / "prefect" / "alerts.log"
    looked = "runs of the last two days, no flow in trouble"
    _await(lambda: True if looked in watch.read_text() else None, 60, "look at the flows")


def test_a_second_up_says_what_runs_and_the_end_leaves_nothing(up: Up) -> None:
    second = subprocess.run([KAIROS, "up"], env=up.environment, capture_output=True, text=True)
    assert second.returncode == 0
    assert f"runs already (process {up.process.pid})" in second.stdout
    assert up.addresses.ui_url in second.stdout
    family = psutil.Process(up.process.pid).children(recursive=True)
    assert family
    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(timeout=60) == 0
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []
    assert running_platform(up.settings) is None


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


def _experiment() -> dict[str, Any]:
    """One so coarse that the few users of the small market tell it."""
    return {
        "name": "choosy",
        "hypothesis": "Asking more of a push loses no buyers.",
        "owner": "crm",
        "start": str(AS_OF + timedelta(days=1)),
        "share": 1.0,
        "primary": "conversion",
        "mde": 5.0,
        "looks": [7],
        "arm": [
            {"name": "control", "share": 0.5},
            {"name": "choosy", "share": 0.5, "policy": {"min_expected_value": 0.2}},
        ],
    }


def _in_a_week() -> dict[str, Any]:
    later = datetime.now(UTC) + timedelta(days=7)
    return {"state": {"type": "SCHEDULED", "state_details": {"scheduled_time": later.isoformat()}}}


def _set_state(client: httpx.Client, run: str, state: str) -> None:
    told = {"state": {"type": state}, "force": True}
    assert client.post(f"/flow_runs/{run}/set_state", json=told).status_code < 300


def _is_due_again(client: httpx.Client, run: str) -> bool | None:
    return None if _is_in(client, run, "CRASHED") else True


def _started_by_event(client: httpx.Client, deployment: str) -> bool | None:
    """True once the deployment has a run to come that no schedule made; it is cancelled."""
    wanted = {"deployments": {"id": {"any_": [deployment]}}, "limit": 200}
    runs = client.post("/flow_runs/filter", json=wanted).json()
    for run in runs:
        if not run["auto_scheduled"] and run["state_type"] not in ENDED:
            _set_state(client, run["id"], "CANCELLED")
            return True
    return None


def _ended(client: httpx.Client, run: str) -> str | None:
    state = client.get(f"/flow_runs/{UUID(run)}").json()["state"]["type"]
    return state if state in ENDED else None


def _is_in(client: httpx.Client, run: str, state: str) -> bool | None:
    return True if client.get(f"/flow_runs/{run}").json()["state"]["type"] == state else None


def _process_of(run: str) -> psutil.Process | None:
    """The process that executes a run."""
    for process in psutil.process_iter():
        try:
            if process.environ().get("PREFECT__FLOW_RUN_ID") == run:
                return process
        except psutil.Error:
            continue
    return None


def _process_with(up: Up, word: str) -> psutil.Process | None:
    """The child of the platform whose command has the word."""
    children = psutil.Process(up.process.pid).children()
    return next((child for child in children if word in child.cmdline()), None)
