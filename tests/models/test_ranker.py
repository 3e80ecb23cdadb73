"""The ranker on a small market whose truth is known: it learns it, repeats itself and survives storage."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from features.errors import KairosError
from models.ranker import Ranker, RankerParams, feature_matrix, fit_ranker
from models.training_set import RankingSet

PARAMS = RankerParams(
    learning_rate=0.2, leaves=15, min_rows_per_leaf=20, max_trees=40, patience_trees=10, threads=1
)
KINDS = ("display", "mailer", "none")


def market(seed: int, queries: int = 300, candidates: int = 20) -> RankingSet:
    """Chances that rise with `rate` and with a mailer; `noise` says nothing."""
    rng = np.random.default_rng(seed)
    count = queries * candidates
    rate = rng.random(count)
    kind = rng.choice(KINDS, count)
    chance = 1.0 / (1.0 + np.exp(4.0 - 4.0 * rate - 2.0 * (kind == "mailer")))
    return RankingSet(
        pd.DataFrame(
            {
                "rate": np.where(rng.random(count) < 0.05, np.nan, rate).astype(np.float32),
                "noise": rng.random(count).astype(np.float32),
                "kind": pd.Categorical(kind, categories=KINDS),
            }
        ),
        (rng.random(count) < chance).astype(np.float32),
        np.repeat(np.arange(queries), candidates),
        pd.Series([f"i{n % candidates}" for n in range(count)]),
    )


@pytest.fixture(scope="module")
def fitted() -> Ranker:
    return fit_ranker(market(1), market(2), PARAMS)


@pytest.fixture(scope="module")
def unseen() -> RankingSet:
    return market(3)


def best_hits(rows: RankingSet, scores: np.ndarray) -> float:
    """Share of queries whose best three hold, on average, something bought."""
    order = np.lexsort((-scores, rows.query_id)).reshape(-1, 20)[:, :3]
    return float(rows.label[order].mean())


def test_it_learns_what_makes_people_buy(fitted: Ranker, unseen: RankingSet) -> None:
    ours = best_hits(unseen, fitted.score(unseen.features))
    by_noise = best_hits(unseen, unseen.features["noise"].to_numpy(dtype=float))
    by_rate = best_hits(unseen, np.nan_to_num(unseen.features["rate"].to_numpy(dtype=float)))
    assert ours > by_rate + 0.1 > by_noise + 0.2
    gains = fitted.importance().set_index("feature")["gain"]
    assert gains.sum() == pytest.approx(1.0)
    assert gains["noise"] < 0.25 < gains["rate"] + gains["kind"]
    assert fitted.importance()["gain"].is_monotonic_decreasing


def test_the_same_seed_gives_the_same_model(fitted: Ranker) -> None:
    again = fit_ranker(market(1), market(2), PARAMS)
    assert again.model == fitted.model
    assert again.to_json() == fitted.to_json()
    other = fit_ranker(market(4), market(2), PARAMS)
    assert other.model != fitted.model


def test_stored_and_read_again_it_scores_the_same_bits(fitted: Ranker, unseen: RankingSet) -> None:
    stored = Ranker.from_json(fitted.to_json())
    scores = fitted.score(unseen.features)
    assert len(np.unique(scores)) > 50
    assert (stored.score(unseen.features) == scores).all()
    assert (stored.chances(scores) == fitted.chances(scores)).all()
    assert (stored.features, stored.categories) == (fitted.features, fitted.categories)


def test_another_format_is_refused(fitted: Ranker) -> None:
    text = json.dumps({**json.loads(fitted.to_json()), "format": 99})
    with pytest.raises(KairosError, match="ranker format == 99, must be 1; train again"):
        Ranker.from_json(text)


@pytest.mark.parametrize("threads", [1, 2])
def test_scores_do_not_depend_on_threads_or_neighbours(
    fitted: Ranker, unseen: RankingSet, threads: int
) -> None:
    scores = fitted.score(unseen.features, threads=1)
    turned = fitted.score(unseen.features.iloc[::-1], threads=threads)[::-1]
    assert (scores == turned).all()
    assert fitted.score(unseen.features.iloc[5:6], threads=threads)[0] == scores[5]


def test_an_unknown_category_counts_as_missing(fitted: Ranker, unseen: RankingSet) -> None:
    few = unseen.features.iloc[:200]
    new = few.assign(kind=pd.Categorical(["coupon"] * 200))
    missing = few.assign(kind=pd.Categorical([None] * 200, categories=KINDS))
    assert (fitted.score(new) == fitted.score(missing)).all()
    assert not (fitted.score(new) == fitted.score(few)).all()


def test_categories_are_known_by_name_not_by_code(fitted: Ranker, unseen: RankingSet) -> None:
    few = unseen.features.iloc[:200]
    recoded = few.assign(kind=pd.Categorical(few["kind"].astype(str), categories=[*KINDS[::-1], "new"]))
    assert (fitted.score(recoded) == fitted.score(few)).all()
    matrix = feature_matrix(recoded, ("kind", "rate"), {"kind": KINDS})
    assert matrix.dtype == np.float32
    assert matrix[:, 0].tolist() == few["kind"].cat.codes.tolist()
    unknown = feature_matrix(recoded, ("kind",), {"kind": ("coupon",)})
    assert np.isnan(unknown).all()


def test_contributions_sum_to_the_score(fitted: Ranker, unseen: RankingSet) -> None:
    few = unseen.features.iloc[:300]
    contributions = fitted.contributions(few)
    assert contributions.shape == (300, len(fitted.features) + 1)
    assert contributions.sum(axis=1) == pytest.approx(fitted.score(few), abs=1e-9)


def test_chances_are_probabilities_that_rise_with_the_score(fitted: Ranker, unseen: RankingSet) -> None:
    scores = np.sort(np.r_[fitted.score(unseen.features), -1e9, 1e9])
    chances = fitted.chances(scores)
    assert ((chances > 0.0) & (chances < 1.0)).all()
    assert (np.diff(chances) >= 0.0).all()
    assert chances[-1] > 4.0 * chances[0]


def test_chances_mean_what_they_say(fitted: Ranker, unseen: RankingSet) -> None:
    chances = fitted.chances(fitted.score(unseen.features))
    assert chances.mean() == pytest.approx(unseen.label.mean(), abs=0.02)
    likely = chances > np.quantile(chances, 0.8)
    assert chances[likely].mean() == pytest.approx(unseen.label[likely].mean(), abs=0.05)
