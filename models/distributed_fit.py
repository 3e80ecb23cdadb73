"""The same growth on the workers of a Dask cluster: each holds its part of the queries, all grow one model.

LightGBM's data-parallel learning: workers exchange histograms, never rows, so every split is that of all
rows together. The trees differ from those grown here only by the bins, which each worker samples from its own
part, by the draw of rows for a tree and by the last bits of sums; the same rows on as many workers give the
same bytes.

Source:
    Ke et al., "LightGBM: A Highly Efficient Gradient Boosting Decision Tree" (2017); LightGBM's Parallel
    Learning Guide. `lightgbm.dask` is not used: its workers judge different rows, so they would stop at
    different trees.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from distributed import Client

from features.errors import KairosError, UsageError
from models.boosting import Rows, Trees, dataset, grow

CONNECT_SECONDS = 30
MEET_MINUTES = 5
"""How long a worker waits for the others before it gives up; LightGBM's own two hours would hide a loss."""


def grow_on_cluster(
    address: str, settings: Sequence[Mapping[str, Any]], train: Rows, judged: Rows | None, patience: int
) -> list[Trees]:
    """One booster for each of `settings`, grown by all workers of the Dask scheduler at `address`.

    The workers need Kairos installed, as many CPU threads each as `num_threads`, and free ports among
    themselves. Judged rows go to every worker, so that all stop at the same tree; None grows all trees asked.

    Raises:
        UsageError: Nobody answers at the address, or it has no workers.
        KairosError: A worker was lost or failed.
    """
    with _client(address) as client:
        workers = sorted(client.scheduler_info(n_workers=-1)["workers"])
        if not workers:
            raise UsageError(f"the Dask scheduler at {address} has 0 workers, must have one or more.")
        # No more workers than queries: a worker without rows has no bins to offer.
        workers = workers[: len(train.group_sizes)]
        parts = [
            client.scatter(part, workers=[worker], hash=False)
            for part, worker in zip(split_rows(train, len(workers)), workers, strict=True)
        ]
        everywhere = (
            None if judged is None else client.scatter(judged, workers=workers, broadcast=True, hash=False)
        )
        return [_grow_together(client, workers, one, parts, everywhere, patience) for one in settings]


def split_rows(rows: Rows, parts: int) -> list[Rows]:
    """The rows as so many parts of whole queries, in order, about equally many rows each."""
    ends = np.cumsum(rows.group_sizes)
    wanted = np.arange(1, parts) * (int(ends[-1]) / parts)
    # Each part keeps at least one query, however uneven their sizes are.
    fewest = np.arange(1, parts)
    spare = np.clip(np.searchsorted(ends, wanted) + 1 - fewest, 0, len(ends) - parts)
    cuts = np.maximum.accumulate(spare) + fewest
    bounds = np.concatenate([[0], cuts, [len(ends)]]).astype(np.int64)
    starts = np.concatenate([[0], ends]).astype(np.int64)
    return [
        Rows(
            rows.matrix[starts[begin] : starts[end]],
            rows.grade[starts[begin] : starts[end]],
            rows.group_sizes[begin:end],
            rows.names,
            rows.categorical,
        )
        for begin, end in pairwise(bounds)
    ]


def _client(address: str) -> Client:
    try:
        return Client(address, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"no Dask scheduler answers at {address}, must be an address such as tcp://HOST:8786; correct "
            f"KAIROS_DASK_ADDRESS or start one with `dask scheduler` ({error})."
        ) from None


def _grow_together(
    client: Client,
    workers: Sequence[str],
    settings: Mapping[str, Any],
    parts: Sequence[Any],
    judged: Any,
    patience: int,
) -> Trees:
    """The booster that all workers grow; each of them ends with the same one."""
    network = _networks(client, workers)
    futures = [
        client.submit(
            _grow_part,
            dict(settings) | network[worker],
            part,
            judged,
            patience,
            workers=[worker],
            allow_other_workers=False,
            pure=False,
        )
        for worker, part in zip(workers, parts, strict=True)
    ]
    try:
        return client.gather(futures)[0]  # type: ignore[no-any-return]
    except Exception as error:
        client.cancel(futures)
        raise KairosError(
            f"the fit on {len(workers)} Dask workers failed: {error}; see the workers' logs, or unset "
            "KAIROS_DASK_ADDRESS to fit here."
        ) from error


def _networks(client: Client, workers: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What each worker must know to find the others; one worker alone needs no network."""
    if len(workers) == 1:
        return {workers[0]: {}}
    ports = client.run(_free_port, workers=list(workers))
    hosts = {worker: urlsplit(worker).hostname for worker in workers}
    machines = [f"{hosts[worker]}:{ports[worker]}" for worker in workers]
    if len(set(machines)) < len(machines):  # two processes of one host were given the same port in turn
        return _networks(client, workers)
    shared = {
        "machines": ",".join(machines),
        "num_machines": len(machines),
        "tree_learner": "data",
        "pre_partition": True,
        "time_out": MEET_MINUTES,
    }
    return {worker: shared | {"local_listen_port": ports[worker]} for worker in workers}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def _grow_part(settings: Mapping[str, Any], part: Rows, judged: Rows | None, patience: int) -> Trees:
    """Runs on a worker: its share of a growth, from its own rows."""
    fitted_on = dataset(part)
    return grow(settings, fitted_on, None if judged is None else dataset(judged, fitted_on), patience)
