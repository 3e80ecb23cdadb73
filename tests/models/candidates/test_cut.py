from __future__ import annotations

import json
from dataclasses import replace

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from features.errors import UsageError
from models.candidates.blend import Source, blend_candidates
from models.candidates.cut import Cut, CutParams, fit_cut, lessons
from models.candidates.personal import Personal
from models.candidates.popular import Popular

PARAMS = CutParams(keep=3, negatives_per_query=4, trees=40, leaves=4, min_rows_per_leaf=5, threads=1)


def pool_of(queries: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ten candidates a query; what is bought has a high `good` score, `noise` says nothing."""
    rng = np.random.default_rng(seed)
    good, noise = rng.random((queries, 10)), rng.random((queries, 10))
    pool = pd.DataFrame(
        {
            "query_id": np.repeat(np.arange(queries), 10),
            "item_id": pd.Categorical(np.tile([f"i{n}" for n in range(10)], queries)),
            "score_noise": noise.ravel().astype(np.float32),
            "score_good": good.ravel().astype(np.float32),
        }
    )
    truth = pool.loc[(good > 0.8).ravel(), ["query_id", "item_id"]].assign(relevance=1.0)
    return pool, truth.astype({"item_id": str})


def kept_rows(cut: Cut, pool: pd.DataFrame) -> np.ndarray:
    scores = {
        name.removeprefix("score_"): pool[name].to_numpy() for name in pool if name.startswith("score_")
    }
    return cut.kept(pool["query_id"].to_numpy(), scores)


def test_keeps_the_likeliest_of_each_query() -> None:
    cut = fit_cut([pool_of(150, 1)[0]], pool_of(150, 1)[1], PARAMS)
    pool, truth = pool_of(50, 2)
    kept = pool.iloc[kept_rows(cut, pool)]
    assert (kept.groupby("query_id").size() == 3).all()
    found = truth.merge(kept.astype({"item_id": str}), on=["query_id", "item_id"])
    assert len(found) > 0.9 * truth.groupby("query_id").size().clip(upper=3).sum()
    assert kept.index.is_monotonic_increasing


def test_several_pools_teach_as_one_and_always_the_same() -> None:
    pool, truth = pool_of(120, 3)
    halves = [pool[pool["query_id"] < 60].reset_index(drop=True), pool[pool["query_id"] >= 60]]
    again = fit_cut(iter(halves), truth, PARAMS)
    assert again == fit_cut(iter(halves), truth, PARAMS)
    assert Cut.from_dict(json.loads(json.dumps(again.as_dict()))) == again


def test_sampled_negatives_weigh_for_all() -> None:
    pool, truth = pool_of(400, 4)
    everything = fit_cut([pool], truth, replace(PARAMS, negatives_per_query=10))
    sampled = fit_cut([pool], truth, replace(PARAMS, negatives_per_query=2))
    scores = pool[["score_noise", "score_good"]].to_numpy()
    chances = [lgb.Booster(model_str=cut.model).predict(scores).mean() for cut in (everything, sampled)]
    assert chances[0] == pytest.approx(len(truth) / len(pool), rel=0.05)
    assert chances[1] == pytest.approx(chances[0], rel=0.15)


def test_nothing_bought_teaches_nothing() -> None:
    pool, truth = pool_of(20, 5)
    assert fit_cut([pool], truth[:0], PARAMS) is None
    assert fit_cut([], truth, PARAMS) is None


def test_the_newest_queries_teach() -> None:
    queries = pd.DataFrame({"query_id": [3, 1, 2], "cutoff_epoch_seconds": [10, 30, 20]})
    assert lessons(queries, replace(PARAMS, queries=2))["query_id"].tolist() == [1, 2]


def test_a_retriever_that_is_gone_is_named() -> None:
    pool, truth = pool_of(60, 6)
    cut = fit_cut([pool], truth, PARAMS)
    with pytest.raises(UsageError, match="good"):
        kept_rows(cut, pool.drop(columns="score_good"))


def test_the_blend_cuts_every_query_alike(market_log, market_queries) -> None:
    sources = (Source(Personal(60.0), 50), Source(Popular(), 50))
    whole = blend_candidates(market_log, market_queries, sources)
    truth = whole.loc[::3, ["query_id", "item_id"]].assign(relevance=1.0).astype({"item_id": str})
    cut = fit_cut([whole], truth, replace(PARAMS, keep=5))
    fewer = blend_candidates(market_log, market_queries, sources, cut)
    assert (fewer.groupby("query_id").size() <= 5).all()
    assert len(fewer.merge(whole, on=list(whole.columns))) == len(fewer)
