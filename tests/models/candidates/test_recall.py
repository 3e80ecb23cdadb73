"""Recall and unique contribution against sets counted by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.candidates.blend import Source, blend_candidates
from models.candidates.neighbours import UserNeighbours
from models.candidates.personal import Personal
from models.candidates.popular import Popular
from models.candidates.recall import UNION, recall_table
from models.candidates.retriever import top_items, without
from models.queries import QuerySet

DAY = 86_400
FIT = 42 * DAY
SOURCES = (
    Source(Personal(20.0), 4),
    Source(Popular(), 3, only_new=True),
    Source(UserNeighbours(3), 2, only_new=True),
)


@pytest.fixture
def asked(market, market_queries) -> QuerySet:
    """What each user bought from the cut-off on, and three items for the stranger."""
    late = market[market["epoch_seconds"] >= 48 * DAY]
    bought = market_queries.merge(late[["user_id", "item_id"]].drop_duplicates(), on="user_id")
    stranger = pd.DataFrame({"query_id": 109, "item_id": ["i00", "i05", "i09"]})
    truth = pd.concat([bought[["query_id", "item_id"]], stranger], ignore_index=True).assign(relevance=1.0)
    return QuerySet(market_queries, truth)


def pairs(log, matrix, k):
    query, item = top_items(matrix, k)
    return set(zip((query + 100).tolist(), log.items.decode(item).tolist(), strict=True))


def test_every_column_is_what_sets_say(market_log, asked):
    table = recall_table(market_log, asked, SOURCES, depths=(1, 5)).set_index("retriever")
    codes = market_log.encode(asked.queries)
    past = market_log.expand(codes)
    bought = {(int(q) + 100, market_log.items.values[i]) for q, i in zip(past.query, past.item, strict=True)}
    targets = set(zip(asked.truth["query_id"], asked.truth["item_id"], strict=True))
    new = targets - bought
    found = {}
    for source in SOURCES:
        matrix = source.retriever.fit(market_log.before(FIT)).scores(codes, past)
        news = without(matrix, past.query, past.item)
        row = table.loc[source.retriever.name]
        for k in (1, 5):
            assert row[f"recall@{k}"] == pytest.approx(
                len(targets & pairs(market_log, matrix, k)) / len(targets)
            )
            assert row[f"new_recall@{k}"] == pytest.approx(len(new & pairs(market_log, news, k)) / len(new))
        within = pairs(market_log, news if source.only_new else matrix, source.budget) & targets
        found[source.retriever.name] = within
        assert row["found"] == pytest.approx(len(within) / len(targets))
        assert row["found_new"] == pytest.approx(len(within & new) / len(new))
    for name, own in found.items():
        others = set().union(*(theirs for other, theirs in found.items() if other != name))
        assert table.loc[name, "unique"] == pytest.approx(len(own - others) / len(targets))
    assert 0 < table.loc[UNION, "found"] == pytest.approx(len(set().union(*found.values())) / len(targets))


def test_the_union_is_the_blend(market_log, asked):
    candidates = blend_candidates(market_log, asked.queries, SOURCES)
    union = recall_table(market_log, asked, SOURCES).set_index("retriever").loc[UNION]
    held = asked.truth.merge(candidates.astype({"item_id": object}), on=["query_id", "item_id"])
    assert union["budget"] == pytest.approx(len(candidates) / len(asked.queries))
    assert union["found"] == pytest.approx(len(held) / len(asked.truth))


def test_small_blocks_change_nothing(market_log, asked, monkeypatch):
    whole = recall_table(market_log, asked, SOURCES)
    monkeypatch.setattr("models.candidates.retriever.BLOCK_CELLS", 30)
    pd.testing.assert_frame_equal(recall_table(market_log, asked, SOURCES), whole)


def test_a_source_without_budget_finds_nothing_by_itself(market_log, asked):
    table = recall_table(market_log, asked, [Source(Popular(), 0)], depths=(14,))
    assert table.loc[0, "recall@14"] == 1.0
    assert table.loc[0, "found"] == 0.0
    assert np.isnan(table.loc[1, "recall@14"])
    assert table.loc[1, "budget"] == 0.0
