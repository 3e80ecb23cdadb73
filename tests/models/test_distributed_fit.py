"""The ranker on a Dask cluster of two workers: the same quality, the same bytes every time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from distributed import LocalCluster

from features.errors import KairosError, UsageError
from models.boosting import Rows
from models.distributed_fit import grow_on_cluster, split_rows
from models.ranker import Ranker
from models.ranker_fit import fit_ranker
from models.ranker_params import RankerParams
from models.training_set import RankingSet

PARAMS = RankerParams(
    learning_rate=0.2,
    leaves=15,
    min_rows_per_leaf=20,
    max_trees=40,
    patience_trees=10,
    pointwise_trees=15,
    threads=1,
)


def market(seed: int, queries: int = 300, candidates: int = 20) -> RankingSet:
    """Chances that rise with `rate` and for one `kind`."""
    rng = np.random.default_rng(seed)
    count = queries * candidates
    rate, kind = rng.random(count), rng.choice(("mailer", "none"), count)
    chance = 1.0 / (1.0 + np.exp(4.0 - 4.0 * rate - 2.0 * (kind == "mailer")))
    features = {"rate": rate.astype(np.float32), "noise": rng.random(count).astype(np.float32)}
    return RankingSet(
        pd.DataFrame(features | {"kind": pd.Categorical(kind, categories=["mailer", "none"])}),
        (rng.random(count) < chance).astype(np.float32),
        np.repeat(np.arange(queries), candidates),
        pd.Series([f"i{n % candidates}" for n in range(count)]),
    )


def best_hits(ranker: Ranker) -> float:
    rows = market(3)
    order = np.lexsort((-ranker.score(rows.features), rows.query_id)).reshape(-1, 20)[:, :3]
    return float(rows.label[order].mean())


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a scheduler with two workers, which speak over real sockets."""
    # Threads of this process spare the seconds that two new interpreters take to load LightGBM.
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, protocol="tcp://", dashboard_address=":0"
    ) as local:
        yield local.scheduler_address


@pytest.fixture(scope="module")
def together(cluster: str) -> Ranker:
    return fit_ranker(market(1), market(2), replace(PARAMS, boosters=2), cluster)


def test_two_workers_fit_as_well_as_one_machine(together: Ranker) -> None:
    here = fit_ranker(market(1), market(2), replace(PARAMS, boosters=2))
    assert together.features == here.features
    assert best_hits(together) == pytest.approx(best_hits(here), abs=0.02)
    assert together.models != here.models  # so it was another growth, from bins of its own


def test_the_same_rows_on_as_many_workers_give_the_same_bytes(cluster: str, together: Ranker) -> None:
    again = fit_ranker(market(1), market(2), replace(PARAMS, boosters=2), cluster)
    assert again.to_json() == together.to_json()
    assert len(set(together.models)) == 2  # by pairs and by chances, on what validation judged too
    assert not any(word in together.models[0] for word in ("machines", "listen_port", "127.0.0.1"))


def test_one_worker_fits_what_this_machine_fits() -> None:
    with LocalCluster(n_workers=1, processes=False, protocol="tcp://", dashboard_address=":0") as local:
        alone = fit_ranker(market(1), market(2), PARAMS, local.scheduler_address)
    assert alone.to_json() == fit_ranker(market(1), market(2), PARAMS).to_json()


def rows_of(sizes: list[int]) -> Rows:
    count = sum(sizes)
    matrix = np.arange(count, dtype=np.float32).reshape(-1, 1)
    return Rows(matrix, np.zeros(count, np.int32), np.array(sizes, np.int32), ("a",), ())


@pytest.mark.parametrize(
    "sizes", [[1] * 6, [100, 1, 1], [1, 1, 100], [5, 7, 3, 9], [1, 50, 1, 50, 1], [1, 1, 100, 1, 1, 1]]
)
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_queries_stay_whole_and_no_part_is_empty(sizes: list[int], parts: int) -> None:
    split = split_rows(rows_of(sizes), parts)
    assert len(split) == parts
    assert np.concatenate([one.matrix for one in split]).ravel().tolist() == list(range(sum(sizes)))
    assert np.concatenate([one.group_sizes for one in split]).tolist() == sizes
    for one in split:
        assert len(one.group_sizes) > 0
        assert one.group_sizes.sum() == len(one.matrix) == len(one.grade)


def test_even_queries_are_shared_evenly() -> None:
    assert [len(one.matrix) for one in split_rows(rows_of([10] * 100), 4)] == [250] * 4


def test_an_address_where_nobody_answers_is_said() -> None:
    with pytest.raises(UsageError, match="no Dask scheduler answers at nowhere://x, must be an address such"):
        grow_on_cluster("nowhere://x", [], rows_of([2]), rows_of([2]), 1)


def test_a_scheduler_without_workers_is_said() -> None:
    with (
        LocalCluster(n_workers=0, processes=False, protocol="tcp://", dashboard_address=":0") as local,
        pytest.raises(UsageError, match="has 0 workers, must have one or more"),
    ):
        grow_on_cluster(local.scheduler_address, [], rows_of([2]), rows_of([2]), 1)


def test_a_fit_that_fails_on_the_workers_is_one_error(cluster: str) -> None:
    with pytest.raises(KairosError, match=r"the fit on 2 Dask workers failed: .*unset KAIROS_DASK_ADDRESS"):
        grow_on_cluster(
            cluster, [{"objective": "no such thing", "verbosity": -1}], rows_of([2, 2]), rows_of([2]), 1
        )
