"""The ranking benchmark: Kairos beside its peers on the source in effect, and what each kind of context adds.

The peers are those of `models.baselines`, with the hyper-parameters stated there. Eight weeks train, two
validate, four test, counted back from the cut-off. Prints a table and writes
`KAIROS_HOME/bench/ranking.json`. Run it with `make bench-ranking`.
"""

from __future__ import annotations

import json
import logging
import resource
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from features.item import ITEM_AT_REQUEST
from features.moment import MOMENT
from features.promotion_phase import PROMOTION_AT_REQUEST
from features.scene_affinity import ITEM_SCENE, USER_SCENE
from features.scene_rhythm import SCENE_RHYTHM
from features.time_affinity import ITEM_RHYTHM, USER_RHYTHM
from features.trend import TREND
from flows.flow_run import run_flow
from flows.materialize import resolved_as_of
from flows.progress import showing_progress, step
from flows.ranking_rows import ranking_rows, ranking_set
from flows.training_data import TrainingData, read_queries, read_training_data
from flows.training_plan import TrainingPlan, training_plan
from flows.wiring import Stores, open_stores
from infra.settings import load_settings
from models.baselines import rank_baselines
from models.evaluation import EvaluationReport, evaluate, ranked_items
from models.queries import QueryParams, QuerySet
from models.ranker import RankerParams, fit_ranker
from models.training_set import RankingSet

OURS = "Kairos, all context"
CONTEXT_FREE = "Kairos, context-free"


def _names(*views: Any) -> set[str]:
    return {column.name for view in views for column in view.columns}


_STORE_TREND = {name for name in _names(TREND) if name.startswith("store_")}
TIME = _names(MOMENT, USER_RHYTHM, ITEM_RHYTHM) | {"query_daypart", "score_popular_daypart"}
SCENE = _names(USER_SCENE, ITEM_SCENE, SCENE_RHYTHM) | _STORE_TREND | {"score_popular_store"}
PROMOTIONS = _names(PROMOTION_AT_REQUEST)
ABLATIONS = {
    CONTEXT_FREE: TIME | SCENE | PROMOTIONS,
    "Kairos, + time": SCENE | PROMOTIONS,
    "Kairos, + scene": TIME | PROMOTIONS,
    "Kairos, + promotions": TIME | SCENE,
    OURS: set(),
}
"""Each variant and the columns it does not see; `ITEM_AT_REQUEST` trends are in every one."""
assert not _names(ITEM_AT_REQUEST) & (TIME | SCENE | PROMOTIONS)


def main() -> None:
    """Nothing; prints the table and writes the JSON."""
    console = Console(width=None if sys.stdout.isatty() else 150)
    logging.disable(logging.INFO)  # the steps below say what runs
    settings = load_settings()
    began = time.monotonic()
    with showing_progress(console):
        run_flow(settings, "flows.ingest.ingest")
        run_flow(settings, "flows.materialize.materialize")
        stores = open_stores(settings)
        as_of = resolved_as_of(stores, None)
        plan = replace(
            training_plan(settings),
            queries=QueryParams(train_weeks=8, validation_weeks=2, test_weeks=4),
            ranker=RankerParams(learning_rate=0.05, max_trees=1_000, threads=settings.threads),
        )
        data = read_training_data(stores, as_of, plan.queries, plan.catalogue)
        queries = read_queries(data, plan.queries)
        report, recall = _measured(stores, data, queries, plan)
    result = _result(report, recall, began)
    folder = settings.home / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ranking.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    console.print(_table(report))
    console.print(
        f"{report.n_queries:,} baskets of {report.n_users:,} users, {report.targets_per_query:.1f} targets "
        f"each; candidates hold {recall:.1%} of them"
    )
    console.print(
        f"to the strongest peer, {result['peer_ratio']['peer']}: {_ratio_words(result['peer_ratio'])}"
    )
    console.print(f"context over none: {_ratio_words(result['context_uplift'])}")
    console.print(f"{result['wall_seconds']:.0f} s, {result['peak_gb']:.1f} GB; {folder / 'ranking.json'}")


def _measured(
    stores: Stores, data: TrainingData, queries: QuerySet, plan: TrainingPlan
) -> tuple[EvaluationReport, float]:
    """(the report on all variants and peers, the share of targets among the candidates)."""
    parts = {}
    for split in ("train", "validation"):
        asked = queries.of_split(split)
        with step(split) as current:
            parts[split] = ranking_set(
                stores.features,
                data,
                asked.queries,
                asked.truth,
                plan.sampling if split == "train" else None,
                lambda done, total=len(asked.queries), current=current: current.advance(done, total),
            )
            current.say(f"{len(asked.queries):,} baskets")
    rankers = {}
    for name, hidden in ABLATIONS.items():
        with step("fit") as current:
            rankers[name] = fit_ranker(
                _without(parts["train"], hidden), _without(parts["validation"], hidden), plan.ranker
            )
            current.say(name)
    del parts
    test = queries.of_split("test")
    scores: dict[str, list[pd.DataFrame]] = {name: [] for name in rankers}
    covered = 0.0
    with step("test") as current:
        for rows in ranking_rows(stores.features, data, test.queries, test.truth):
            covered += float((rows.label > 0).sum())
            for name, ranker in rankers.items():
                keys = {"query_id": rows.query_id, "item_id": rows.item_id}
                score = ranker.score(rows.features, plan.ranker.threads)
                scores[name].append(pd.DataFrame(keys | {"score": score}))
        current.say(f"{len(test.queries):,} baskets")
    with step("peers"):
        rankings = {
            name: ranked_items(pd.concat(frames), "score", test.queries, data.log.items)
            for name, frames in scores.items()
        } | rank_baselines(data.log, test.queries)
        report = evaluate(rankings, test.queries, test.truth, data.log.items, list(rankings), plan.evaluation)
    return report, covered / len(test.truth)


def _without(rows: RankingSet, hidden: Iterable[str]) -> RankingSet:
    return replace(rows, features=rows.features.drop(columns=list(hidden)))


def _result(report: EvaluationReport, recall: float, began: float) -> dict[str, Any]:
    keys = {"ndcg10": "ndcg@10", "recall20": "recall@20", "map12": "map@12", "hr10": "hit_rate@10"}
    named = {OURS: "kairos"}
    result: dict[str, Any] = {
        key: {named.get(name, name): metrics[metric].mean for name, metrics in report.models.items()}
        for key, metric in keys.items()
    }
    peers = [name for name in report.models if name not in ABLATIONS]
    strongest = max(peers, key=lambda name: report.models[name]["ndcg@10"].mean)
    return result | {
        "peer_ratio": {"peer": strongest} | _ratio(report, strongest),
        "context_uplift": _ratio(report, CONTEXT_FREE),
        "candidate_recall": recall,
        "queries": report.n_queries,
        "users": report.n_users,
        "report": report.to_dict(),
        "wall_seconds": time.monotonic() - began,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


def _ratio(report: EvaluationReport, base: str) -> dict[str, float]:
    """Our NDCG@10 over `base`'s, its interval from that of the paired difference."""
    lead, theirs = report.differences[OURS, base]["ndcg@10"], report.models[base]["ndcg@10"].mean
    return {
        "ratio": 1.0 + lead.mean / theirs,
        "low": 1.0 + lead.low / theirs,
        "high": 1.0 + lead.high / theirs,
        "difference_low": lead.low,
    }


def _ratio_words(ratio: dict[str, Any]) -> str:
    return f"{ratio['ratio']:.3f} [{ratio['low']:.3f}, {ratio['high']:.3f}]"


def _table(report: EvaluationReport) -> Table:
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


if __name__ == "__main__":
    main()
