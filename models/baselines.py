"""The peers that a ranker must beat: each ranks every eligible item, bought before or not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from models.candidates.als import Als
from models.candidates.bpr import Bpr
from models.candidates.content import Content
from models.candidates.ease import Ease
from models.candidates.item_knn import ItemKnn
from models.candidates.neighbours import UserNeighbours
from models.candidates.personal import Personal
from models.candidates.popular import Popular
from models.candidates.retriever import Retriever, block_rows, top_of_row
from models.candidates.tifu_knn import TifuKnn
from models.evaluation import RANKS, query_metrics
from models.interaction_log import InteractionLog
from models.queries import QuerySet
from models.vocabulary import Ints


def baselines() -> dict[str, Retriever]:
    """The registry: a peer per line, as `tune` found it best on Complete Journey's validation weeks."""
    return light_baselines() | {
        "item-KNN": ItemKnn(20, 30.0, 1.0, 10.0),
        "TF-IDF": Content(half_life_days=60.0, power=3.0),
        "ALS": Als(alpha=1.0, l2=2.0, half_life_days=60.0, power=1.5),
        "BPR": Bpr(factors=64, l2=0.003, half_life_days=60.0),
        "EASE": Ease(10.0, 60.0, 0.5),
    }


def light_baselines() -> dict[str, Retriever]:
    """The peers that cost seconds, not minutes, the strongest among them: what a training run is held to.

    Examples:
        >>> set(light_baselines()) < set(baselines())
        True
    """
    return {
        "popularity": Popular(),
        "popularity by slot": Popular("daypart"),
        "popularity by store": Popular("store"),
        "personal frequency": Personal(),
        "recency-weighted frequency": Personal(90.0),
        "TIFU-KNN": TifuKnn(),
        "user-KNN": UserNeighbours(40, 20.0, 0.75),
    }


def grids() -> dict[str, list[Retriever]]:
    """What `tune` tries for each peer that has hyper-parameters.

    Each grid holds the survivors of a wider search on Complete Journey's validation weeks and a few choices
    for sources unlike it: few baskets a user, no habits, nothing to forget. The wider searches: TIFU-KNN
    within 0.8-1, across 0.6-0.95, groups of 2-13, 20-900 neighbours, own share 0.4-0.95; EASE l2 3-1000,
    half-life 30 days to infinite, power 0.35-1; ALS alpha 0.2-40, l2 0.1-25, 32-128 factors; BPR l2 0-0.1,
    32-64 factors; item-KNN 10-200 neighbours, shrinkage 0-100.
    """
    return {
        "popularity": [Popular(half_life_days=days) for days in (14.0, 45.0, 180.0, math.inf)],
        "popularity by slot": [
            Popular("daypart", days, prior) for days, prior in product((45.0, 180.0), (500.0, 5_000.0))
        ],
        "popularity by store": [
            Popular("store", days, prior) for days, prior in product((45.0, 180.0), (100.0, 500.0, 2_000.0))
        ],
        "recency-weighted frequency": [Personal(days) for days in (20.0, 30.0, 45.0, 60.0, 90.0, 120.0)],
        "TIFU-KNN": [
            TifuKnn(k, within, across, group, own)
            for (within, across, group), k, own in product(
                ((0.9, 0.7, 7), (0.95, 0.9, 2), (1.0, 0.85, 3), (1.0, 0.9, 2)), (20, 100), (0.4, 0.6, 0.8)
            )
        ],
        "user-KNN": [
            UserNeighbours(k, days, power)
            for k, days, power in product((20, 40, 80), (10.0, 20.0, 60.0), (0.5, 0.75))
        ],
        "item-KNN": [
            ItemKnn(20, 30.0, 1.0, 10.0),
            ItemKnn(10, 20.0, 1.0, 30.0),
            ItemKnn(200, 30.0, 1.0, 0.0),
            ItemKnn(20, 60.0, 1.0, 30.0),
            ItemKnn(100, math.inf, 0.5, 10.0),
        ],
        "TF-IDF": [
            Content(half_life_days=days, power=power)
            for days, power in product((20.0, 60.0, math.inf), (1.0, 2.0, 3.0))
        ],
        "ALS": [
            Als(alpha=1.0, l2=2.0, half_life_days=60.0, power=1.5),
            Als(alpha=1.0, l2=4.0, half_life_days=60.0, power=2.0),
            Als(alpha=0.5, l2=1.0, half_life_days=90.0),
            Als(alpha=10.0, l2=10.0, half_life_days=math.inf, power=0.5),
        ],
        "BPR": [
            Bpr(factors=64, l2=0.003, half_life_days=60.0),
            Bpr(l2=0.001),
            Bpr(learning_rate=0.1, l2=0.01),
        ],
        "EASE": [
            Ease(10.0, 60.0, 0.5),
            Ease(3.0, 60.0, 0.75),
            Ease(10.0, 120.0, 1.0),
            Ease(30.0, 120.0, 0.75),
            Ease(100.0, math.inf, 1.0),
            Ease(300.0, math.inf, 0.5),
        ],
    }


def rank_all(log: InteractionLog, queries: pd.DataFrame, retriever: Retriever, ranks: int = RANKS) -> Ints:
    """The best items of the whole catalogue for each query, as codes, queries x ranks, best first.

    Items of equal score, such as all those without one, follow each other by popularity at the fit instant.

    Args:
        log: Interactions of eligible items.
        queries: QUERY_COLUMNS.
        retriever: Refitted at every fit instant on what was known then.
        ranks: Length of each list.
    """
    codes = log.encode(queries)
    ranked = np.full((len(queries), ranks), -1, dtype=np.int32)
    step = block_rows(log.n_items)
    for fit in np.unique(codes.fit):
        known = log.before(int(fit))
        fitted = retriever.fit(known)
        popularity = np.bincount(known.item, weights=known.weight, minlength=log.n_items)
        by_popularity = np.argsort(-popularity, kind="stable").astype(np.int32)
        rows = np.flatnonzero(codes.fit == fit)
        for begin in range(0, len(rows), step):
            part = rows[begin : begin + step]
            asked = codes.take(part)
            block = fitted.scores(asked, log.expand(asked)).toarray()[:, by_popularity]
            for row, values in zip(part, block, strict=True):
                best = top_of_row(values, ranks)
                ranked[row, : len(best)] = by_popularity[best]
    return ranked


@dataclass(frozen=True)
class Tuning:
    """What a grid search found.

    Attributes:
        best: The retriever with the highest validation NDCG@10; among equals the first tried.
        trials: (parameters, ndcg@10), one row per retriever tried, best first.
    """

    best: Retriever
    trials: pd.DataFrame


def tune(log: InteractionLog, validation: QuerySet, grid: Iterable[Retriever]) -> Tuning:
    """The best retriever of a grid by NDCG@10 on validation queries.

    Args:
        log: Interactions of eligible items.
        validation: Queries and truth of the validation split only; the test split must stay unseen.
        grid: What to try.
    """
    tried = list(grid)
    scores = [
        query_metrics(
            rank_all(log, validation.queries, one), validation.queries, validation.truth, log.items
        )["ndcg@10"].mean()
        for one in tried
    ]
    trials = pd.DataFrame({"parameters": [repr(one) for one in tried], "ndcg@10": scores})
    best = tried[int(np.argmax(scores))]
    return Tuning(best, trials.sort_values("ndcg@10", ascending=False, kind="stable", ignore_index=True))


def rank_baselines(
    log: InteractionLog, queries: pd.DataFrame, chosen: Mapping[str, Retriever] | None = None
) -> dict[str, Ints]:
    """The rankings of all peers by name, ready for `evaluate`.

    Examples:
        >>> list(baselines())[0]
        'popularity'
    """
    return {name: rank_all(log, queries, one) for name, one in (chosen or baselines()).items()}
