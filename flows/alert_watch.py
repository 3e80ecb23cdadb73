"""The watch on the flows themselves: late, failed and crashed runs and automations become alerts.

It runs beside the worker, in a process of its own: what has crashed cannot report itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from features.errors import KairosError
from flows.alerts import raise_alert, recovered, tell
from flows.task_policy import SKIPPED
from flows.wiring import Stores
from monitoring.alert_words import AlertFacts
from monitoring.flow_health import FlowRunSeen, RunState, judge_runs

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

_LOOK_SECONDS = 20.0
_LOOK_BACK = timedelta(hours=48)
_AUTOMATION_FAILED = "prefect.automation.action.failed"
_STATES: dict[str, RunState] = {
    "COMPLETED": "completed",
    "FAILED": "failed",
    "CRASHED": "crashed",
    "SCHEDULED": "waiting",
    "PENDING": "waiting",
    "RUNNING": "running",
    "CANCELLED": "cancelled",
}


def watch_alerts(
    stores: Stores,
    once: bool = False,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[str]:
    """What changed, a line each time something did; endless unless `once`."""
    known: str | None = None
    while True:
        try:
            words = _look(stores, clock())
        except KairosError as error:
            words = f"could not look: {error}"
        if once or words != known:
            yield f"{clock():%Y-%m-%d %H:%M} UTC: {words}"
            known = words
        if once:
            return
        sleep(_LOOK_SECONDS)


def _look(stores: Stores, now: datetime) -> str:
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectException

    try:
        with get_client(sync_client=True) as client:
            runs = seen_runs(client, now)
            failed = failed_automations(client, now)
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        raise KairosError(
            f"Prefect does not answer ({type(error).__name__}); is kairos up running?"
        ) from None
    verdicts = judge_runs(runs, now)
    for one in verdicts:
        if one.facts is None:
            recovered(stores, one.kind, one.flow, now)
        elif not _known_already(stores, one.kind, one.flow, one.facts):
            raise_alert(stores, one.kind, one.facts, one.flow, now=now)
    _automations(stores, failed, now)
    told = tell(stores, now)
    wrong = sorted(f"{one.flow} ({one.kind})" for one in verdicts if one.facts is not None)
    words = f"{len(runs)} runs of the last two days, " + (
        f"in trouble: {', '.join(wrong)}" if wrong else "no flow in trouble"
    )
    return words + "".join(f"; {name} failed: {why}" for name, why in told.failures)


def seen_runs(client: SyncPrefectClient, now: datetime) -> list[FlowRunSeen]:
    """The deployed flows' runs that were due in the last two days."""
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterDeploymentId,
        FlowRunFilterExpectedStartTime,
    )
    from prefect.client.schemas.sorting import FlowRunSort

    asked = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(is_null_=False),
        expected_start_time=FlowRunFilterExpectedStartTime(after_=now - _LOOK_BACK, before_=now),
    )
    deployments = {one.id: one.name for one in client.read_deployments(limit=200)}
    flows = {one.id: one.name for one in client.read_flows(limit=200)}
    ui = str(client.api_url).removesuffix("/").removesuffix("/api")
    runs = client.read_flow_runs(flow_run_filter=asked, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=200)
    return [_seen(run, flows, deployments, ui) for run in runs if run.state is not None]


def _seen(run: Any, flows: dict[Any, str], deployments: dict[Any, str], ui: str) -> FlowRunSeen:
    message = " ".join((run.state.message or "").split())
    state = _STATES.get(run.state.type.value, "running")
    if state == "failed" and SKIPPED in message:
        state = "skipped"
    name = f"{flows.get(run.flow_id, 'flow')}/{deployments.get(run.deployment_id, 'deployment')}"
    return FlowRunSeen(
        flow=name,
        state=state,
        due_at=run.expected_start_time or run.created,
        ended_at=run.end_time,
        message=message[:500],
        link=f"{ui}/runs/flow-run/{run.id}",
    )


def failed_automations(client: SyncPrefectClient, now: datetime) -> list[str]:
    """Why automations could not act in the last hour, newest first."""
    from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter

    asked = EventFilter(
        event=EventNameFilter(name=[_AUTOMATION_FAILED]),
        occurred=EventOccurredFilter(since=now - timedelta(hours=1), until=now),
    )
    page = client.read_events(asked, limit=20)
    return [str(event.payload.get("reason", ""))[:300] or "no reason given" for event in page.events]


def _automations(stores: Stores, reasons: Sequence[str], now: datetime) -> None:
    if not reasons:
        recovered(stores, "automation_failed", now=now)
        return
    facts = AlertFacts(f"{len(reasons)} times in the last hour", reasons[0])
    if not _known_already(stores, "automation_failed", "", facts):
        raise_alert(stores, "automation_failed", facts, now=now)


def _known_already(stores: Stores, kind: str, subject: str, facts: AlertFacts) -> bool:
    """Whether just this is on record: a watch that looks every few seconds must not count the same again."""
    return any(
        one.row["kind"] == kind
        and one.row["subject"] == subject
        and one.row["details"].get("how_bad", "") == facts.how_bad
        for one in stores.alerts.read(limit=1_000)
    )
