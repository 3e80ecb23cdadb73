"""Runs whose process was killed: they are handed to the worker again, with the parameters they had.

Where nobody saw it end, Prefect believes them to be running for ever, and they keep their places in pool and
limit; where the worker saw it, they have crashed.
Every flow goes on where it stood, so that a second start costs what is left of the work.
"""

from __future__ import annotations

import time
from collections import Counter
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
_CRASHED_LATELY = timedelta(hours=1)
"""A crash as long ago is somebody's to look at: what was due then may not be wanted any more."""
_HANDED_OUT = timedelta(minutes=2)
"""How long the worker may take from a run's hand-out to its process."""
_RUN_ID = "PREFECT__FLOW_RUN_ID"


@dataclass
class InterruptedRuns:
    """What was seen, from one look to the next."""

    _missed: set[UUID] = field(default_factory=set)
    _crashes: Counter[UUID] = field(default_factory=Counter)
    _next_look: float = 0.0

    def hand_out_again(self) -> list[str]:
        """The names of runs that crashed, or were missed at two looks in a row, and are due again now."""
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
        active = _runs_in(client, "RUNNING", "PENDING", "CANCELLING")
        alive = _run_ids_of_processes() if active else set()
        missed = {run.id for run in active if str(run.id) not in alive and not _is_being_started(run, now)}
        gone = [run for run in active if run.id in missed & self._missed]
        self._missed = missed - {run.id for run in gone}
        crashed = [run for run in _runs_in(client, "CRASHED") if self._is_to_go_on(run, now)]
        self._crashes.update(run.id for run in crashed)
        for run in (*gone, *crashed):
            _set_free(client, run, now)
        return [run.name for run in (*gone, *crashed)]

    def _is_to_go_on(self, run: Any, now: datetime) -> bool:
        """Whether a crashed run is worth another start; one that crashes before it runs counts no start."""
        starts = max(run.run_count, self._crashes[run.id])
        return now - run.state.timestamp < _CRASHED_LATELY and starts < _MOST_STARTS


def _runs_in(client: SyncPrefectClient, *states: str) -> list[Any]:
    """Runs of our pool in one of these states, the newest first."""
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
        WorkPoolFilter,
        WorkPoolFilterName,
    )
    from prefect.client.schemas.sorting import FlowRunSort
    from prefect.states import StateType

    types = [StateType(state) for state in states]
    return client.read_flow_runs(
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
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
