"""`infra/prefect.yaml`, read: every flow that runs by itself, and what is done when one does not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from features.calendar import zone_named
from features.errors import UsageError

FILE = Path(__file__).with_name("prefect.yaml")
SHOP_TIMEZONE = "default_timezone"


@dataclass(frozen=True)
class ScheduledFlow:
    """A flow and its schedule.

    Attributes:
        deployment: The deployment's name, which says whether it runs by itself.
        entrypoint: Importable name of the flow.
        cron: Minute, hour, day, month, weekday; None runs only when asked.
        when: The same in words.
        too_late: A run that starts later than this does nothing; None: better late than never.
        concurrency_limit: Runs at once; None for any number.
        tags: What runs can be looked for by.
        event: Starts it as well.
    """

    deployment: str
    entrypoint: str
    cron: str | None
    when: str
    too_late: timedelta | None
    concurrency_limit: int | None
    tags: tuple[str, ...]
    event: str | None

    @property
    def name(self) -> str:
        """The flow's name, which is its function's."""
        return self.entrypoint.rpartition(".")[2]


@dataclass(frozen=True)
class FlowAutomation:
    """What is done by itself about a flow run.

    Attributes:
        after: The event that arms it; None for one that is always armed.
        expect: The event it acts on, or, if `proactive`, the one whose absence it acts on.
        tag: Runs it looks at.
        within: How long a proactive one waits, and how long a reactive one rests after it acted.
        action: cancel-flow-run or run-deployment.
    """

    name: str
    description: str
    after: str | None
    expect: str
    tag: str
    within: timedelta
    proactive: bool
    action: str


@dataclass(frozen=True)
class DeploymentTable:
    """The whole file.

    Attributes:
        timezone: IANA zone of every schedule; None: the shop's own.
    """

    pool: str
    pool_limit: int
    timezone: str | None
    flows: tuple[ScheduledFlow, ...]
    automations: tuple[FlowAutomation, ...]

    @property
    def scheduled(self) -> tuple[ScheduledFlow, ...]:
        """Those that run by themselves."""
        return tuple(flow for flow in self.flows if flow.cron is not None)

    def flow(self, name: str) -> ScheduledFlow:
        """The flow of this name."""
        return next(flow for flow in self.flows if flow.name == name)


@lru_cache(maxsize=1)
def deployment_table(file: Path = FILE) -> DeploymentTable:
    """The table as the file has it.

    Raises:
        UsageError: The file is damaged; names what is wrong.
    """
    import yaml

    try:
        told = yaml.safe_load(file.read_text(encoding="utf-8"))
        zone = None if told["timezone"] == SHOP_TIMEZONE else zone_named(told["timezone"]).key
        return DeploymentTable(
            pool=told["work_pool"]["name"],
            pool_limit=told["work_pool"]["concurrency_limit"],
            timezone=zone,
            flows=tuple(_flow(one) for one in told["deployments"]),
            automations=tuple(_automation(one) for one in told["automations"]),
        )
    except KeyError as error:
        raise UsageError(f"{file}: {error.args[0]} is missing; put it in, see the other entries.") from None
    except (yaml.YAMLError, TypeError) as error:
        raise UsageError(f"{file} cannot be read: {' '.join(str(error).split())}; correct it.") from None


def _flow(told: dict[str, Any]) -> ScheduledFlow:
    late = told.get("too_late_minutes")
    return ScheduledFlow(
        deployment=told["name"],
        entrypoint=told["entrypoint"],
        cron=told.get("cron"),
        when=told["when"],
        too_late=None if late is None else timedelta(minutes=late),
        concurrency_limit=told.get("concurrency_limit"),
        tags=tuple(told["tags"]),
        event=told.get("event"),
    )


def _automation(told: dict[str, Any]) -> FlowAutomation:
    trigger = told["trigger"]
    return FlowAutomation(
        name=told["name"],
        description=told["description"],
        after=trigger.get("after"),
        expect=trigger["expect"],
        tag=trigger["tag"],
        within=timedelta(minutes=trigger["within_minutes"]),
        proactive=trigger["posture"] == "Proactive",
        action=told["action"],
    )
