"""What a fitted ranker must not care about, what it must prefer, and the least it must achieve."""

from __future__ import annotations

import numpy as np
import pandas as pd

from models.baselines import baselines, rank_all
from models.evaluation import evaluate, ranked_items


def test_the_order_of_candidates_does_not_matter(fitted_shop) -> None:
    features = fitted_shop.rows.features.iloc[:2_000]
    scores = fitted_shop.ranker.score(features)
    order = np.random.default_rng(0).permutation(len(features))
    shuffled = features.iloc[order].reset_index(drop=True)
    assert (fitted_shop.ranker.score(shuffled) == scores[order]).all()
    assert (scores[order] != scores).mean() > 0.9, "the scores tell rows apart, or any order would pass"


def test_strangers_are_served_and_all_alike(fitted_shop) -> None:
    rows = fitted_shop.strangers
    scores = fitted_shop.ranker.score(rows.features)
    assert np.isfinite(scores).all()
    first, second = (
        pd.Series(scores[rows.query_id == n], index=rows.item_id[rows.query_id == n]) for n in (0, 1)
    )
    assert len(first) >= 10
    pd.testing.assert_series_equal(first, second)
    assert first.nunique() > 5, "strangers' items are still ranked"


def test_the_more_often_somebody_bought_an_item_the_higher_it_scores(fitted_shop) -> None:
    scores = fitted_shop.twins.pivot(index="source", columns="times", values="score")
    assert scores.notna().all(axis=None), "the item is a candidate of every twin"
    assert (scores[2] > scores[0]).all()
    assert (scores[6] > scores[0]).all()
    assert (scores[6] > scores[2]).mean() >= 0.9


def test_an_item_scores_higher_at_its_own_time_of_day(fitted_shop) -> None:
    twins = fitted_shop.twins
    assert (twins["score"] > twins["score_at_another_time"]).mean() >= 0.9


def test_its_chances_rise_with_its_scores(fitted_shop) -> None:
    scores = np.sort(fitted_shop.ranker.score(fitted_shop.rows.features))
    chances = fitted_shop.ranker.chances(scores)
    assert (np.diff(chances) >= 0).all()
    assert 0.0 < chances[0] < chances[-1] < 1.0


def test_it_beats_popularity_beyond_doubt(fitted_shop) -> None:
    test, log, rows = fitted_shop.test, fitted_shop.log, fitted_shop.rows
    scored = pd.DataFrame(
        {
            "query_id": rows.query_id,
            "item_id": rows.item_id,
            "score": fitted_shop.ranker.score(rows.features),
        }
    )
    rankings = {
        "ours": ranked_items(scored, "score", test.queries, log.items),
        "popularity": rank_all(log, test.queries, baselines()["popularity"]),
    }
    report = evaluate(rankings, test.queries, test.truth, log.items, ["popularity"])
    assert report.n_queries > 200
    assert report.differences["ours", "popularity"]["ndcg@10"].low > 0.02
