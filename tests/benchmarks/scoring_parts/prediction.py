"""Predicting: compiled trees beside LightGBM on the same rows and threads, in turn, in one process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from flows.compiled_files import FOLDER, compiled_ranker
from models.compiled import CompiledParams, break_even_rows
from models.forest_object import Forest, compile_forest, load_forest
from models.ranker import Ranker
from models.ranker_rows import feature_matrix
from tests.benchmarks.scoring_parts.made_up import candidates, fitted_ranker
from tests.benchmarks.scoring_parts.part import Effort, Found, Part, Say

FULL_ROWS = 1_000_000
_AT_ONCE = 100_000


def measure(effort: Effort, folder: Path, say: Say) -> Found:
    """Seconds of both at every size, what compiling costs, and the largest difference of any row."""
    say("fitting a ranker")
    ranker = fitted_ranker(effort.seed)
    features = len(ranker.features)
    compile_seconds, code = _timed(lambda: compile_forest(ranker.models, features, np.float32))
    forest = load_forest(code)
    sizes: dict[str, dict[str, Any]] = {}
    for share in effort.sizes:
        rows = max(round(share * FULL_ROWS), 1)
        say(f"{rows:,} rows")
        sizes[str(rows)] = _compared(ranker, forest, _matrix(ranker, rows, effort.seed), effort)
    largest = sizes[str(max(map(int, sizes)))]
    whole = _whole_scores(ranker, folder, effort)
    saved = largest["native_cpu_seconds_1"] - largest["compiled_cpu_seconds_1"]
    saved_microseconds = saved * 1e6 / max(map(int, sizes)) / ranker.trees
    asked = CompiledParams()
    figures: dict[str, Any] = {
        "speedup_vs_native": largest[f"speedup_{effort.threads}"],
        "speedup_vs_native_one_thread": largest["speedup_1"],
        "speedup_vs_native_cpu": largest[f"speedup_cpu_{effort.threads}"],
        "speedup_from_frame": whole["speedup"],
        "prediction_max_difference": max(one["max_difference"] for one in sizes.values()),
        "compiled_rows_per_s": max(map(int, sizes)) / largest[f"compiled_seconds_{effort.threads}"],
        "native_rows_per_s": max(map(int, sizes)) / largest[f"native_seconds_{effort.threads}"],
        "compile_seconds": compile_seconds,
        "compiled_megabytes": len(code) / 1e6,
        "cached_start_seconds": whole["cached_start_seconds"],
        "saved_microseconds_per_tree": saved_microseconds,
        "break_even_rows": break_even_rows(ranker.trees, effort.threads, asked),
        "prediction": {"trees": ranker.trees, "features": features, "sizes": sizes, "from_frame": whole},
    }
    return Found(
        figures,
        f"{figures['speedup_vs_native']:.1f} times LightGBM, compiled in {compile_seconds:.1f} s",
        (_table(sizes, effort),),
        (
            "'times' is of wall seconds; on a machine that is not idle, those of CPU seconds say more",
            f"{ranker.trees} trees of up to 31 leaves, {features} features of which 8 are categories",
            f"compiling took {compile_seconds:.2f} s, once for each version and kind of machine; a run of at "
            f"least {figures['break_even_rows']:,} rows repays it, and every later run starts compiled in "
            f"{whole['cached_start_seconds']:.2f} s",
            f"from a frame of features to scores, encoding and check included: {whole['speedup']:.1f} times",
        ),
    )


def _matrix(ranker: Ranker, rows: int, seed: int) -> np.ndarray:
    """Rows as LightGBM reads them quickest."""
    matrix = np.empty((rows, len(ranker.features)), dtype=np.float32)
    for begin in range(0, rows, _AT_ONCE):
        part = candidates(min(_AT_ONCE, rows - begin), seed + 1_000 + begin)
        matrix[begin : begin + len(part)] = feature_matrix(part, ranker.features, ranker.categories)
    return matrix


def _compared(ranker: Ranker, forest: Forest, matrix: np.ndarray, effort: Effort) -> dict[str, Any]:
    found: dict[str, Any] = {"max_difference": 0.0, "is_same_bits": True}
    for threads in sorted({1, effort.threads}):
        taken: dict[str, list[tuple[float, float]]] = {"compiled": [], "native": []}
        for repeat in range(effort.repeats + 1):
            scores = {}
            for name, predict in (("compiled", forest.predict), ("native", ranker.score_matrix)):
                wall, cpu = time.perf_counter(), time.process_time()
                scores[name] = predict(matrix, threads)
                taken[name].append((time.perf_counter() - wall, time.process_time() - cpu))
            difference = float(np.abs(scores["compiled"] - scores["native"]).max())
            found["max_difference"] = max(found["max_difference"], difference)
            found["is_same_bits"] &= bool(np.array_equal(scores["compiled"], scores["native"]))
            if not repeat:  # the first one warms up
                for times in taken.values():
                    times.clear()
        for kind, place in (("", 0), ("cpu_", 1)):
            pairs = zip(taken["native"], taken["compiled"], strict=True)
            found[f"speedup_{kind}{threads}"] = statistics.median(n[place] / c[place] for n, c in pairs)
            for name, times in taken.items():
                found[f"{name}_{kind}seconds_{threads}"] = statistics.median(one[place] for one in times)
    return found


def _whole_scores(ranker: Ranker, folder: Path, effort: Effort) -> dict[str, float]:
    """From a frame to scores, as a run does it: the second run finds the code of the first."""
    frame = candidates(round(_AT_ONCE * min(1.0, max(effort.sizes) * 10)), effort.seed)
    compiled_ranker(folder, ranker, 10**12, effort.threads)
    assert list((folder / FOLDER).iterdir())
    compiled, native, ratios = [], [], []
    starts = []
    for repeat in range(effort.repeats + 1):
        start, scorer = _timed(lambda: compiled_ranker(folder, ranker, 0, effort.threads))
        ours, _ = _timed(lambda: scorer.score(frame, effort.threads))  # noqa: B023
        assert scorer.outcome.is_compiled, scorer.outcome.words
        theirs, _ = _timed(lambda: ranker.score(frame, effort.threads))
        if repeat:
            starts.append(start)
            compiled.append(ours)
            native.append(theirs)
            ratios.append(theirs / ours)
    return {
        "rows": len(frame),
        "compiled_seconds": statistics.median(compiled),
        "native_seconds": statistics.median(native),
        "speedup": statistics.median(ratios),
        "cached_start_seconds": statistics.median(starts),
    }


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    answer = work()
    return time.perf_counter() - began, answer


def _table(sizes: dict[str, dict[str, Any]], effort: Effort) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("rows", justify="right")
    for name in ("threads", "native, s", "compiled, s", "times", "times, CPU", "µs/row", "max difference"):
        table.add_column(name, justify="right")
    for rows, one in sizes.items():
        for threads in sorted({1, effort.threads}):
            compiled = one[f"compiled_seconds_{threads}"]
            table.add_row(
                f"{int(rows):,}",
                str(threads),
                f"{one[f'native_seconds_{threads}']:.4f}",
                f"{compiled:.4f}",
                f"{one[f'speedup_{threads}']:.1f}",
                f"{one[f'speedup_cpu_{threads}']:.1f}",
                f"{compiled / int(rows) * 1e6:.2f}",
                f"{one['max_difference']:.1g}",
            )
    return table


PART = Part(
    "prediction",
    measure,
    {"speedup_vs_native": ("at least", 4.0), "prediction_max_difference": ("at most", 1e-9)},
)
