"""The ranking benchmark: Kairos beside its peers on the source in effect, and what each kind of context adds.

Prints a table and writes `KAIROS_HOME/bench/ranking.json` and a page beside it. Run it with
`make bench-ranking`, on another source with `make bench-ranking SOURCE=parquet:DIR`.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from features.errors import KairosError
from flows.moments import RECORDED_DAYS
from flows.progress import showing_progress, step
from flows.wiring import Stores, open_stores, sole_writer
from infra.settings import load_settings
from models.candidates.blend import default_sources
from models.candidates.recall import recall_table
from models.evaluation import EvaluationReport, evaluate
from models.scrutiny import scrutinise
from monitoring.evaluation_page import evaluation_page
from tests.benchmarks.accuracy import timing_part
from tests.benchmarks.accuracy.cold_part import measure_cold
from tests.benchmarks.accuracy.memory import PeakWatch, watched_memory
from tests.benchmarks.accuracy.ours import CONTEXT_FREE, OURS, Ours, measure_ours
from tests.benchmarks.accuracy.peers import TUNING_SECONDS, drawn, measure_peers
from tests.benchmarks.accuracy.preparation import own_settings, prepare
from tests.benchmarks.accuracy.result import as_json, headline
from tests.benchmarks.accuracy.sources import Occasions, read_occasions

RECALL_QUERIES = 800  # test queries on which each retriever's recall is measured
TARGETS: dict[str, dict[str, Any]] = {
    "ndcg10": {"bound": 0.280, "least": True},
    "recall20": {"bound": 0.295, "least": True},
    "peer_ratio.ratio": {"bound": 1.10, "least": True},
    "peer_ratio.low": {"bound": 1.08, "least": True},
    "context_uplift.ratio": {"bound": 1.06, "least": True},
    "context_uplift.low": {"bound": 1.04, "least": True},
    "candidate_recall200": {"bound": 0.60, "least": True},
    "timing.logloss_ratio": {"bound": 1.0, "least": False},
    "timing.logloss_ratio_high": {"bound": 1.0, "least": False},
    "timing.ece": {"bound": 0.02, "least": False},
    "joint.hit_ratio": {"bound": 1.10, "least": True},
    "joint.hit_ratio_low": {"bound": 1.03, "least": True},
    "wall_seconds": {"bound": 2_700.0, "least": False},
    "peak_gb": {"bound": 8.0, "least": False},
    "own_wall_seconds": {"bound": 600.0, "least": False},
    "own_peak_gb": {"bound": 6.0, "least": False},
}
"""What the page measures the recording by; other sources have none."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code; prints the table and writes the JSON."""
    options = read_options(arguments)
    console = Console(width=None if sys.stdout.isatty() else 150)
    logging.disable(logging.INFO)  # the steps below say what runs
    try:
        settings = load_settings()
        target = settings.home / "bench"
        working = own_settings(settings)
        if working.home != settings.home:
            console.print(f"{settings.home} holds another source; this one is kept in {working.home}")
        with showing_progress(console), watched_memory() as watch:
            stores = open_stores(working)
            with sole_writer(working):
                report, result = measure(stores, watch, options)
    except KairosError as error:
        console.print(str(error), style="red", soft_wrap=True)
        return error.exit_code
    path = write(target, result)
    console.print(metrics_table(report))
    for line in summary(result):
        console.print(line, soft_wrap=True)
    console.print(f"{path}, {path.with_suffix('.html').name}")
    return 0


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description="Kairos beside its peers on the source in effect.")
    parser.add_argument("--tuning-seconds", type=float, default=TUNING_SECONDS, help="for all peers together")
    return parser.parse_args(arguments)


def measure(
    stores: Stores, watch: PeakWatch, options: argparse.Namespace
) -> tuple[EvaluationReport, dict[str, Any]]:
    """(the report on all variants and peers, everything that is written)."""
    began = time.monotonic()
    prepared = prepare(stores)
    with step("queries") as current:
        occasions = read_occasions(stores, prepared.as_of)
        counts = occasions.protocol["queries"]
        current.say(", ".join(f"{count:,} {split}" for split, count in counts.items()))
    ours = measure_ours(stores, occasions, watch)
    peers = measure_peers(occasions.data.log, occasions.queries, options.tuning_seconds)
    with step("evaluation"):
        test = occasions.queries.of_split("test")
        rankings = {**ours.rankings, **peers.rankings}
        report = evaluate(
            rankings,
            test.queries,
            test.truth,
            occasions.data.log.items,
            list(rankings),
            occasions.plan.evaluation,
        )
    result = headline(report)
    with step("scrutiny"):
        baselines = list(dict.fromkeys([CONTEXT_FREE, result["peer_ratio"]["peer"], "popularity"]))
        result |= scrutinise(
            occasions.data.log,
            test.queries,
            test.truth,
            rankings,
            OURS,
            baselines,
            occasions.plan.evaluation,
        )
    with step("cold start"):
        result["cold_start"] = measure_cold(stores, occasions, ours.rankers[OURS])
    with step("retrievers"):
        looked = drawn(test, RECALL_QUERIES, occasions.plan.evaluation.seed)
        table = recall_table(occasions.data.log, looked, default_sources())
    result |= timing_and_joint(stores, occasions, ours)
    result |= {
        "ours": OURS,
        "source": stores.settings.source.partition("://")[0],
        "protocol": dict(occasions.protocol) | {"as_of": prepared.as_of.isoformat()},
        "notes": list(occasions.notes),
        **recall(ours),
        "retrievers": table.to_dict("records"),
        "peers": {name: dict(facts) for name, facts in peers.tuning.items()},
        "importance": ours.rankers[OURS].importance().head(40).to_dict("records"),
        "queries": report.n_queries,
        "users": report.n_users,
        "targets_per_query": report.targets_per_query,
        "report": report.to_dict(),
    }
    own = dict(ours.own)
    peak = own.pop("peak_gb")
    seconds = {"features": prepared.features_seconds, **own}
    result |= {
        "own_wall_seconds": sum(seconds.values()),
        "own_peak_gb": peak,
        "own": {"seconds": seconds, "features_built": prepared.built},
        "wall_seconds": time.monotonic() - began,
        "peak_gb": watch.look(),
    }
    return report, as_json(result)


def timing_and_joint(stores: Stores, occasions: Occasions, ours: Ours) -> dict[str, Any]:
    """{"timing", "joint"}; where a source is too small for them, the reason why not."""
    rankers = {"all": ours.rankers[OURS], "context_free": ours.rankers[CONTEXT_FREE]}
    with step("timing") as current:
        try:
            found = timing_part.measure(stores, occasions.data, occasions.queries, occasions.plan, rankers)
        except KairosError as error:
            current.skip(str(error))
            return {"timing": {"not_measured": str(error)}, "joint": {"not_measured": str(error)}}
        current.say(
            f"log-loss {found['timing']['logloss_ratio']:.3f} of the histogram's, ECE "
            f"{found['timing']['ece']:.4f}; joint plan hits {found['joint']['hit_ratio']:.3f} times as often"
        )
    return found


def recall(ours: Ours) -> dict[str, Any]:
    """What the candidates hold of the targets."""
    return {
        "candidate_recall": ours.recall,
        "candidate_recall200": ours.recall200,
        "candidates": dict(ours.candidates),
    }


def write(folder: Path, result: dict[str, Any]) -> Path:
    """Where the JSON is now; the page of the same numbers lies beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "ranking.json"
    path.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    shown = result | ({"targets": TARGETS} if result["source"] in RECORDED_DAYS else {})
    path.with_suffix(".html").write_text(evaluation_page(shown), encoding="utf-8")
    return path


def summary(result: dict[str, Any]) -> list[str]:
    """What the numbers say, one line each."""
    peer, context = result["peer_ratio"], result["context_uplift"]
    built = "" if result["own"]["features_built"] else ", feature tables stood already"
    return [
        *(f"note: {note}" for note in result["notes"]),
        f"{result['queries']:,} queries of {result['users']:,} users, {result['targets_per_query']:.1f} "
        f"targets each; {result['candidates']['mean']:.0f} candidates hold "
        f"{result['candidate_recall']:.1%} of them, the best 200 {result['candidate_recall200']:.1%}",
        f"to the strongest peer, {peer['peer']}: {_interval(peer)}",
        f"context over none: {_interval(context)}",
        *_timing_words(result["timing"], result["joint"]),
        f"own training path {result['own_wall_seconds']:.0f} s, {result['own_peak_gb']:.1f} GB{built}; "
        f"everything {result['wall_seconds']:.0f} s, {result['peak_gb']:.1f} GB",
    ]


def _timing_words(timing: dict[str, Any], joint: dict[str, Any]) -> list[str]:
    if "not_measured" in timing:
        return [f"timing: not measured: {timing['not_measured']}"]
    spans = [
        f"{part[key]:.3f} [{part[f'{key}_low']:.3f}, {part[f'{key}_high']:.3f}]"
        if part[key] is not None
        else "no ratio to nothing"
        for part, key in ((timing, "logloss_ratio"), (joint, "hit_ratio"))
    ]
    return [
        f"timing: log-loss to {timing['peer']}: {spans[0]}; ECE {timing['ece']:.4f}",
        f"joint plan to {joint['peer']}: {spans[1]} over {joint['user_days']:,} user-days",
    ]


def _interval(ratio: dict[str, Any]) -> str:
    if ratio["ratio"] is None:
        return "no ratio to nothing"
    return f"{ratio['ratio']:.3f} [{ratio['low']:.3f}, {ratio['high']:.3f}]"


def metrics_table(report: EvaluationReport) -> Table:
    """All variants and peers, with our lead over each."""
    table = Table(box=None, pad_edge=False)
    table.add_column("model")
    for name in ("NDCG@10", "95 % CI", "Recall@20", "MAP@12", "HR@10", "coverage@10", "our lead, 95 % CI"):
        table.add_column(name, justify="right")
    for name, metrics in report.models.items():
        ndcg = metrics["ndcg@10"]
        lead = report.differences.get((OURS, name))
        table.add_row(
            name,
            f"{ndcg.mean:.4f}",
            f"{ndcg.low:.4f} .. {ndcg.high:.4f}",
            *(f"{metrics[metric].mean:.4f}" for metric in ("recall@20", "map@12", "hit_rate@10")),
            f"{report.coverage[name]:.3f}",
            f"{lead['ndcg@10'].low:+.4f} .. {lead['ndcg@10'].high:+.4f}" if lead else "",
        )
    return table
