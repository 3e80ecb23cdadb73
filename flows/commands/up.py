"""`kairos up`: the whole platform, until Ctrl-C."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from flows.prefect_server import PlatformAddresses
    from infra.settings import Settings


def up() -> None:
    """Start Postgres, the Prefect server with its UI, a worker and every schedule; Ctrl-C stops all of it."""
    from contextlib import ExitStack
    from datetime import UTC, datetime

    from flows.commands.output import console, progress_console, table
    from flows.prefect_server import running_platform
    from flows.process_environment import prefect_home
    from flows.progress import showing_progress
    from infra.settings import load_settings

    settings = load_settings()
    out = console()
    already = running_platform(settings)
    if already is not None and already.is_watched:
        out.print(f"kairos up runs already (process {already.pid}):")
        out.print(_address_table(settings, already))
        return

    from flows.platform import running

    try:
        with ExitStack() as stack:
            with showing_progress(progress_console()):
                platform = stack.enter_context(running(settings))
            out.print(_address_table(settings, platform.addresses))
            title = f"\nRuns by itself, by the clock of {platform.timezone}"
            out.print(table(title, ("flow", "when"), platform.schedules))
            out.print(f"\nLogs: {prefect_home(settings)}\nCtrl-C stops everything.", soft_wrap=True)

            def say(words: str) -> None:
                out.print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC: {words}", soft_wrap=True)

            platform.watch(say)
    except KeyboardInterrupt:
        # Here Ctrl-C is how one says "done", so it is no failure.
        out.print("stopped")


def _address_table(settings: Settings, addresses: PlatformAddresses) -> Table:
    from flows.commands.output import table

    embedded = settings.database_url is None
    rows = [
        ("Prefect", addresses.ui_url, "runs, logs, schedules"),
        ("reports", addresses.reports_url, "drift, as web pages; /metrics for Prometheus"),
        ("history", addresses.history_url, "drift over time, in Evidently's UI"),
        ("Postgres", "embedded" if embedded else "KAIROS_DATABASE_URL", 'kairos sql "select ..."'),
    ]
    return table(None, ("", "where", "what"), rows)
