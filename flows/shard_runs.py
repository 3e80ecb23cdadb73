"""Shards one after the other here, or side by side on a Dask cluster; each by itself, in any order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from features.errors import KairosError
from flows.task_policy import RETRIES, RETRY_DELAY_SECONDS, is_worth_retrying


@task(
    name="shard",
    task_run_name="{what} shard {number}",
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAY_SECONDS,
    retry_condition_fn=is_worth_retrying,
    cache_policy=NO_CACHE,
    persist_result=False,
)
def _one(what: str, number: int, work: Callable[..., None], arguments: dict[str, Any]) -> int:
    """The shard's number; its result lies on disk."""
    work(number=number, **arguments)
    return number


@flow(name="shards", flow_run_name="{what} {count} shards", persist_result=False, validate_parameters=False)
def _all(
    what: str,
    count: int,
    numbers: list[int],
    work: Callable[..., None],
    arguments: dict[str, Any],
    advance: Callable[[int, int], None],
) -> None:
    futures = [_one.submit(what, number, work, arguments) for number in numbers]
    # All are waited for: what is finished is kept, whichever fails.
    states = []
    for done, future in enumerate(futures, 1):
        future.wait()
        states.append(future.state)
        advance(count - len(numbers) + done, count)
    for state in states:
        state.result()


def run_shards(
    what: str,
    work: Callable[..., None],
    numbers: Sequence[int],
    count: int,
    address: str | None,
    advance: Callable[[int, int], None],
    **arguments: Any,
) -> None:
    """Nothing; `work` was done for each shard of `numbers`.

    Args:
        what: In a word: score, plan.
        work: A function of a module of ours that takes `number` and `arguments` and writes its result to the
            home; it runs in this process, or on any worker that shares the home, possibly more than once.
        numbers: Shards that are still to be done, of `count`.
        address: Of a Dask scheduler; None runs here, one at a time, which bounds memory.
        advance: Told (shards done, of).
    """
    if not numbers:
        return
    if address is None and count == 1:
        _one(what, 0, work, arguments)
        return
    runner: TaskRunner[Any] = ThreadPoolTaskRunner(max_workers=1)
    if address is not None:
        from prefect_dask import DaskTaskRunner  # seconds that only a cluster's user waits

        runner = DaskTaskRunner(address=address)
    try:
        _all.with_options(task_runner=runner)(what, count, list(numbers), work, arguments, advance)
    except OSError as error:
        if address is None:
            raise
        raise KairosError(
            f"the Dask cluster at {address} failed: {error}; run again, finished shards are kept, or unset "
            "KAIROS_DASK_ADDRESS to run here."
        ) from error
