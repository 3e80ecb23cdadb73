"""Rows for the ranker: candidates of each week with their features as of each query's own cut-off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.tables import RANKING
from features.taxonomy import SceneTaxonomy
from flows.training_data import TrainingData
from infra.feature_store import KairosFeatureStore
from models.candidates.blend import blend_candidates
from models.candidates.cut import Cut, CutParams, fit_cut, lessons
from models.queries import QuerySet
from models.training_set import (
    RankingSet,
    SamplingParams,
    assemble,
    entity_frame,
    labels_of,
    sample_negatives,
    stack,
)

QUERIES_AT_ONCE = 3_200
"""About 640,000 candidate rows: bounds memory, while each join still answers many questions at once."""
_LESSONS_AT_ONCE = 1_600


def ranking_rows(
    features: KairosFeatureStore,
    data: TrainingData,
    queries: pd.DataFrame,
    truth: pd.DataFrame | None,
    sampling: SamplingParams | None = None,
    advance: Callable[[int], None] = lambda done: None,
    cut: Cut | None = None,
    known: pd.DataFrame | None = None,
) -> Iterator[RankingSet]:
    """Candidates with features, labels and groups, some hundred thousand rows at a time.

    Args:
        features: Answers as of each row's own cut-off.
        data: History for the retrievers, which are refitted at every week's start.
        queries: QUERY_COLUMNS.
        truth: (query_id, item_id, relevance); None before anything has happened.
        sampling: Keep every positive and a draw of the others; None keeps all candidates.
        advance: Told how many queries are done.
        cut: Keeps the likeliest of each query's candidates, the ranker's own; None keeps all.
        known: Candidates that were found before, of some of the queries; see `Taught`.
    """
    # In the order of the retrievers' refits, so that a chunk needs few of them.
    ordered = queries.sort_values(["fit_epoch_seconds", "query_id"], kind="stable")
    for begin in range(0, len(ordered), QUERIES_AT_ONCE):
        chunk = ordered.iloc[begin : begin + QUERIES_AT_ONCE].reset_index(drop=True)
        candidates = _candidates(data, chunk, cut, known)
        if sampling is not None and truth is not None:
            label = labels_of(candidates, truth)
            kept = sample_negatives(candidates["query_id"].to_numpy(dtype=np.int64), label, sampling)
            candidates = candidates.iloc[kept].reset_index(drop=True)
        asked = entity_frame(resolved(chunk, data.scenes), candidates, data.categories, data.country)
        answered = features.historical(asked, RANKING.name)
        yield assemble(candidates, answered, chunk, truth, RANKING.features)
        advance(begin + len(chunk))


def resolved(rows: pd.DataFrame, scenes: SceneTaxonomy | None) -> pd.DataFrame:
    """The rows with their scenes as the feature tables know them; as they are before there are any."""
    return rows if scenes is None else scenes.resolve(rows)


def ranking_set(
    features: KairosFeatureStore,
    data: TrainingData,
    queries: pd.DataFrame,
    truth: pd.DataFrame,
    sampling: SamplingParams | None = None,
    advance: Callable[[int], None] = lambda done: None,
    cut: Cut | None = None,
    known: pd.DataFrame | None = None,
) -> RankingSet:
    """All rows of these queries in one set."""
    return stack(list(ranking_rows(features, data, queries, truth, sampling, advance, cut, known)))


def _candidates(
    data: TrainingData, queries: pd.DataFrame, cut: Cut | None, known: pd.DataFrame | None
) -> pd.DataFrame:
    """Every query's candidates, in the order of `blend_candidates`; retrievers are asked for the rest."""
    if known is None:
        return blend_candidates(data.log, queries, cut=cut)
    new = queries[~queries["query_id"].isin(known["query_id"])].reset_index(drop=True)
    old = known[known["query_id"].isin(queries["query_id"])]
    both = pd.concat([old, blend_candidates(data.log, new, cut=cut)], ignore_index=True)
    place = pd.Index(queries["query_id"]).get_indexer(pd.Index(both["query_id"]))
    return both.iloc[np.argsort(place, kind="stable")].reset_index(drop=True)


@dataclass(frozen=True)
class Taught:
    """A cut and what it leaves of the queries that taught it.

    Attributes:
        cut: None where they teach nothing.
        candidates: As `blend_candidates` would give them under the cut; retrievers take most of the time that
            training spends on rows, and need not be asked the same twice.
    """

    cut: Cut | None
    candidates: pd.DataFrame


def learnt_cut(data: TrainingData, asked: QuerySet, params: CutParams) -> Taught:
    """The cut that these past queries teach.

    The union of every retriever's proposals is large, so it is sampled and then cut a chunk at a time.
    """
    taught = lessons(asked.queries, params)
    pools = [
        blend_candidates(data.log, taught.iloc[begin : begin + _LESSONS_AT_ONCE].reset_index(drop=True))
        for begin in range(0, max(len(taught), 1), _LESSONS_AT_ONCE)
    ]
    cut = fit_cut(pools, asked.truth, params)
    if cut is not None:
        pools = [cut.left(pool) for pool in pools]
    return Taught(cut, pd.concat(pools, ignore_index=True))
