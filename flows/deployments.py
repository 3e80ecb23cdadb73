"""Every flow that runs by itself, and when: the one table to review before a schedule changes.

All of them share one work pool that runs one flow at a time, because they write the same home.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from infra.settings import Settings

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

WORK_POOL = "kairos"
DEPLOYMENT = "scheduled"
BY_HAND = "by-hand"


@dataclass(frozen=True)
class ScheduledFlow:
    """A flow and its schedule.

    Attributes:
        entrypoint: Importable name of the flow.
        cron: Minute, hour, day, month, weekday in `Settings.default_timezone`; None runs only when asked.
        when: The same in words.
        event: Starts it as well.
    """

    entrypoint: str
    cron: str | None
    when: str
    event: str | None = None

    @property
    def name(self) -> str:
        """The flow's name, which is its function's."""
        return self.entrypoint.rpartition(".")[2]

    @property
    def deployment(self) -> str:
        """The deployment's name, which says whether it runs by itself."""
        return DEPLOYMENT if self.cron is not None else BY_HAND


DRIFT_FAILED = "kairos.drift.failed"
"""The event that a failed drift verdict emits."""

SCHEDULED_FLOWS = (
    ScheduledFlow("flows.ingest.ingest", "5 * * * *", "every hour at :05"),
    ScheduledFlow("flows.materialize.materialize", "20 * * * *", "every hour at :20"),
    ScheduledFlow("flows.train.train", "0 1 * * 1", "Mondays at 01:00"),
    # It trains and asks the gate: what drift calls for.
    ScheduledFlow("flows.cycle.cycle", "0 2 * * *", "every night at 02:00, and on drift", DRIFT_FAILED),
    ScheduledFlow("flows.score.score", "30 3 * * *", "every night at 03:30"),
    ScheduledFlow("flows.monitor.monitor", "0 4 * * *", "every night at 04:00"),
)

UNSCHEDULED_FLOWS = (
    ScheduledFlow("flows.backfill.backfill", None, "when asked"),
    # Not on the pool's schedule, where a night's training would make pushes late: `kairos dispatch --watch`.
    ScheduledFlow("flows.dispatch.dispatch", None, "when asked"),
)
DEPLOYED_FLOWS = (*SCHEDULED_FLOWS, *UNSCHEDULED_FLOWS)


def import_flows(flows: tuple[ScheduledFlow, ...] = DEPLOYED_FLOWS) -> dict[str, Any]:
    """The flows by name, imported; seconds the first time."""
    from prefect.utilities.importtools import import_object

    return {flow.name: import_object(flow.entrypoint) for flow in flows}


def ensure_work_pool(client: SyncPrefectClient) -> None:
    """Nothing; the pool exists and runs one flow at a time."""
    from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.workers.process import ProcessWorker

    pool = WorkPoolCreate(
        name=WORK_POOL,
        type=ProcessWorker.type,
        base_job_template=ProcessWorker.get_default_base_job_template(),
        concurrency_limit=1,
    )
    try:
        client.create_work_pool(pool)
    except ObjectAlreadyExists:
        client.update_work_pool(WORK_POOL, WorkPoolUpdate(concurrency_limit=1))


def deploy(settings: Settings, flows: tuple[ScheduledFlow, ...] = DEPLOYED_FLOWS) -> dict[str, UUID]:
    """The deployments' ids by name (`cycle/scheduled`), made or brought up to date on the server in use."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        ensure_work_pool(client)
    return {f"{flow.name}/{flow.deployment}": _deploy_one(flow, settings) for flow in flows}


def _triggers(scheduled: ScheduledFlow) -> list[Any]:
    """What starts the flow beside its schedule; one run for all that happens within an hour."""
    from prefect.events import DeploymentEventTrigger

    if scheduled.event is None:
        return []
    return [
        DeploymentEventTrigger(
            name=f"{scheduled.name} on {scheduled.event}",
            expect={scheduled.event},
            match={"prefect.resource.id": "kairos.*"},
            threshold=1,
            within=timedelta(hours=1),
        )
    ]


def _deploy_one(scheduled: ScheduledFlow, settings: Settings) -> UUID:
    from prefect.deployments.runner import EntrypointType
    from prefect.schedules import Cron

    flow = import_flows((scheduled,))[scheduled.name]
    deployment = flow.to_deployment(
        name=scheduled.deployment,
        schedules=[Cron(scheduled.cron, timezone=settings.default_timezone)] if scheduled.cron else [],
        triggers=_triggers(scheduled),
        work_pool_name=WORK_POOL,
        description=f"{(flow.description or '').strip()}\n\nRuns {scheduled.when}.".strip(),
        # A process worker otherwise starts each run in a new temporary folder, where kairos.toml is not.
        job_variables={"working_dir": str(Path.cwd()), "env": {"KAIROS_HOME": str(settings.home)}},
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    return UUID(str(deployment.apply()))
