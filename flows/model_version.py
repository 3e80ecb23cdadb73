"""A model version in the making: fit the ranker and the timing model, judge them, keep a reference."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from features.tables import TIMING
from flows.day_scores import score_day
from flows.model_files import read_evaluation, read_ranker
from flows.moments import local_date
from flows.progress import step
from flows.ranking_rows import learnt_cut, ranking_rows, ranking_set
from flows.scored_frame import with_chances
from flows.served_features import features_gone
from flows.timing_frame import timing_frame
from flows.training_data import TrainingData
from flows.training_plan import TrainingPlan
from flows.wiring import Stores
from infra.model_registry import ModelRegistry
from models.baselines import light_baselines, rank_baselines
from models.candidates.cut import Cut
from models.context_columns import CONTEXT
from models.evaluation import evaluate, ranked_items
from models.importance import contribution_shares
from models.queries import QuerySet
from models.ranker import Ranker
from models.ranker_fit import RankerFit
from models.ranker_params import RankerParams
from models.relevance import graded_truth
from models.reliability import reliability_curve
from models.scrutiny import rivals, scrutinise
from models.search import newest_weeks, search_ranker
from models.timing import TimingModel, fit_timing
from models.timing_evaluation import evaluate_timing
from models.timing_peers import PEERS, timing_peers, tuned_histogram
from models.training_set import RankingSet, SamplingParams, stack

OURS = "Kairos"
CHAMPION = "champion"
_EXPLAINED_ROWS = 2_000
"""Candidates whose contributions tell what decides at large: enough for shares to the per cent."""
_REFERENCE_AGE = timedelta(days=7)
"""Drift is measured against the same weekday of earlier weeks, scored by the same model."""


def make_ranker(stores: Stores, data: TrainingData, queries: QuerySet, plan: TrainingPlan) -> Ranker:
    """The ranker fitted on the train weeks, stopped on and calibrated to the validation weeks."""
    with step("  cut") as current:
        taught = learnt_cut(data, queries.of_split("train"), plan.cut)
        cut = taught.cut
        current.say("all candidates" if cut is None else f"to {cut.keep} candidates of each basket")
    train = graded(data, queries.of_split("train"), plan)
    learnt = _rows(stores, data, train, "train", plan.sampling, cut, taught.candidates)
    del taught
    # Validation keeps every candidate: it calibrates the chance of a candidate, not of a sample.
    judged = _rows(stores, data, queries.of_split("validation"), "validation", None, cut)
    params = plan.ranker
    if plan.search.minutes > 0:
        params = found_params(stores, data, queries, plan, learnt, judged, cut)
    with step("  fit") as current:
        hidden = () if plan.sees_moment else CONTEXT
        ranker = RankerFit(learnt, judged, params).ranker(hidden, plan.cluster)
        where = "" if plan.cluster is None else f", on the cluster at {plan.cluster}"
        current.say(f"LambdaRank on {len(ranker.features)} features{where}")
    return replace(ranker, cut=cut)


def graded(data: TrainingData, asked: QuerySet, plan: TrainingPlan) -> QuerySet:
    """The queries with graded relevance; only what is learnt from is graded, never what judges."""
    if data.engagements is None:
        return asked
    return replace(asked, truth=graded_truth(asked.queries, asked.truth, data.engagements, plan.relevance))


def found_params(
    stores: Stores,
    data: TrainingData,
    queries: QuerySet,
    plan: TrainingPlan,
    learnt: RankingSet,
    judged: RankingSet,
    cut: Cut | None = None,
) -> RankerParams:
    """The parameters that a search over rolling origins finds; test weeks have no part in it.

    Args:
        learnt: Rows of the train weeks.
        judged: All candidates of the validation weeks.
        cut: Chose the candidates of both.
    """
    past = queries.of_split("train", "validation")
    week = past.queries.set_index("query_id")["fit_epoch_seconds"]
    newest = set(newest_weeks(week, plan.search))
    # Origins that lie in train are judged as validation is: on all candidates, and on targets alone.
    asked = queries.of_split("train")
    again = asked.queries[asked.queries["fit_epoch_seconds"].isin(newest)].reset_index(drop=True)
    if len(again):
        truth = asked.truth[asked.truth["query_id"].isin(again["query_id"])]
        whole = _rows(stores, data, QuerySet(again, truth), "origins", None, cut)
        judged = stack([whole, judged])
    with step("  search") as current:
        found = search_ranker(learnt, judged, week, time.monotonic, plan.ranker, plan.search)
        current.say(found.words)
    return found.params


def _rows(
    stores: Stores,
    data: TrainingData,
    asked: QuerySet,
    name: str,
    sampling: SamplingParams | None,
    cut: Cut | None,
    known: pd.DataFrame | None = None,
) -> RankingSet:
    with step(f"  {name}") as current:
        rows = ranking_set(
            stores.features,
            data,
            asked.queries,
            asked.truth,
            sampling,
            lambda done: current.advance(done, len(asked.queries)),
            cut,
            known,
        )
        current.say(f"{len(asked.queries):,} baskets, {len(rows.label):,} candidates")
    return rows


def make_timing(
    stores: Stores, data: TrainingData, queries: QuerySet, plan: TrainingPlan
) -> tuple[TimingModel, dict[str, Any]]:
    """(the timing model, its "timing" beside its peers on the test days and their "reliability")."""
    with step("  timing") as current:
        days = {split: _days_of(queries.of_split(split).queries) for split in ("train", "validation", "test")}
        frame = timing_frame(stores.features, data, days, plan.timing_user_days, plan.timing.seed)
        model = fit_timing(frame, TIMING.features, plan.timing)
        test = frame[frame["split"] == "test"].reset_index(drop=True)
        validation = frame[frame["split"] == "validation"].reset_index(drop=True)
        tuned = tuned_histogram(data.sessions, validation)  # the peer is tuned as we are
        judged = pd.concat(
            [test.assign(**{OURS: model.predict(test)}), timing_peers(data.sessions, test, **tuned)], axis=1
        )
        table = evaluate_timing(judged, OURS, PEERS)
        ours, histogram = table.iloc[0], table.iloc[-1]
        current.say(
            f"log-loss {ours['log_loss']:.4f} ({histogram['model']} {histogram['log_loss']:.4f}), "
            f"ECE {ours['ece']:.4f}"
        )
    best = str(table["model"].iloc[1:][table["log_loss"].iloc[1:].to_numpy().argmin()])
    return model, {
        "timing": table.to_dict("records"),
        "timing_levels": model.level_counts(test.drop_duplicates(["user_id", "local_day"])),
        "reliability": {name: reliability_curve(judged["engaged"], judged[name]) for name in (OURS, best)},
    }


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
        shown: pd.DataFrame | None = None
        # Each ranker is asked about the candidates of its own cut, as it would be when it plans.
        for cut in dict.fromkeys(one.cut for one in rankers.values()):
            asked = {name: one for name, one in rankers.items() if one.cut == cut}
            for rows in ranking_rows(
                stores.features,
                data,
                test.queries,
                test.truth,
                advance=lambda done: current.advance(done, len(test.queries)),
                cut=cut,
            ):
                if OURS in asked:
                    covered += float((rows.label > 0).sum())
                    if shown is None:
                        shown = rows.features.sample(min(_EXPLAINED_ROWS, len(rows.label)), random_state=0)
                for name, one in asked.items():
                    scores = one.score(rows.features, plan.ranker.threads)
                    kept[name].append(
                        pd.DataFrame({"query_id": rows.query_id, "item_id": rows.item_id, "score": scores})
                    )
        rankings = {
            name: ranked_items(pd.concat(parts), "score", test.queries, data.log.items)
            for name, parts in kept.items()
        }
        rankings |= rank_baselines(data.log, test.queries, light_baselines())
        names = [name for name in rankings if name != OURS]
        report = evaluate(rankings, test.queries, test.truth, data.log.items, names, plan.evaluation)
        depth = scrutinise(
            data.log,
            test.queries,
            test.truth,
            rankings,
            OURS,
            rivals(report, OURS, (CHAMPION, "popularity")),
            plan.evaluation,
        )
        current.say(f"NDCG@10 {report.models[OURS]['ndcg@10'].mean:.4f} over {report.n_queries:,} baskets")
    return {
        **report.to_dict(),
        **depth,
        "themes": []
        if shown is None
        else contribution_shares(ranker.contributions(shown), ranker.features)[1],
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
    """What this model would have scored on the same weekday of earlier weeks, for a draw of users.

    As `DayScores.candidates`, with `p_engage` and with `period`, the local day that was scored: how those
    weeks differ among themselves says how much of a difference is ordinary.
    """
    with step("  reference") as current:
        drawn = sample_users(data.users, plan.reference_users)
        parts = []
        for week in range(1, plan.reference_weeks + 1):
            moment = data.as_of - week * _REFERENCE_AGE
            day = local_date(moment, data.timezone)
            scores = score_day(
                stores.features,
                data,
                ranker,
                timing,
                day,
                moment,
                users=drawn,
                slots_considered=plan.slots_considered,
                policy=plan.reach,
                threads=stores.settings.threads,
            )
            kept = with_chances(scores.candidates, scores.timing)
            parts.append(kept.assign(period=day.isoformat()))
            current.advance(week, plan.reference_weeks)
        rows = sum(map(len, parts))
        current.say(f"{rows:,} candidates of {len(drawn):,} users in {len(parts)} weeks")
    return pd.concat(parts, ignore_index=True)


def sample_users(users: pd.DataFrame, count: int) -> pd.DataFrame:
    """At most `count` users with consent, by a digest of their id: the same ones every day."""
    reachable = users[users["push_consent"].eq(True)]
    digest = pd.util.hash_pandas_object(reachable["user_id"].astype("object"), index=False)
    chosen = reachable.iloc[np.argsort(digest.to_numpy(), kind="stable")[:count]]
    return chosen.sort_values("user_id", ignore_index=True)
