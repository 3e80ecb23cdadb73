"""Thousands of experiments in a few processes: the same experiments however many there are."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

from tests.benchmarks.scoring_parts.part import Effort, Say

T = TypeVar("T")
FULL = 3_000
_CHUNK = 50


def how_many(effort: Effort, full: int = FULL) -> int:
    """Experiments at this effort."""
    return max(int(full * max(effort.sizes)), 40)


def simulated(
    one: Callable[..., T], arguments: Sequence[Any], count: int, effort: Effort, say: Say, words: str
) -> list[T]:
    """What `one(*arguments, seed, number)` returns for each of `count` experiments, in order.

    Args:
        one: A function of a module, so that another process finds it.
    """
    starts = range(0, count, _CHUNK)
    chunks = [(one, tuple(arguments), effort.seed, start, min(start + _CHUNK, count)) for start in starts]
    if effort.threads < 2:
        return [done for chunk in chunks for done in _chunk(*chunk)]
    found: list[T] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(effort.threads, mp_context=context) as pool:
        for done in pool.map(_chunk, *zip(*chunks, strict=True)):
            found += done
            say(f"{words}: {len(found):,} of {count:,}")
    return found


def _chunk(one: Callable[..., T], arguments: tuple[Any, ...], seed: int, start: int, stop: int) -> list[T]:
    return [one(*arguments, seed, number) for number in range(start, stop)]
