"""How long a verdict on a million rows of sixty columns takes, beside Evidently's default preset."""

from __future__ import annotations

import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from tests.benchmarks.scale.measure import run_apart, timed
from tests.benchmarks.scoring_parts.part import Effort, Found, Part, Say

FULL_ROWS = 1_000_000
NUMBERS, CATEGORIES = 50, 10
_EVIDENTLY_TIMES = 30
"""Evidently gets so many times our time before it is stopped; that is a lower bound."""


def measure(effort: Effort, folder: Path, say: Say) -> Found:
    """Seconds and memory of ours at every size, and of Evidently on the same rows."""
    sizes: dict[str, dict[str, Any]] = {}
    for share in effort.sizes:
        rows = max(round(share * FULL_ROWS), 1_000)
        say(f"{rows:,} rows")
        for seed, name in ((effort.seed, "reference"), (effort.seed + 1, "current")):
            made_up(rows, seed, shift=0.3 if name == "current" else 0.0).to_parquet(
                folder / f"{name}.parquet"
            )
        runs = [run_apart(contend_ours, folder=str(folder)) for _ in range(min(effort.repeats, 3))]
        ours = min(runs, key=lambda run: run.wall_seconds)
        limit = max(_EVIDENTLY_TIMES * ours.wall_seconds, 60.0)
        say(f"{rows:,} rows: Evidently, at most {limit:.0f} s")
        theirs = run_apart(contend_evidently, folder=str(folder), timeout_seconds=limit + 30)
        stopped = bool(theirs.stopped)
        sizes[str(rows)] = {
            "verdict_seconds": ours.wall_seconds,
            "peak_gb": ours.peak_gb,
            "alarms": ours.answer["alarms"],
            "evidently_seconds": limit if stopped else theirs.wall_seconds,
            "evidently_finished": not stopped,
            "evidently_peak_gb": theirs.peak_gb,
        }
    last = sizes[str(max(map(int, sizes)))]
    speedup = last["evidently_seconds"] / last["verdict_seconds"]
    finished = last["evidently_finished"]
    return Found(
        {
            "verdict_seconds": last["verdict_seconds"],
            "peak_gb": last["peak_gb"],
            "speedup_vs_evidently": speedup,
            "speedup_is_a_lower_bound": not finished,
            "speed": sizes,
        },
        f"{last['verdict_seconds']:.1f} s, {'' if finished else 'over '}{speedup:.0f} times Evidently",
        (_table(sizes),),
        ()
        if finished
        else ("Evidently was stopped at the largest size; the times it took until then are a lower bound",),
    )


def made_up(rows: int, seed: int, shift: float) -> pd.DataFrame:
    """Fifty numbers of several shapes, with nulls, and ten categories; one number and one category shift."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {}
    for n in range(NUMBERS):
        kind = n % 3
        values = (
            rng.normal(n, 1 + n / 10, rows)
            if kind == 0
            else rng.gamma(2.0, 3.0, rows)
            if kind == 1
            else rng.poisson(3 + n % 7, rows).astype(float)
        )
        values = values.astype(np.float32)
        values[rng.random(rows) < 0.02 * (n % 4)] = np.nan
        columns[f"n{n}"] = values
    columns["n0"] += np.float32(shift)
    for n in range(CATEGORIES):
        size = 4 + 7 * n
        codes = (rng.random(rows) ** (1 + (shift if n == 0 else 0)) * size).astype(np.int64)
        columns[f"c{n}"] = pd.Categorical.from_codes(codes, [f"v{value}" for value in range(size)])
    return pd.DataFrame(columns)


def contend_ours(folder: str) -> dict[str, Any]:
    """Bins, counts of both frames and the verdict, from files."""
    import duckdb

    from monitoring.drift_bins import bins_of
    from monitoring.drift_counts import counted
    from monitoring.drift_watch import WatchParams, watch_against

    with duckdb.connect() as connection, timed():
        connection.execute("SET memory_limit = '1500MiB'")
        for name in ("reference", "current"):
            connection.execute(
                f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{Path(folder) / name}.parquet')"
            )
        drawn = connection.execute("SELECT * FROM reference USING SAMPLE 50000 ROWS (reservoir, 7)").df()
        bins = bins_of(drawn, list(drawn.columns))
        before = counted(connection, "reference", bins)[""]
        now = counted(connection, "current", bins)[""]
        result = watch_against(now, {date(2026, 1, 1): before}, bins, WatchParams())
    return {"alarms": [one.words for one in result.alarms], "verdict": result.verdict}


def contend_evidently(folder: str) -> dict[str, Any]:
    """Evidently's default drift preset on the same rows, from the same files."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    began = time.perf_counter()
    with timed():
        frames = [pd.read_parquet(Path(folder) / f"{name}.parquet") for name in ("current", "reference")]
        numbers = [name for name in frames[0] if name.startswith("n")]
        categories = [name for name in frames[0] if name.startswith("c")]
        definition = DataDefinition(numerical_columns=numbers, categorical_columns=categories)
        current, reference = (Dataset.from_pandas(frame, data_definition=definition) for frame in frames)
        Report([DataDriftPreset()]).run(current, reference).dict()
    return {"seconds": time.perf_counter() - began}


def _table(sizes: dict[str, dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("rows", "ours, s", "ours, GB", "Evidently, s", "Evidently, GB", "times"):
        table.add_column(name, justify="right")
    for rows, one in sizes.items():
        over = "" if one["evidently_finished"] else "> "
        table.add_row(
            f"{int(rows):,}",
            f"{one['verdict_seconds']:.2f}",
            f"{one['peak_gb']:.2f}",
            f"{over}{one['evidently_seconds']:.1f}",
            f"{one['evidently_peak_gb']:.2f}",
            f"{over}{one['evidently_seconds'] / one['verdict_seconds']:.0f}",
        )
    return table


PART = Part(
    "speed",
    measure,
    {
        "verdict_seconds": ("at most", 10.0),
        "peak_gb": ("at most", 2.0),
        "speedup_vs_evidently": ("at least", 20.0),
    },
)
