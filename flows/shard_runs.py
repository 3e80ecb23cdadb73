"""Shards side by side in processes here, or on a Dask cluster; each by itself, in any order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from features.errors import MachineError
from flows.shard_processes import ShardProcesses
from flows.task_policy import RETRIES, RETRY_DELAY_SECONDS, is_worth_retrying
from infra.settings import Settings


@task(
    name="shard",
    task_run_name="{what} shard {number}",
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAY_SECONDS,
    retry_condition_fn=is_worth_retrying,
    cache_policy=NO_CACHE,
    persist_result=False,
)
def _one(
    what: str,
    number: int,
    work: Callable[..., Any],
    arguments: dict[str, Any],
    processes: ShardProcesses | None,
) -> Any:
    """What the work tells of the shard, whose result lies on disk."""
    if processes is None:
        return work(number=number, **arguments)
    return processes.run(work, number=number, **arguments)


@flow(name="shards", flow_run_name="{what} {count} shards", persist_result=False, validate_parameters=False)
def _all(
    what: str,
    count: int,
    numbers: list[int],
    work: Callable[..., Any],
    arguments: dict[str, Any],
    processes: ShardProcesses | None,
    advance: Callable[[int, int], None],
) -> list[Any]:
    futures = [_one.submit(what, number, work, arguments, processes) for number in numbers]
    # All are waited for: what is finished is kept, whichever fails.
    states = []
    for done, future in enumerate(futures, 1):
        future.wait()
        states.append(future.state)
        advance(count - len(numbers) + done, count)
    return [state.result() for state in states]


def run_shards(
    what: str,
    work: Callable[..., Any],
    numbers: Sequence[int],
    count: int,
    settings: Settings,
    processes: ShardProcesses | None,
    advance: Callable[[int, int], None],
    **arguments: Any,
) -> list[Any]:
    """What `work` told of each shard of `numbers`.

    Args:
        what: In a word: score, plan.
        work: A function of a module of ours that takes `number`, `threads` and `arguments` and writes its
            result to the home; it runs here, in one of `processes`, or on any worker that shares the home,
            possibly more than once. What it returns is small.
        numbers: Shards that are still to be done, of `count`.
        settings: Which Dask scheduler's workers make them, if any.
        processes: Of this machine; None, or a single one: this very process does it all.
        advance: Told (shards done, of).
    """
    if not numbers:
        return []
    address = settings.dask_address
    wide = 1 if processes is None or address is not None else processes.count
    beside = None if wide == 1 else processes
    arguments["threads"] = max(settings.threads // wide, 1)
    if address is None and count == 1:
        return [_one(what, 0, work, arguments | {"threads": settings.threads}, None)]
    runner: TaskRunner[Any] = ThreadPoolTaskRunner(max_workers=wide)
    if address is not None:
        from prefect_dask import DaskTaskRunner  # seconds that only a cluster's user waits

        runner = DaskTaskRunner(address=address)
    try:
        every = _all.with_options(task_runner=runner)
        return every(what, count, list(numbers), work, arguments, beside, advance)
    except OSError as error:
        if address is None:
            raise
        raise MachineError(
            f"the Dask cluster at {address} failed: {error}; run again, finished shards are kept, or unset "
            "KAIROS_DASK_ADDRESS to run here."
        ) from error
