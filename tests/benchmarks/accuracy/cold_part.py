"""Cold start, measured apart: baskets of users so new that the protocol leaves them out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd

from features.errors import UsageError
from flows.ranking_rows import ranking_rows
from flows.wiring import Stores
from models.baselines import baselines, rank_all
from models.evaluation import ranked_items
from models.interaction_log import InteractionLog
from models.queries import QueryParams, QuerySet, build_queries
from models.ranker import Ranker
from models.scrutiny import thin_users
from tests.benchmarks.accuracy.ours import OURS, filled
from tests.benchmarks.accuracy.sources import Occasions

THIN_BASKETS = 5
PEERS = ("popularity by store", "popularity", "personal frequency", "TIFU-KNN")


def measure_cold(stores: Stores, occasions: Occasions, ranker: Ranker) -> list[dict[str, Any]]:
    """NDCG@10 by earlier baskets of users with fewer than THIN_BASKETS of them; [] where they ask anyway."""
    data, test = occasions.data, occasions.queries.of_split("test")
    if len(thin(data.log, test).queries):
        return []
    params = replace(occasions.plan.queries, min_items=1, min_earlier_baskets=0)
    asked = thin_test_queries(data.log, data.as_of, data.timezone, params)
    if not len(asked.queries):
        return []
    parts = [
        pd.DataFrame(
            {
                "query_id": rows.query_id,
                "item_id": rows.item_id,
                "score": ranker.score(rows.features, occasions.plan.ranker.threads),
            }
        )
        for rows in ranking_rows(stores.features, data, asked.queries, asked.truth, cut=ranker.cut)
    ]
    ours = ranked_items(pd.concat(parts), "score", asked.queries, data.log.items)
    known = baselines()
    rankings = {OURS: filled(ours, data.log, asked.queries)} | {
        name: rank_all(data.log, asked.queries, known[name]) for name in PEERS if name in known
    }
    peers = [name for name in rankings if name != OURS]
    return thin_users(data.log, asked, rankings, OURS, peers, occasions.plan.evaluation)


def thin_test_queries(log: InteractionLog, as_of: Any, timezone: str, params: QueryParams) -> QuerySet:
    """The test weeks' baskets of thin users; none where no basket qualifies."""
    try:
        return thin(log, build_queries(log, as_of, timezone, params).of_split("test"))
    except UsageError:
        nothing = pd.DataFrame({"query_id": []})
        return QuerySet(nothing, nothing)


def thin(log: InteractionLog, queries: QuerySet) -> QuerySet:
    """Those of users with fewer than THIN_BASKETS baskets before the cut-off."""
    codes = log.encode(queries.queries)
    kept = queries.queries[log.baskets_before(codes.user, codes.cutoff) < THIN_BASKETS]
    truth = queries.truth[queries.truth["query_id"].isin(kept["query_id"])]
    return QuerySet(kept.reset_index(drop=True), truth.reset_index(drop=True))
