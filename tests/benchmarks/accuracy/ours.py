"""Kairos itself: its training path, timed, then every ablation's ranking of the test queries."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from features.item import ITEM_AT_REQUEST
from flows.progress import step
from flows.ranking_rows import learnt_cut, ranking_rows, ranking_set
from flows.wiring import Stores
from models.context_columns import CONTEXT, PROMOTIONS, SCENE, TIME
from models.evaluation import RANKS, ranked_items
from models.interaction_log import InteractionLog
from models.ranker import Ranker
from models.ranker_fit import RankerFit
from models.relevance import graded_truth
from models.vocabulary import Ints
from tests.benchmarks.accuracy.memory import PeakWatch
from tests.benchmarks.accuracy.sources import Occasions

OURS = "Kairos, all context"
CONTEXT_FREE = "Kairos, context-free"
CUT = 200  # candidates whose recall is `candidate_recall200`


ABLATIONS: Mapping[str, frozenset[str]] = {
    CONTEXT_FREE: CONTEXT,
    "Kairos, + time": SCENE | PROMOTIONS,
    "Kairos, + scene": TIME | PROMOTIONS,
    "Kairos, + promotions": TIME | SCENE,
    OURS: frozenset(),
}
"""Each variant and the columns it does not see; `ITEM_AT_REQUEST` trends are in every one. All variants rank
the same candidates, those that only context finds included: what they differ by is the ranker's own gain."""
assert not {column.name for column in ITEM_AT_REQUEST.columns} & CONTEXT


@dataclass(frozen=True)
class Ours:
    """What was measured of Kairos.

    Attributes:
        rankings: By variant, item codes, test queries x RANKS.
        rankers: By variant.
        recall: Share of the targets among all candidates.
        recall200: The same among each query's best CUT by the ranker's score.
        candidates: Mean and largest number of candidates a query.
        own: Seconds of each part of our own training path; `peak_gb` the memory it took.
    """

    rankings: Mapping[str, Ints]
    rankers: Mapping[str, Ranker]
    recall: float
    recall200: float
    candidates: Mapping[str, float]
    own: Mapping[str, float]


def measure_ours(stores: Stores, occasions: Occasions, watch: PeakWatch) -> Ours:
    """The rankings of all variants on the test queries, after our own training path."""
    data, queries, plan = occasions.data, occasions.queries, occasions.plan
    began = time.monotonic()
    with step("cut") as current:
        taught = learnt_cut(data, queries.of_split("train"), plan.cut)
        cut = taught.cut
        current.say("all candidates" if cut is None else f"to {cut.keep} candidates a query")
    parts = {}
    for split in ("train", "validation"):
        asked = queries.of_split(split)
        truth = asked.truth
        if split == "train" and data.engagements is not None:
            truth = graded_truth(asked.queries, truth, data.engagements, plan.relevance)
        with step(split) as current:
            parts[split] = ranking_set(
                stores.features,
                data,
                asked.queries,
                truth,
                plan.sampling if split == "train" else None,
                lambda done, total=len(asked.queries), current=current: current.advance(done, total),
                cut,
                taught.candidates if split == "train" else None,
            )
            current.say(f"{len(asked.queries):,} queries, {len(parts[split].label):,} candidates")
    del taught
    own = {"candidates_and_features": time.monotonic() - began}
    began = time.monotonic()
    rankers = {}
    fitting = RankerFit(parts.pop("train"), parts.pop("validation"), plan.ranker)  # frees the frames
    for name in sorted(ABLATIONS, key=lambda name: name != OURS):  # ours first: the rest is no part of it
        with step("fit") as current:
            rankers[name] = replace(fitting.ranker(ABLATIONS[name]), cut=cut)
            current.say(name)
        if name == OURS:
            own |= {"fit": time.monotonic() - began, "peak_gb": watch.look()}
    del fitting
    return _judged(stores, occasions, rankers, own)


def _judged(
    stores: Stores, occasions: Occasions, rankers: Mapping[str, Ranker], own: Mapping[str, float]
) -> Ours:
    data, plan = occasions.data, occasions.plan
    test = occasions.queries.of_split("test")
    kept: dict[str, list[Ints]] = {name: [] for name in ABLATIONS}
    order: list[np.ndarray] = []
    covered = within = rows_seen = 0.0
    largest = 0
    with step("test") as current:
        for rows in ranking_rows(stores.features, data, test.queries, test.truth, cut=rankers[OURS].cut):
            sizes = rows.group_sizes
            covered += float((rows.label > 0).sum())
            largest, rows_seen = max(largest, int(sizes.max(initial=0))), rows_seen + len(rows.label)
            part = test.queries[test.queries["query_id"].isin(np.unique(rows.query_id))]
            order.append(part["query_id"].to_numpy())
            keys = {"query_id": rows.query_id, "item_id": rows.item_id}
            for name in kept:
                score = rankers[name].score(rows.features, plan.ranker.threads)
                scored = pd.DataFrame(keys | {"score": score})
                kept[name].append(ranked_items(scored, "score", part, data.log.items))
                if name == OURS:
                    within += float((rows.label[best_rows(rows.query_id, score, CUT)] > 0).sum())
        current.say(f"{len(test.queries):,} queries")
    found = np.concatenate(order) if order else np.zeros(0, dtype=np.int64)
    place = pd.Index(found).get_indexer(pd.Index(test.queries["query_id"]))
    rankings = {}
    for name, blocks in kept.items():
        stacked = np.vstack([*blocks, np.full((1, RANKS), -1, dtype=np.int32)])  # last: no candidates at all
        rankings[name] = filled(stacked[place], data.log, test.queries)
    targets = max(len(test.truth), 1)
    return Ours(
        rankings=rankings,
        rankers=rankers,
        recall=covered / targets,
        recall200=within / targets,
        candidates={"mean": rows_seen / max(len(test.queries), 1), "largest": largest},
        own=own,
    )


def best_rows(query_id: np.ndarray, score: np.ndarray, k: int) -> np.ndarray:
    """Positions of each query's k best rows; a query's rows are together."""
    order = np.lexsort((-score, query_id))
    starts = np.flatnonzero(np.r_[True, np.diff(query_id[order]) != 0])
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    return order[rank < k]


def filled(ranked: Ints, log: InteractionLog, queries: pd.DataFrame) -> Ints:
    """The rankings with short lists filled up by what was most popular when the query's models were fitted.

    Every peer ranks the whole catalogue; so do we, behind our own candidates.
    """
    result = ranked.copy()
    short = (result < 0).any(axis=1)
    fits = queries["fit_epoch_seconds"].to_numpy()
    for fit in np.unique(fits[short]):
        known = log.before(int(fit))
        count = np.bincount(known.item, weights=known.weight, minlength=log.n_items)
        best = np.argsort(-count, kind="stable")[: 2 * ranked.shape[1]].astype(np.int32)
        for row in np.flatnonzero(short & (fits == fit)):
            own = result[row][result[row] >= 0]
            more = best[~np.isin(best, own)][: ranked.shape[1] - len(own)]
            result[row, len(own) : len(own) + len(more)] = more
    return result
