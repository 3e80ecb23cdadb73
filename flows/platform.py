"""`kairos up`: PostgreSQL, the Prefect server with its UI, a worker and every schedule, as one thing."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from features.errors import KairosError
from flows.deployments import deploy, import_flows
from flows.interrupted_runs import InterruptedRuns
from flows.prefect_server import (
    HOST,
    PlatformAddresses,
    addresses_file,
    await_server,
    free_port,
    server_command,
    write_addresses,
)
from flows.process_environment import prefect_home, process_environment
from flows.progress import step
from flows.supervisor import Supervisor
from infra.database import open_database
from infra.deployment_table import deployment_table
from infra.embedded_postgres import revive_embedded
from infra.lock import exclusive_lock
from infra.restore_journal import require_no_restore
from infra.settings import Settings

PREFECT_PORT = 4200
REPORTS_PORT = 4280
HISTORY_PORT = 4290
_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Platform:
    """A platform that runs.

    Attributes:
        home: Of the embedded database; None where it is somebody else's to keep.
        schedules: (deployment, when in words) of everything that runs by itself.
        timezone: Whose clock that is.
    """

    home: Path | None
    addresses: PlatformAddresses
    schedules: tuple[tuple[str, str], ...]
    timezone: str
    supervisor: Supervisor

    def watch(self, say: Callable[[str], None]) -> None:
        """Nothing; returns never: what ends by itself is started again, and runs that it took along go on.

        Args:
            say: Told of it.

        Raises:
            KairosError: A part ends again and again.
        """
        runs = InterruptedRuns()
        while True:
            for child in self.supervisor.ended():
                words = f"the {child.name} ended by itself (exit {child.process.returncode})"
                if not self.supervisor.restart(child):
                    raise KairosError(f"{words} again and again; see {child.log}, then run kairos up again.")
                say(f"{words} and was started again; see {child.log}.1")
            if self.home is not None and revive_embedded(self.home):
                say("PostgreSQL ended by itself and was started again; see its server.log.1")
            for name in runs.hand_out_again():
                say(f"the process of run {name!r} is gone; the run is handed out again")
            time.sleep(_LOOK_SECONDS)


@contextmanager
def running(settings: Settings) -> Iterator[Platform]:
    """The platform of this home while the block runs; afterwards nothing of it is left.

    Raises:
        KairosError: Another `kairos up` runs here, or a part does not start.
    """
    folder = prefect_home(settings)
    folder.mkdir(parents=True, exist_ok=True)
    supervisor = Supervisor(folder)
    with exclusive_lock(settings.home / "up.lock", "kairos up"), _terminable():
        try:
            require_no_restore(settings.home)
            supervisor.stop_leftovers()
            with step("PostgreSQL") as current:
                database = open_database(settings)
                current.say(f"schema at revision {database.migrate()}")
            addresses = _start_server(settings, supervisor)
            with step("schedules") as current:
                deployed = deploy(settings)
                current.say(f"{len(deployed)} deployments")
            with step("worker"):
                environment = process_environment(settings, addresses.api_url)
                supervisor.start("worker", worker_command("kairos-up"), environment)
            with step("alerts"):
                # Beside the worker: what has crashed cannot report itself.
                supervisor.start("alerts", _kairos_command("alert", "watch"), environment)
            write_addresses(settings, addresses)
            table = deployment_table()
            schedules = tuple((f"{flow.name}/{flow.deployment}", flow.when) for flow in table.scheduled)
            home = settings.home if settings.database_url is None else None
            timezone = table.timezone or settings.default_timezone
            yield Platform(home, addresses, schedules, timezone, supervisor)
        finally:
            with _undisturbed():
                addresses_file(settings).unlink(missing_ok=True)
                supervisor.stop()


def _start_server(settings: Settings, supervisor: Supervisor) -> PlatformAddresses:
    """The addresses of the started Prefect server and report pages; this process talks to that server too."""
    port, reports_port = free_port(PREFECT_PORT), free_port(REPORTS_PORT)
    history_port = free_port(HISTORY_PORT)
    ui_url = f"http://{HOST}:{port}"
    api_url = f"{ui_url}/api"
    settings.workspace_dir.mkdir(parents=True, exist_ok=True)
    environment = process_environment(settings, api_url)
    with step("Prefect") as current:
        # The UI runs in the browser and must know which address to ask.
        ui = {"PREFECT_SERVER_UI_ENABLED": "true", "PREFECT_SERVER_UI_API_URL": api_url}
        server = supervisor.start("server", server_command(port), {**environment, **ui})
        pages = _kairos_command("reports", "--port", str(reports_port))
        supervisor.start("reports", pages, environment)
        supervisor.start("history", _history_command(settings, history_port), environment)
        os.environ.update(environment)  # before Prefect is imported here
        import_flows()  # takes as long as the server does
        await_server(api_url, server.is_alive, server.log)
        current.say(ui_url)
    pages_url, history_url = (f"http://{HOST}:{one}" for one in (reports_port, history_port))
    return PlatformAddresses(os.getpid(), api_url, ui_url, pages_url, history_url)


def _history_command(settings: Settings, port: int) -> list[str]:
    """Evidently's UI on the workspace; offline, and quiet by the environment's DO_NOT_TRACK."""
    options = ["--workspace", str(settings.workspace_dir), "--host", HOST, "--port", str(port)]
    return [sys.executable, "-m", "evidently.cli", "ui", *options]


def _kairos_command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from flows.cli import main; main()", *arguments]


def worker_command(name: str) -> list[str]:
    """The command of a worker that runs one flow at a time."""
    return [
        *(sys.executable, "-m", "prefect", "worker", "start"),
        *("--pool", deployment_table().pool, "--type", "process", "--name", name, "--limit", "1"),
    ]


@contextmanager
def _terminable() -> Iterator[None]:
    """Nothing; a request to terminate, or a closed terminal, unwinds the block as Ctrl-C does."""

    def interrupt(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    # A shell that starts us in the background has SIGINT ignored, which our children would inherit; Prefect's
    # worker passes its SIGTERM on to itself as SIGINT and would never stop. A handler is not inherited.
    with _handling((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), interrupt):
        yield


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Nothing; a second Ctrl-C does not cut the cleaning up short, which takes seconds at most."""
    with _handling((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), signal.SIG_IGN):
        yield


@contextmanager
def _handling(
    signals: tuple[signal.Signals, ...], handler: Callable[[int, FrameType | None], None] | signal.Handlers
) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
