"""A whole scoring run in shards beside the sum of its three limits, and the memory that both take.

A run reads features of given candidates, predicts, plans under policy, writes its shards (scores and plan)
and publishes; the limits are the read alone, the prediction alone and a bare binary COPY of the same rows.
Candidates and their features lie there as Parquet, a file a shard: finding candidates is measured by
`make bench-ranking`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.table import Table

from features.user_buckets import bucket_ranges, shards_for, user_buckets
from flows.compiled_files import compiled_ranker
from flows.planned_shards import planned_shards
from flows.shard_processes import shard_processes
from infra.plan_content import PLAN_TABLES, PlanRows, canonical_rows
from infra.plan_store import PlanStore
from infra.settings import load_settings
from models.calibration import Calibrator
from models.forest_object import compile_forest, load_forest
from models.ranker import Ranker
from tests.benchmarks.scale.measure import run_apart, timed
from tests.benchmarks.scoring_parts.made_up_plan import PLAN_DATE, PUBLICATION, SLOTS
from tests.benchmarks.scoring_parts.part import Effort, Found, Part, Say
from tests.benchmarks.scoring_parts.publication import bare_copy
from tests.benchmarks.scoring_parts.server import throwaway_database
from tests.benchmarks.scoring_parts.shard_work import (
    CATEGORIES,
    FEATURES,
    ITEMS,
    NAMES,
    RANKER,
    plan_of,
    predictor,
    prices_of,
    read_shard,
    score_and_plan,
)

FULL_USERS = 200_000
CANDIDATES = 100
TREES = 500
USERS_PER_SHARD = 5_000


def measure(effort: Effort, folder: Path, say: Say) -> Found:
    """total_ratio_vs_limits and peak_gb at a quarter, a half and the whole of the largest size."""
    users = max(round(max(effort.sizes) * FULL_USERS), 4)
    sizes = {}
    model = make_model(folder, TREES)
    for size in (users // 4, users // 2, users):
        say(f"{size:,} users: candidates")
        data = folder / f"{size}"
        make_data(data, size, CANDIDATES)
        os.sync()  # or the run shares the disk with what is still being written of them
        say(f"{size:,} users: run")
        asked = {"folder": str(data), "model": str(model), "threads": effort.threads}
        run = run_apart(contend_run, **asked)
        say(f"{size:,} users: limits")
        limits = run_apart(contend_limits, **asked).answer
        shutil.rmtree(data)
        sizes[str(size)] = {
            "seconds": run.wall_seconds,
            "peak_gb": run.peak_gb,
            **run.answer,
            **limits,
            "total_ratio_vs_limits": run.wall_seconds / sum(limits.values()),
            "load": os.getloadavg()[0],
        }
    last = sizes[str(users)]
    growth = last["peak_gb"] / sizes[str(users // 4)]["peak_gb"]
    return Found(
        {
            "total_ratio_vs_limits": last["total_ratio_vs_limits"],
            "peak_gb": last["peak_gb"],
            "peak_gb_growth": growth,
            "whole_run": sizes,
        },
        f"{last['seconds']:.0f} s, {last['total_ratio_vs_limits']:.2f} times its limits, "
        f"{last['peak_gb']:.1f} GB",
        (_table(sizes),),
        (
            f"{CANDIDATES} candidates a user over six slots, {FEATURES} features, {TREES} trees of up to 63 "
            f"leaves, {last['predictor']}; from four times the users memory grows {growth:.2f} times",
            "limits: reading the features and compiled prediction, each by all threads, and a bare binary "
            "COPY of the same rows; reasons are no part of either: finding them is LightGBM's own work",
        ),
    )


def _table(sizes: dict[str, dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    stages = list(next(iter(sizes.values()))["stages"])
    limits = ("limit_read", "limit_predict", "limit_copy")
    for name in ("users", *(stage.replace("_", " ") for stage in stages), "whole, s", "limits, s", "GB"):
        table.add_column(name, justify="right")
    for users, one in sizes.items():
        table.add_row(
            f"{int(users):,}",
            *(f"{one['stages'][stage]:.1f}" for stage in stages),
            f"{one['seconds']:.1f}",
            " + ".join(f"{one[name]:.1f}" for name in limits),
            f"{one['peak_gb']:.2f}",
        )
    return table


def make_model(folder: Path, trees: int) -> Path:
    """A folder with a LightGBM model of the protocol's size, compiled: noise with some sense in it."""
    rng = np.random.default_rng(5)
    matrix = rng.random((40_000, FEATURES), dtype=np.float32)
    target = matrix[:, :8].sum(axis=1) + 0.3 * rng.standard_normal(len(matrix))
    options = {"num_leaves": 63, "verbosity": -1, "num_threads": 2, "objective": "regression"}
    text = lgb.train(options, lgb.Dataset(matrix, target), num_boost_round=trees).model_to_string()
    ranker = Ranker((text,), NAMES, {}, Calibrator("isotonic", knots=(0.0, 8.0), levels=(0.01, 0.2)))
    version = folder / "version"
    version.mkdir()
    (version / RANKER).write_text(ranker.to_json(), encoding="utf-8")
    compiled_ranker(version, ranker, 10**12, threads=2)
    return version


def make_data(folder: Path, users: int, candidates: int) -> None:
    """Candidates with their features, six slots of a user in one file a shard."""
    folder.mkdir()
    ids = np.array([f"u{user:07d}" for user in range(users)], dtype=object)
    bucket = user_buckets(ids)
    items = pa.array([f"item-{n:05d}" for n in range(ITEMS)])
    for number, buckets in enumerate(bucket_ranges(shards_for(users, USERS_PER_SHARD))):
        own = ids[(bucket >= buckets.start) & (bucket < buckets.stop)]
        rng = np.random.default_rng(number)
        count = len(own) * candidates
        per_slot = max(candidates // 6, 1)
        slot = np.minimum(np.tile(np.arange(candidates) // per_slot, len(own)), 5)
        first = rng.integers(0, ITEMS, len(own))
        # Steps of a prime below the number of items: no item twice for a user.
        item = (np.repeat(first, candidates) + np.tile(np.arange(candidates), len(own)) * 7) % ITEMS
        columns: dict[str, Any] = {
            "user_id": pa.DictionaryArray.from_arrays(
                pa.array(np.repeat(np.arange(len(own), dtype=np.int32), candidates)), pa.array(own)
            ),
            "slot": pa.DictionaryArray.from_arrays(pa.array(slot.astype(np.int8)), pa.array(SLOTS)),
            "item_id": pa.DictionaryArray.from_arrays(pa.array(item.astype(np.int32)), items),
            "category": pa.DictionaryArray.from_arrays(
                pa.array((item % len(CATEGORIES)).astype(np.int16)), pa.array(CATEGORIES)
            ),
            "price": pa.array(prices_of(item).astype(np.float32)),
        }
        matrix = rng.random((FEATURES, count), dtype=np.float32)
        columns |= {f"f{n}": pa.array(matrix[n]) for n in range(FEATURES)}
        table = pa.table(columns)
        pq.write_table(table, folder / f"{number:04d}.parquet", compression="lz4", row_group_size=1 << 17)


def contend_run(folder: str, model: str, threads: int) -> dict[str, Any]:
    """Stages' seconds of the whole run, which ends with the plan live.

    Shards are made in as many processes as there may be threads, as a scoring run makes them.
    """
    files = sorted(Path(folder).glob("*.parquet"))
    spent: dict[str, float] = {}
    with throwaway_database() as database, tempfile.TemporaryDirectory() as out:
        with timed():
            clock = time.perf_counter()
            with shard_processes(load_settings(shard_processes=threads)) as processes:

                def every(work: Callable[..., Any], **arguments: Any) -> list[Any]:
                    asked = {"folder": folder, "out": out, **arguments}
                    with ThreadPoolExecutor(processes.count) as callers:
                        started = [
                            callers.submit(processes.run, work, number=number, **asked)
                            for number in range(len(files))
                        ]
                        return [one.result() for one in started]

                made = every(score_and_plan, model=model)
                spent["score_and_plan"], clock = time.perf_counter() - clock, time.perf_counter()
            plan = planned_shards(Path(out), "bench", len(files))
            PlanStore(database).publish_content(plan, **PUBLICATION)
            spent["publish"] = time.perf_counter() - clock
        work: dict[str, float] = {}
        for _, part in made:
            for stage, seconds in part.items():
                work[stage] = work.get(stage, 0.0) + seconds
        return {
            "predictor": made[0][0],
            "stages": spent,
            "process_seconds": work,
            "rows_published": sum(plan.digest.rows.values()),
            "candidate_rows": sum(pq.read_metadata(path).num_rows for path in files),
            "checksum": plan.digest.checksum,
        }


def contend_limits(folder: str, model: str, threads: int) -> dict[str, float]:
    """Seconds of the read, of the prediction and of a bare COPY of as many rows as the run publishes."""
    _, ranker = predictor(Path(model), threads)
    forest = load_forest(compile_forest(ranker.models, FEATURES, np.float32))
    files = sorted(Path(folder).glob("*.parquet"))
    read = predicted = 0.0
    some: list[PlanRows] = []
    for path, buckets in zip(files, bucket_ranges(len(files)), strict=True):
        began = time.perf_counter()
        keys, features = read_shard(path)
        matrix = np.empty((features.num_rows, FEATURES), dtype=np.float32, order="F")
        for n, name in enumerate(NAMES):
            matrix[:, n] = features[name].to_numpy()
        read += time.perf_counter() - began
        began = time.perf_counter()
        keys["score"] = forest.predict(matrix, threads)
        predicted += time.perf_counter() - began
        if not some:  # one shard's plan stands for all: what is copied is as many times that
            keys["p_item"] = ranker.chances(keys["score"].to_numpy())
            some.append(canonical_rows(plan_of(keys), PLAN_DATE, buckets))
    rows = some[0]
    times = len(files)
    many = PlanRows({table: rows.encoded[table] * times for table in PLAN_TABLES}, rows.digest)
    with throwaway_database() as database:
        copy = bare_copy(database, many)
    return {"limit_read": read, "limit_predict": predicted, "limit_copy": copy}


PART = Part(
    "whole_run",
    measure,
    {
        "total_ratio_vs_limits": ("at most", 1.5),
        "peak_gb": ("at most", 4.0),
        "peak_gb_growth": ("at most", 1.1),
    },
)
