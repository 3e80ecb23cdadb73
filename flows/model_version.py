"""A model version in the making: fit the ranker and the timing model, judge them, keep a reference."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from features.tables import TIMING
from flows.day_scores import score_day
from flows.model_files import read_evaluation, read_ranker
from flows.moments import local_date
from flows.progress import step
from flows.ranking_rows import ranking_rows, ranking_set
from flows.served_features import features_gone
from flows.timing_frame import timing_frame
from flows.training_data import TrainingData
from flows.training_plan import TrainingPlan
from flows.wiring import Stores
from infra.model_registry import ModelRegistry
from models.baselines import rank_baselines
from models.evaluation import evaluate, ranked_items
from models.queries import QuerySet
from models.ranker import Ranker, fit_ranker
from models.timing import TimingModel, fit_timing
from models.timing_evaluation import evaluate_timing
from models.timing_peers import PEERS, timing_peers

OURS = "Kairos"
CHAMPION = "champion"
_REFERENCE_AGE = timedelta(days=7)
"""Drift is measured against the same weekday a week earlier, scored by the same model."""


def make_ranker(stores: Stores, data: TrainingData, queries: QuerySet, plan: TrainingPlan) -> Ranker:
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


def make_timing(
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


def judge(
    stores: Stores, data: TrainingData, queries: QuerySet, ranker: Ranker, plan: TrainingPlan, version: str
) -> dict[str, Any]:
    """The ranking metrics of the test weeks beside the peers and, where comparable, the champion."""
    test = queries.of_split("test")
    rankers = {OURS: ranker}
    champion = opponent(stores.registry, version)
    if champion is not None:
        rankers[CHAMPION] = champion[1]
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
        "champion_version": None if champion is None else champion[0],
        "candidate_recall": covered / len(test.truth),
        "weeks": {
            "train": plan.queries.train_weeks,
            "validation": plan.queries.validation_weeks,
            "test": plan.queries.test_weeks,
        },
    }


def opponent(registry: ModelRegistry, version: str) -> tuple[str, Ranker] | None:
    """The champion and its ranker; None if there is none, it is `version` or needs features now gone."""
    champion = registry.champion()
    if champion is None or champion == version:
        return None
    live = read_ranker(registry.version_dir(champion))
    return None if features_gone(live) else (champion, live)


def is_judged(registry: ModelRegistry, version: str) -> bool:
    """Whether the version's evaluation compares it with the present champion, as far as the two compare."""
    folder = registry.version_dir(version)
    champion = registry.champion()
    if champion in (None, version, read_evaluation(folder).get("champion_version")):
        return True
    return opponent(registry, version) is None


def drift_reference(
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
            slots_considered=plan.slots_considered,
            policy=plan.reach,
            threads=stores.settings.threads,
        )
        current.say(f"{len(scores.candidates):,} candidates of {len(drawn):,} users")
    return scores.candidates


def sample_users(users: pd.DataFrame, count: int) -> pd.DataFrame:
    """At most `count` users with consent, by a digest of their id: the same ones every day."""
    reachable = users[users["push_consent"].eq(True)]
    digest = pd.util.hash_pandas_object(reachable["user_id"].astype("object"), index=False)
    chosen = reachable.iloc[np.argsort(digest.to_numpy(), kind="stable")[:count]]
    return chosen.sort_values("user_id", ignore_index=True)
