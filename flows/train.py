"""Flow `train`: past occasions become a ranker and a timing model, judged beside their peers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from features.tables import TIMING
from flows.day_scores import score_day
from flows.materialize import features_fingerprint, resolved_as_of
from flows.model_files import (
    read_ranker,
    read_timing,
    staged,
    write_evaluation,
    write_models,
    write_reference,
)
from flows.moments import local_date
from flows.progress import step
from flows.ranking_rows import ranking_rows, ranking_set
from flows.task_policy import check_deadline
from flows.timing_frame import timing_frame
from flows.training_data import TrainingData, read_queries, read_training_data
from flows.training_plan import TrainingPlan, training_plan, version_of
from flows.wiring import Stores, open_stores, sole_writer
from infra.watermarks import advance_watermark
from models.baselines import rank_baselines
from models.evaluation import evaluate, ranked_items
from models.queries import QuerySet
from models.ranker import Ranker, fit_ranker
from models.timing import TimingModel, fit_timing
from models.timing_evaluation import evaluate_timing
from models.timing_peers import PEERS, timing_peers

OURS = "Kairos"
CHAMPION = "champion"
_DEADLINE = timedelta(hours=6)
_REFERENCE_AGE = timedelta(days=7)
"""Drift is measured against the same weekday a week earlier, scored by the same model."""


@flow(name="train", flow_run_name="train", timeout_seconds=4 * 3600, persist_result=False)
def train(as_of: datetime | None = None) -> str:
    """Fit ranker and timing model on what was known at `as_of`; the result is the challenger.

    Returns:
        The model version, which is the same as long as data, features, code and settings are.
    """
    check_deadline(_DEADLINE)
    stores = open_stores()
    as_of = resolved_as_of(stores, as_of)
    plan = training_plan(stores.settings)
    version = version_of(plan, as_of, features_fingerprint(stores, as_of))
    with sole_writer(stores.settings), step("train") as current:
        folder = stores.registry.version_dir(version)
        if folder.exists() and version in {known.version for known in stores.registry.list_versions()}:
            current.skip(f"unchanged: {version}")
        else:
            make_version(version, as_of)
            current.say(f"{version}, judged on {plan.queries.test_weeks} later weeks")
        if stores.registry.challenger() != version and stores.registry.champion() != version:
            stores.registry.move_alias("challenger", version, "flow train", f"trained as of {as_of}")
        advance_watermark(stores.database, "train", as_of, version)
    create_markdown_artifact(
        evaluation_markdown(stores.registry.read(version).metrics),
        key="evaluation",
        description=f"{version} beside its peers",
    )
    return version


@task(name="make version", task_run_name="make version {version}", cache_policy=NO_CACHE)
def make_version(version: str, as_of: datetime) -> None:
    """Nothing; the version's folder is complete and the registry knows it."""
    stores = open_stores()
    plan = training_plan(stores.settings)
    with staged(stores.registry.version_dir(version)) as folder:
        data = training_data(as_of)
        queries = read_queries(data, plan.queries)
        ranker = _fit_ranker(stores, data, queries, plan)
        timing, timing_table = _fit_timing(stores, data, queries, plan)
        write_models(folder, ranker, timing)
        evaluation = _evaluate(stores, data, queries, ranker, plan, version)
        evaluation |= {
            "timing": timing_table.to_dict("records"),
            "importance": ranker.importance().head(40).to_dict("records"),
            "made_at": datetime.now(UTC).isoformat(),
        }
        write_evaluation(folder, evaluation)
        write_reference(folder, _reference(stores, data, ranker, timing, plan))
    lineage = {
        "as_of": as_of.isoformat(),
        "lake": stores.lake.fingerprint(),
        "features": features_fingerprint(stores, as_of),
        "source": stores.settings.source.partition("://")[0],
        "plan": repr(plan),
    }
    stores.registry.register(version, evaluation, lineage)


@lru_cache(maxsize=1)
def _training_data(as_of: datetime, fingerprint: str) -> TrainingData:
    del fingerprint  # only makes newer data a new question
    stores = open_stores()
    plan = training_plan(stores.settings)
    return read_training_data(stores, as_of, plan.queries, plan.catalogue)


def training_data(as_of: datetime) -> TrainingData:
    """The history before `as_of`, read once a process."""
    return _training_data(as_of, open_stores().lake.fingerprint())


def _fit_ranker(stores: Stores, data: TrainingData, queries: QuerySet, plan: TrainingPlan) -> Ranker:
    parts = {}
    for split in ("train", "validation"):
        asked = queries.of_split(split)
        with step(f"  {split}") as current:
            total = len(asked.queries)

            def advance(done: int, total: int = total, current: Any = current) -> None:
                current.advance(done, total)

            # Validation keeps every candidate: it calibrates the chance of a candidate, not of a sample.
            sampling = plan.sampling if split == "train" else None
            parts[split] = ranking_set(stores.features, data, asked.queries, asked.truth, sampling, advance)
            current.say(f"{total:,} baskets, {len(parts[split].label):,} candidates")
    with step("  fit") as current:
        ranker = fit_ranker(parts["train"], parts["validation"], plan.ranker)
        current.say(f"LambdaRank on {len(ranker.features)} features")
    return ranker


def _fit_timing(
    stores: Stores, data: TrainingData, queries: QuerySet, plan: TrainingPlan
) -> tuple[TimingModel, pd.DataFrame]:
    """(the timing model, its table beside its peers on the test days)."""
    with step("  timing") as current:
        days = {split: _days_of(queries.of_split(split).queries) for split in ("train", "validation", "test")}
        frame = timing_frame(stores.features, data, days, plan.timing_user_days, plan.timing.seed)
        model = fit_timing(frame, TIMING.features, plan.timing)
        test = frame[frame["split"] == "test"].reset_index(drop=True)
        judged = pd.concat(
            [test.assign(**{OURS: model.predict(test)}), timing_peers(data.sessions, test)], axis=1
        )
        table = evaluate_timing(judged, OURS, PEERS)
        ours, histogram = table.iloc[0], table.iloc[-1]
        current.say(
            f"log-loss {ours['log_loss']:.4f} ({histogram['model']} {histogram['log_loss']:.4f}), "
            f"ECE {ours['ece']:.4f}"
        )
    return model, table


def _days_of(queries: pd.DataFrame) -> range:
    """The local days of the queries' weeks, whole weeks from Monday to Sunday."""
    day = queries["local_day"].to_numpy(dtype=np.int64)
    first, last = int(day.min()), int(day.max())
    return range(first - (first + 3) % 7, last - (last + 3) % 7 + 7)


def _evaluate(
    stores: Stores, data: TrainingData, queries: QuerySet, ranker: Ranker, plan: TrainingPlan, version: str
) -> dict[str, Any]:
    """The ranking metrics of the test weeks beside the peers and, where comparable, the champion."""
    test = queries.of_split("test")
    rankers = {OURS: ranker}
    champion = stores.registry.champion()
    if champion is not None and champion != version:
        live = read_ranker(stores.registry.version_dir(champion))
        if set(live.features) <= set(ranker.features):
            rankers[CHAMPION] = live
    with step("  judge") as current:
        kept: dict[str, list[pd.DataFrame]] = {name: [] for name in rankers}
        covered = 0.0
        for rows in ranking_rows(
            stores.features,
            data,
            test.queries,
            test.truth,
            advance=lambda done: current.advance(done, len(test.queries)),
        ):
            covered += float((rows.label > 0).sum())
            for name, one in rankers.items():
                scores = one.score(rows.features, plan.ranker.threads)
                kept[name].append(
                    pd.DataFrame({"query_id": rows.query_id, "item_id": rows.item_id, "score": scores})
                )
        rankings = {
            name: ranked_items(pd.concat(parts), "score", test.queries, data.log.items)
            for name, parts in kept.items()
        }
        rankings |= rank_baselines(data.log, test.queries)
        names = [name for name in rankings if name != OURS]
        report = evaluate(rankings, test.queries, test.truth, data.log.items, names, plan.evaluation)
        current.say(f"NDCG@10 {report.models[OURS]['ndcg@10'].mean:.4f} over {report.n_queries:,} baskets")
    return report.to_dict() | {
        "candidate_recall": covered / len(test.truth),
        "weeks": {
            "train": plan.queries.train_weeks,
            "validation": plan.queries.validation_weeks,
            "test": plan.queries.test_weeks,
        },
    }


def _reference(
    stores: Stores, data: TrainingData, ranker: Ranker, timing: TimingModel, plan: TrainingPlan
) -> pd.DataFrame:
    """What this model would have scored a week before the cut-off, for a draw of users."""
    with step("  reference") as current:
        moment = data.as_of - _REFERENCE_AGE
        drawn = sample_users(data.users, plan.reference_users)
        scores = score_day(
            stores.features,
            data,
            ranker,
            timing,
            local_date(moment, data.timezone),
            moment,
            users=drawn,
            slots_considered=stores.settings.slots_considered,
            threads=stores.settings.threads,
        )
        current.say(f"{len(scores.candidates):,} candidates of {len(drawn):,} users")
    return scores.candidates


def sample_users(users: pd.DataFrame, count: int) -> pd.DataFrame:
    """At most `count` users with consent, by a digest of their id: the same ones every day."""
    reachable = users[users["push_consent"].fillna(False).astype(bool)]
    digest = pd.util.hash_pandas_object(reachable["user_id"].astype("object"), index=False)
    chosen = reachable.iloc[np.argsort(digest.to_numpy(), kind="stable")[:count]]
    return chosen.sort_values("user_id", ignore_index=True)


def evaluation_markdown(evaluation: dict[str, Any]) -> str:
    """Ranking and timing beside their peers, as a page."""
    lines = ["| model | NDCG@10 | 95 % CI | Recall@20 |", "|---|---:|---|---:|"]
    for name, metrics in evaluation["models"].items():
        ndcg = metrics["ndcg@10"]
        lines.append(
            f"| {name} | {ndcg['mean']:.4f} | {ndcg['low']:.4f} .. {ndcg['high']:.4f} "
            f"| {metrics['recall@20']['mean']:.4f} |"
        )
    lines += ["", "| timing | top-1 slot | top-2 | log-loss | ECE |", "|---|---:|---:|---:|---:|"]
    for row in evaluation["timing"]:
        lines.append(
            f"| {row['model']} | {row['top1']:.3f} | {row['top2']:.3f} "
            f"| {row['log_loss']:.4f} | {row['ece']:.4f} |"
        )
    return "\n".join(lines)


def read_version(stores: Stores, version: str) -> tuple[Ranker, TimingModel]:
    """The version's models, from its folder."""
    folder = stores.registry.version_dir(version)
    return read_ranker(folder), read_timing(folder)
