"""Runs whose process was killed before it could say how it ended: they are handed to the worker again.

Prefect believes them to be running for ever, and they keep their places in pool and limit.
Every flow goes on where it stood, so that a second start costs what is left of the work.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psutil

from infra.deployment_table import deployment_table

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

_LOOK_SECONDS = 5.0
_MOST_STARTS = 8
"""A run that is killed as often is given up: it may be what kills."""
_HANDED_OUT = timedelta(minutes=2)
"""How long the worker may take from a run's hand-out to its process."""
_RUN_ID = "PREFECT__FLOW_RUN_ID"


@dataclass
class InterruptedRuns:
    """What was seen, from one look to the next."""

    _missed: set[UUID] = field(default_factory=set)
    _next_look: float = 0.0

    def hand_out_again(self) -> list[str]:
        """The names of runs that were missed at two looks in a row, and are due again now."""
        import httpx
        from prefect.client.orchestration import get_client
        from prefect.exceptions import PrefectException

        if time.monotonic() < self._next_look:
            return []
        try:
            with get_client(sync_client=True) as client:
                return self._look(client, datetime.now(UTC))
        except (httpx.HTTPError, PrefectException, RuntimeError):  # the server is gone: the next look will do
            return []
        finally:
            self._next_look = time.monotonic() + _LOOK_SECONDS

    def _look(self, client: SyncPrefectClient, now: datetime) -> list[str]:
        active = _active_runs(client)
        alive = _run_ids_of_processes() if active else set()
        missed = {run.id for run in active if str(run.id) not in alive and not _is_being_started(run, now)}
        gone = [run for run in active if run.id in missed & self._missed]
        self._missed = missed - {run.id for run in gone}
        for run in gone:
            _set_free(client, run, now)
        return [run.name for run in gone]


def _active_runs(client: SyncPrefectClient) -> list[Any]:
    """Runs of our pool that Prefect believes to have a process."""
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
        WorkPoolFilter,
        WorkPoolFilterName,
    )
    from prefect.states import StateType

    types = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
    return client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=types))),
        work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[deployment_table().pool])),
    )


def _run_ids_of_processes() -> set[str]:
    """The runs that have a process on this machine."""
    found = set()
    for process in psutil.process_iter():
        try:
            found.add(process.environ().get(_RUN_ID, ""))
        except (psutil.Error, OSError):
            continue
    return found


def _is_being_started(run: Any, now: datetime) -> bool:
    """Whether the worker took it just now and has no process for it yet."""
    return (
        run.state.is_pending() and run.infrastructure_pid is None and now - run.state.timestamp < _HANDED_OUT
    )


def _set_free(client: SyncPrefectClient, run: Any, now: datetime) -> None:
    """Nothing; the run is due again, or ended, and holds no place any more."""
    from prefect.states import AwaitingRetry, Cancelled, Crashed

    if run.state.is_cancelling():
        state = Cancelled(message="Its process is gone.")
    elif run.run_count >= _MOST_STARTS:
        state = Crashed(message=f"Its process was killed {run.run_count} times; given up.")
    else:
        state = AwaitingRetry(
            scheduled_time=now, message="Its process was killed; it goes on where it stood."
        )
    client.set_flow_run_state(run.id, state)
