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
    assert len(np.unique(scores)) > 1_000


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


def never_bought(fitted_shop) -> pd.DataFrame:
    """Candidates that their user has not bought, of users with a history."""
    features = fitted_shop.rows.features
    new = features[features["user_item_sessions"].isna() & (features["user_sessions"] > 5)]
    assert len(new) > 500
    return new.reset_index(drop=True)


def as_if_bought(features: pd.DataFrame, sessions: float, every_days: float, days_ago: float) -> pd.DataFrame:
    """The candidates had their users bought the item so often, in so regular a rhythm; all else as it is."""
    ages = days_ago + every_days * np.arange(sessions)
    rate_30d, rate_90d = (float(np.exp2(-ages / half_life).sum()) for half_life in (30, 90))
    return features.assign(
        user_item_sessions=np.float32(sessions),
        user_item_rate_30d=np.float32(rate_30d),
        user_item_rate_90d=np.float32(rate_90d),
        user_item_days_since_last=np.float32(days_ago),
        user_item_mean_gap_days=np.float32(every_days),
        user_item_last_gap_days=np.float32(every_days),
        user_item_due=np.float32(days_ago / every_days),
        user_item_share=(sessions / features["user_sessions"]).astype(np.float32),
        user_item_recent_share=(rate_30d / features["user_rate_30d"]).astype(np.float32),
        user_item_units=np.float32(1.0),
    )


def test_what_was_bought_often_scores_above_what_was_never_bought(fitted_shop) -> None:
    new = never_bought(fitted_shop)
    never = fitted_shop.ranker.score(new)
    often = fitted_shop.ranker.score(as_if_bought(new, sessions=6, every_days=10.0, days_ago=9.0))
    assert (often > never).mean() > 0.95


def test_what_was_bought_more_often_scores_higher(fitted_shop) -> None:
    new = never_bought(fitted_shop)
    once = fitted_shop.ranker.score(as_if_bought(new, sessions=2, every_days=10.0, days_ago=9.0))
    often = fitted_shop.ranker.score(as_if_bought(new, sessions=7, every_days=10.0, days_ago=9.0))
    assert (often > once).mean() > 0.9


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
