"""`infra/prefect.yaml` on a Prefect server: work pool, deployments with their schedules, automations."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flows.process_environment import QUIET
from infra.deployment_table import FlowAutomation, ScheduledFlow, deployment_table
from infra.settings import Settings

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

DRIFT_FAILED = "kairos.drift.failed"
"""The event that a failed drift verdict emits."""


def import_flows(flows: tuple[ScheduledFlow, ...] | None = None) -> dict[str, Any]:
    """The flows by name, imported, all by default; seconds the first time."""
    from prefect.utilities.importtools import import_object

    wanted = deployment_table().flows if flows is None else flows
    return {flow.name: import_object(flow.entrypoint) for flow in wanted}


def ensure_work_pool(client: SyncPrefectClient) -> None:
    """Nothing; the pool exists and runs as many flows at a time as the table says."""
    from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.workers.process import ProcessWorker

    table = deployment_table()
    pool = WorkPoolCreate(
        name=table.pool,
        type=ProcessWorker.type,
        base_job_template=ProcessWorker.get_default_base_job_template(),
        concurrency_limit=table.pool_limit,
    )
    try:
        client.create_work_pool(pool)
    except ObjectAlreadyExists:
        client.update_work_pool(table.pool, WorkPoolUpdate(concurrency_limit=table.pool_limit))


def deploy(settings: Settings) -> dict[str, UUID]:
    """The deployments' ids by name (`cycle/scheduled`), made or brought up to date on the server in use."""
    from prefect.client.orchestration import get_client

    table = deployment_table()
    with get_client(sync_client=True) as client:
        ensure_work_pool(client)
        deployed = {f"{flow.name}/{flow.deployment}": _deploy_one(flow, settings) for flow in table.flows}
        for automation in table.automations:
            _automate(client, automation)
    return deployed


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
    table = deployment_table()
    zone = table.timezone or settings.default_timezone
    late = "" if scheduled.too_late is None else f" A run that starts {scheduled.too_late} late is skipped."
    deployment = flow.to_deployment(
        name=scheduled.deployment,
        schedules=[Cron(scheduled.cron, timezone=zone)] if scheduled.cron else [],
        triggers=_triggers(scheduled),
        tags=list(scheduled.tags),
        concurrency_limit=scheduled.concurrency_limit,
        work_pool_name=table.pool,
        description=f"{(flow.description or '').strip()}\n\nRuns {scheduled.when}.{late}".strip(),
        # A process worker otherwise starts each run in a new temporary folder, where kairos.toml is not, and
        # with the environment of whoever started the worker.
        job_variables={
            "working_dir": str(Path.cwd()),
            "env": {**QUIET, "KAIROS_HOME": str(settings.home)},
        },
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    return UUID(str(deployment.apply()))


def _automate(client: SyncPrefectClient, wanted: FlowAutomation) -> None:
    """Nothing; the automation is on the server as the table has it."""
    from prefect.automations import AutomationCore, EventTrigger
    from prefect.events.actions import CancelFlowRun, RunDeployment
    from prefect.events.schemas.automations import Posture

    trigger = EventTrigger(
        after={wanted.after} if wanted.after else set(),
        expect={wanted.expect},
        match={"prefect.resource.id": "prefect.flow-run.*"},
        match_related={
            "prefect.resource.id": f"prefect.tag.{wanted.tag}",
            "prefect.resource.role": "tag",
        },
        for_each={"prefect.resource.id" if wanted.proactive else "related:deployment:prefect.resource.id"},
        posture=Posture.Proactive if wanted.proactive else Posture.Reactive,
        threshold=1,
        within=wanted.within,
    )
    action = CancelFlowRun() if wanted.action == CancelFlowRun().type else RunDeployment(source="inferred")
    automation = AutomationCore(
        name=wanted.name, description=wanted.description, trigger=trigger, actions=[action]
    )
    for known in client.read_automations_by_name(wanted.name):
        client.delete_automation(known.id)
    client.create_automation(automation)
