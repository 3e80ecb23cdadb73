"""A `kairos up` of its own home, as a program sees it: started, asked, hurt and stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

from infra.postgres_watchdog import postmaster_pid
from tests.flows.small_market import market_settings, write_small_market

READY_SECONDS = 600
_LEFT_ALONE = timedelta(minutes=1)
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
_Found = TypeVar("_Found")


@dataclass
class RunningUp:
    """A platform that runs.

    Attributes:
        program: Its `kairos`.
        cwd: Where it was started.
        environment: What it was started with.
        process: Of the `kairos up` that runs now.
        starts: How often it was started.
    """

    program: Path
    cwd: Path
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes]
    starts: int = 1

    @property
    def home(self) -> Path:
        """Its state."""
        return Path(self.environment["KAIROS_HOME"])

    @property
    def log(self) -> Path:
        """What `kairos up` printed."""
        return self.cwd / "up.log"

    def addresses(self) -> dict[str, Any]:
        """Where its parts answer."""
        told: dict[str, Any] = json.loads((self.home / "up.json").read_text(encoding="utf-8"))
        return told

    def ask(self, path: str, body: Any = None) -> Any:
        """The Prefect server's answer; asked again while it is busy or away."""

        def answer() -> Any:
            with suppress(httpx.HTTPError, OSError, ValueError, KeyError):
                url = f"{self.addresses()['api_url']}{path}"
                got = httpx.get(url, timeout=60) if body is None else httpx.post(url, json=body, timeout=60)
                if got.is_success:
                    return got.json()
            return None

        return awaited(answer, READY_SECONDS, f"answer to {path}")

    def start_run(self, deployment: str, parameters: Mapping[str, Any], due: datetime | None = None) -> str:
        """The id of a new run of `FLOW/DEPLOYMENT`."""
        found = self.ask(f"/deployments/name/{deployment}")["id"]
        when = (due or datetime.now(UTC)).isoformat()
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": when}}
        asked = {"parameters": dict(parameters), "state": state}
        run: str = self.ask(f"/deployments/{found}/create_flow_run", asked)["id"]
        return run

    def run(self, run: str) -> dict[str, Any]:
        """The run as Prefect has it."""
        told: dict[str, Any] = self.ask(f"/flow_runs/{run}")
        return told

    def await_ended(self, run: str, seconds: float) -> dict[str, Any]:
        """The run, ended for good: one that crashed is handed out again within seconds."""

        def look() -> dict[str, Any] | None:
            self.keep_up()
            told = self.run(run)
            return told if has_ended(told) else None

        return awaited(look, seconds, f"end of run {run}", every=1.0)

    def keep_up(self) -> None:
        """Nothing; a `kairos up` that ended was started again, as whoever operates it would do."""
        if self.process.poll() is not None:
            self.starts += 1
            self.process = _started(self.program, self.cwd, self.environment)
        awaited(self._ready, READY_SECONDS, "platform", every=0.1)

    def _ready(self) -> bool | None:
        with suppress(OSError, ValueError, KeyError, httpx.HTTPError):
            told = self.addresses()
            pages = (f"{told['api_url']}/health", told["reports_url"], f"{told['history_url']}/api/projects")
            if all(httpx.get(page, timeout=10).is_success for page in pages):
                return True
        if self.process.poll() is not None and not (self.home / "up.json").exists():
            raise RuntimeError(f"kairos up ended:\n{self.log.read_text()[-2000:]}")
        return None

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Every process of the platform by its part, PostgreSQL's among them."""
        found: dict[str, list[psutil.Process]] = {"kairos up": [psutil.Process(self.process.pid)]}
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.NoSuchProcess):
                name = _part(" ".join(child.cmdline()))
                found.setdefault(name, []).extend([child, *child.children(recursive=True)])
        if (pid := postmaster_pid(self.home / "postgres" / "data")) is not None:
            server = psutil.Process(pid)
            found["PostgreSQL"] = [server, *server.children(recursive=True)]
        return found

    def run_processes(self) -> list[psutil.Process]:
        """The processes that execute runs of this home."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                told = process.environ()
                if "PREFECT__FLOW_RUN_ID" in told and told.get("KAIROS_HOME") == str(self.home):
                    found.append(process)
        return found

    def orphans(self) -> list[str]:
        """Command lines of processes that name this home, in their arguments or their environment."""
        left = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                told = " ".join(process.cmdline())
                ours = process.environ().get("KAIROS_HOME") == str(self.home) or str(self.home) in told
                if ours and process.pid != os.getpid():
                    left.append(told)
        return left

    def stop(self) -> float:
        """Seconds from the request to end until everything had ended."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=120)
        return time.monotonic() - began


def has_ended(run: Mapping[str, Any]) -> bool:
    """Whether the run is over; a crash is the end only where nobody has taken it up for a while."""
    state = run["state"]
    if state["type"] != "CRASHED":
        return state["type"] in ENDED
    return datetime.now(UTC) - datetime.fromisoformat(state["timestamp"]) > _LEFT_ALONE


def _part(command: str) -> str:
    words = {"server start": "Prefect's server", "evidently": "history", " reports": "reports"}
    words |= {"worker start": "worker", "alert watch": "alerts", "postgres_watchdog": "PostgreSQL's watchdog"}
    return next((name for word, name in words.items() if word in command), command[:40])


def awaited(look: Callable[[], _Found | None], seconds: float, what: str, every: float = 0.5) -> _Found:
    """What `look` finds, as soon as that is not None."""
    give_up = time.monotonic() + seconds
    while (found := look()) is None:
        if time.monotonic() > give_up:
            raise RuntimeError(f"no {what} within {seconds:.0f} s")
        time.sleep(every)
    return found


def small_shop_environment(folder: Path) -> dict[str, str]:
    """The environment of a home in `folder` that learns from a small made-up shop."""
    own = market_settings(folder / "home", write_small_market(folder / "market"))
    return {**clean_environment(), **own, "KAIROS_GATEWAY": f"file:{folder / 'sent.jsonl'}"}


def clean_environment() -> dict[str, str]:
    """Ours without what concerns this very process's home, server or Python."""
    dropped = ("KAIROS_", "PREFECT_", "VIRTUAL_ENV", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)}


def a_moment(seconds: float = 5.0) -> datetime:
    """So long from now."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


@contextmanager
def running_up(
    folder: Path, environment: Mapping[str, str], program: Path | None = None
) -> Iterator[RunningUp]:
    """The platform, ready; nothing of it is left afterwards."""
    kairos = program or Path(sys.executable).with_name("kairos")
    up = RunningUp(kairos, folder, environment, _started(kairos, folder, environment))
    try:
        up.keep_up()
        yield up
    finally:
        if up.process.poll() is None:
            up.stop()


def _started(program: Path, cwd: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    with (cwd / "up.log").open("ab") as log:
        return subprocess.Popen(
            [program, "up"], cwd=cwd, env=dict(environment), stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
