"""When a task is worth a second attempt, and when a late flow run is worth none."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from prefect.runtime import deployment, flow_run
from prefect.states import State

from features.errors import ContractError, KairosError, RefusedError, UsageError
from infra.deployment_table import deployment_table

SKIPPED = "nothing to do: the next scheduled run covers it"
"""How a run that was handed out too late says so; nobody is paged for it."""

RETRIES = 2
RETRY_DELAY_SECONDS = [10, 60]


async def is_worth_retrying(task: Any, task_run: Any, state: State) -> bool:
    """Whether trying again may help: a scheduled run's lost connection, never a wrong request.

    A person at a terminal sees the message at once instead.
    """
    if deployment.id is None:
        return False
    try:
        await state.aresult()
    except (UsageError, ContractError, RefusedError):
        return False
    except Exception:
        return True
    return False


def check_deadline(flow: str, now: datetime | None = None) -> None:
    """Nothing; a scheduled run has not waited so long that the next one would do its work anyway.

    After a night switched off, Prefect hands out every missed run, oldest first.

    Raises:
        KairosError: It is later than `infra/prefect.yaml` allows the flow to be.
    """
    limit = deployment_table().flow(flow).too_late
    if deployment.id is None or limit is None:
        return
    scheduled = flow_run.scheduled_start_time
    late = (now or datetime.now(UTC)) - scheduled
    if late > limit:
        raise KairosError(
            f"this run was due {scheduled:%Y-%m-%d %H:%M} UTC and starts {late} late, more than {limit}; "
            f"{SKIPPED}."
        )
