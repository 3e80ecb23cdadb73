"""Scrutiny: everything a sceptic asks of finished rankings beyond their means, in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from models.backtest import backtest, from_rankings, rolling_origins
from models.beyond_accuracy import beyond_accuracy
from models.evaluation import EvaluationParams, EvaluationReport, hits_of
from models.interaction_log import InteractionLog
from models.metrics import Doubles, ndcg_at
from models.queries import QuerySet
from models.slice_report import measure_slices
from models.slices import query_slices, target_slices
from models.vocabulary import Ints, Vocabulary

TARGET_RANKS = 20


def scrutinise(
    log: InteractionLog,
    queries: pd.DataFrame,
    truth: pd.DataFrame,
    rankings: Mapping[str, Ints],
    ours: str,
    baselines: Sequence[str],
    params: EvaluationParams | None = None,
) -> dict[str, Any]:
    """Slices, measures beyond accuracy and the backtest, as JSON types, ready to lie beside a report.

    Args:
        log: Interactions of the items that are ranked; each query is described by its own past only.
        queries: QUERY_COLUMNS of one split, in the rankings' row order.
        truth: (query_id, item_id, ...).
        rankings: Name -> item codes, queries x ranks, best first, -1 for nothing; each made with models
            refitted at the queries' fit instants, which are the backtest's origins.
        ours: The ranking under scrutiny.
        baselines: Whom it is compared with; the more, the longer it takes.
        params: Resamples, confidence and seed.

    Returns:
        {"slices": by query, NDCG@10; "target_slices": by target, recall@20; "beyond_accuracy"; "backtest"}.
    """
    kept = {name: rankings[name] for name in dict.fromkeys([ours, *baselines])}
    hits = {name: hits_of(ranked, queries, truth, log.items) for name, ranked in kept.items()}
    by_query = measure_slices(
        query_slices(log, queries),
        {name: ndcg_at(hit, n_targets, 10) for name, (hit, n_targets) in hits.items()},
        queries["user_id"],
        "ndcg@10",
        ours,
        baselines,
        params,
    )
    asked = truth[truth["query_id"].isin(queries["query_id"])].reset_index(drop=True)
    place = pd.Index(queries["query_id"]).get_indexer(pd.Index(asked["query_id"]))
    by_target = measure_slices(
        target_slices(log, queries, asked),
        {name: found_targets(ranked, queries, asked, log.items) for name, ranked in kept.items()},
        queries["user_id"].to_numpy(dtype=object)[place],
        f"recall@{TARGET_RANKS}",
        ours,
        baselines,
        params,
    )
    beyond = beyond_accuracy(log, queries, truth, kept, ours, baselines, params)
    origins = rolling_origins(QuerySet(queries, asked))
    return {
        "slices": [row.to_dict() for row in by_query],
        "target_slices": [row.to_dict() for row in by_target],
        "beyond_accuracy": [row.to_dict() for row in beyond],
        "backtest": backtest(from_rankings(kept), origins, log.items, ours, baselines, params).to_dict(),
    }


def thin_users(
    log: InteractionLog,
    asked: QuerySet,
    rankings: Mapping[str, Ints],
    ours: str,
    baselines: Sequence[str],
    params: EvaluationParams | None = None,
) -> list[dict[str, Any]]:
    """Slices of the queries by how little is known of their users, as JSON types; [] without queries.

    Args:
        log: Interactions of the items that are ranked.
        asked: Queries of users that a protocol may leave out, and what they bought.
        rankings, ours, baselines, params: As in `scrutinise`.
    """
    if not len(asked.queries):
        return []
    kept = {name: rankings[name] for name in dict.fromkeys([ours, *baselines])}
    earned = {}
    for name, ranked in kept.items():
        hit, n_targets = hits_of(ranked, asked.queries, asked.truth, log.items)
        earned[name] = ndcg_at(hit, n_targets, 10)
    kinds = query_slices(log, asked.queries)[["earlier baskets", "user age"]]
    rows = measure_slices(kinds, earned, asked.queries["user_id"], "ndcg@10", ours, baselines, params)
    return [row.to_dict() for row in rows]


def rivals(report: EvaluationReport, ours: str, always: Sequence[str] = ()) -> list[str]:
    """Whom to compare ours with in depth: the strongest other ranking, then those of `always` that ran."""
    others = [name for name in report.models if name != ours]
    strongest = sorted(others, key=lambda name: -report.models[name]["ndcg@10"].mean)[:1]
    return list(dict.fromkeys([*strongest, *(name for name in always if name in others)]))


def found_targets(ranked: Ints, queries: pd.DataFrame, truth: pd.DataFrame, items: Vocabulary) -> Doubles:
    """1 for each target among its query's first TARGET_RANKS items, else 0; one entry a row of `truth`.

    Examples:
        >>> asked = pd.DataFrame({"query_id": [7], "user_id": ["u"]})
        >>> bought = pd.DataFrame({"query_id": [7, 7], "item_id": ["a", "c"]})
        >>> shown = np.array([[2, 1]], dtype=np.int32)
        >>> found_targets(shown, asked, bought, Vocabulary.of(["a", "b", "c"])).tolist()
        [0.0, 1.0]
    """
    place = pd.Index(queries["query_id"]).get_indexer(pd.Index(truth["query_id"]))
    item = items.codes(truth["item_id"])
    return np.asarray(
        ((ranked[place, :TARGET_RANKS] == item[:, None]) & (item >= 0)[:, None]).any(axis=1),
        dtype=np.float64,
    )
