"""The union of candidates and everyone's opinion of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.errors import UsageError
from models.candidates.blend import Source, blend_candidates, default_sources
from models.candidates.personal import Personal
from models.candidates.popular import Popular
from models.candidates.retriever import top_items, top_of_row, values_at

SOURCES = (Source(Personal(20.0), 4), Source(Popular("store"), 3, only_new=True), Source(Popular(), 0))


def test_union_and_scores_equal_a_loop(market_log, market_queries):
    found = blend_candidates(market_log, market_queries, SOURCES)
    codes = market_log.encode(market_queries)
    histories = market_log.expand(codes)
    known = market_log.before(42 * 86_400)
    scores = {
        one.retriever.name: one.retriever.fit(known).scores(codes, histories).toarray() for one in SOURCES
    }
    seen = histories.matrix(histories.weight).toarray() > 0
    for place, query_id in enumerate(market_queries["query_id"]):
        mine = found[found["query_id"] == query_id]
        own = scores["personal_20d"][place]
        new = np.where(seen[place], 0, scores["popular_store"][place])
        wanted = {i for i in np.argsort(-own, kind="stable")[:4] if own[i] > 0}
        wanted |= {i for i in np.argsort(-new, kind="stable")[:3] if new[i] > 0}
        assert set(mine["item_id"].cat.codes) == wanted
        for name, matrix in scores.items():
            np.testing.assert_array_equal(
                mine[f"score_{name}"], matrix[place, mine["item_id"].cat.codes].astype(np.float32)
            )


def test_order_types_and_determinism(market_log, market_queries):
    found = blend_candidates(market_log, market_queries)
    names = [f"score_{source.retriever.name}" for source in default_sources()]
    assert list(found) == ["query_id", "item_id", *names]
    assert found["query_id"].dtype == np.int64
    assert (found[names].dtypes == np.float32).all()
    assert not found.duplicated(["query_id", "item_id"]).any()
    assert found["query_id"].is_monotonic_increasing
    pd.testing.assert_frame_equal(found, blend_candidates(market_log, market_queries))
    backwards = market_queries[::-1].reset_index(drop=True)
    other = blend_candidates(market_log, backwards).sort_values(["query_id", "item_id"], ignore_index=True)
    pd.testing.assert_frame_equal(found, other)


def test_small_blocks_change_nothing(market_log, market_queries, monkeypatch):
    whole = blend_candidates(market_log, market_queries)
    monkeypatch.setattr("models.candidates.retriever.BLOCK_CELLS", 30)
    pd.testing.assert_frame_equal(whole, blend_candidates(market_log, market_queries))


def test_later_events_change_no_candidate(market, market_log, market_queries):
    latest = market_queries["cutoff_epoch_seconds"].max()
    shown = blend_candidates(market_log, market_queries)
    pd.testing.assert_frame_equal(shown, blend_candidates(market_log.before(int(latest)), market_queries))


def test_no_queries_give_an_empty_frame_with_every_column(market_log, market_queries):
    empty = blend_candidates(market_log, market_queries[:0])
    assert len(empty) == 0
    assert list(empty) == list(blend_candidates(market_log, market_queries))


def test_names_must_differ(market_log, market_queries):
    with pytest.raises(UsageError, match="must differ"):
        blend_candidates(market_log, market_queries, (Source(Popular(), 3), Source(Popular(), 4)))


def test_top_of_row_prefers_the_lower_position_among_equals():
    rng = np.random.default_rng(3)
    for _ in range(50):
        values = rng.integers(0, 4, 12).astype(float)
        k = int(rng.integers(1, 14))
        assert top_of_row(values, k).tolist() == np.argsort(-values, kind="stable")[:k].tolist()


def test_values_at_reads_what_top_items_found(market_log):
    everyone = market_log.everyone()
    matrix = everyone.matrix(everyone.weight)
    query, item = top_items(matrix, 5)
    assert (values_at(matrix, query, item) == matrix.toarray()[query, item]).all()
