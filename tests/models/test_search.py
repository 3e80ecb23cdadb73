"""The search for hyper-parameters: earlier weeks fit, later ones judge, time and trials end it."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import numpy as np
import pandas as pd
import pytest

from features.errors import UsageError
from models.ranker_params import RankerParams
from models.search import SPACE, Search, SearchParams, newest_weeks, rolling_origins, search_ranker
from models.training_set import RankingSet

WEEKS, QUERIES, CANDIDATES = 5, 40, 15
PARAMS = RankerParams(leaves=4, min_rows_per_leaf=500, threads=1)
QUICK = SearchParams(minutes=1.0, trials=7, origins=2, max_trees=25, patience_trees=5)


def market(seed: int) -> RankingSet:
    """Chances that rise with `rate` where `taste` is high and fall with it elsewhere; weeks of queries."""
    rng = np.random.default_rng(seed)
    rows = WEEKS * QUERIES * CANDIDATES
    rate, taste = rng.random(rows), rng.random(rows)
    chance = 1.0 / (1.0 + np.exp(3.0 - 6.0 * (rate - 0.5) * np.sign(taste - 0.5)))
    return RankingSet(
        pd.DataFrame({"rate": rate.astype(np.float32), "taste": taste.astype(np.float32)}),
        (rng.random(rows) < chance).astype(np.float32),
        np.repeat(np.arange(WEEKS * QUERIES), CANDIDATES),
        pd.Series([f"i{n % CANDIDATES}" for n in range(rows)]),
    )


WEEK = pd.Series(np.repeat(np.arange(WEEKS), QUERIES) * 604_800, index=range(WEEKS * QUERIES))


@pytest.fixture(scope="module")
def rows() -> RankingSet:
    return market(1)


@pytest.fixture(scope="module")
def found(rows: RankingSet) -> Search:
    return search_ranker(rows, rows, WEEK, lambda: 0.0, PARAMS, QUICK)


def test_it_finds_better_parameters_than_bad_ones(found: Search) -> None:
    first, rest = found.trials.iloc[0], found.trials.iloc[1:]
    assert first[list(SPACE)].to_dict() == {name: getattr(PARAMS, name) for name in SPACE}
    complete = rest[rest["state"] == "complete"]
    best = complete.loc[complete["ndcg10"].idxmax()]
    assert best["ndcg10"] > first["ndcg10"] + 0.005
    assert found.params.leaves == best["leaves"]
    told = f"NDCG@10 {first['ndcg10']:.4f} -> {best['ndcg10']:.4f}; 7 trials, ended by their number"
    assert found.words == told
    # Rate, bounds and seed are no part of the search.
    kept = {name: getattr(PARAMS, name) for name in ("learning_rate", "max_trees", "patience_trees", "seed")}
    assert {name: getattr(found.params, name) for name in kept} == kept


def test_the_same_seed_finds_the_same(rows: RankingSet, found: Search) -> None:
    again = search_ranker(rows, rows, WEEK, lambda: 0.0, PARAMS, QUICK)
    assert again.params == found.params
    assert again.complete and found.complete
    pd.testing.assert_frame_equal(again.trials, found.trials)


def test_time_ends_it_and_is_told(rows: RankingSet) -> None:
    ticks = count()
    short = search_ranker(rows, rows, WEEK, lambda: 10.0 * next(ticks), PARAMS, QUICK)  # 6 ticks a minute
    assert not short.complete
    assert 1 < len(short.trials) < QUICK.trials
    assert short.trials["state"].iloc[-1] == "pruned"


def test_without_time_for_one_trial_the_parameters_stay(rows: RankingSet) -> None:
    ticks = count()
    none = search_ranker(rows, rows, WEEK, lambda: 100.0 * next(ticks), PARAMS, QUICK)
    assert none.params == PARAMS
    assert not none.complete
    assert none.trials["ndcg10"].isna().all()
    assert none.words == "no trial in time, parameters stay; 1 trials, ended by time"


def test_every_fitted_week_is_earlier_than_the_judged_one(rows: RankingSet) -> None:
    folds = rolling_origins(rows, rows, WEEK, SearchParams(origins=3, queries_per_origin=10))
    judged_weeks = [set(WEEK.loc[judged.query_id]) for _, judged in folds]
    assert judged_weeks == [{2 * 604_800}, {3 * 604_800}, {4 * 604_800}]
    for (train, judged), (week,) in zip(folds, judged_weeks, strict=True):
        assert set(WEEK.loc[train.query_id]) == {one for one in WEEK if one < week}
        # Whole queries: fewer of them, never fewer candidates.
        assert judged.group_sizes.tolist() == [CANDIDATES] * 10


def test_a_fit_may_be_held_to_some_queries(rows: RankingSet) -> None:
    ((train, _),) = rolling_origins(rows, rows, WEEK, SearchParams(origins=1, queries_to_fit=30))
    assert train.group_sizes.tolist() == [CANDIDATES] * 30
    assert WEEK.loc[train.query_id].nunique() == WEEKS - 1


def test_the_newest_weeks_judge() -> None:
    assert newest_weeks(WEEK, SearchParams(origins=2)) == [3 * 604_800, 4 * 604_800]
    assert newest_weeks(WEEK, SearchParams(origins=99)) == sorted(set(WEEK))


def test_one_week_is_nothing_to_roll_over(rows: RankingSet) -> None:
    with pytest.raises(UsageError, match="1 judged weeks have 0 weeks before them to fit on"):
        rolling_origins(rows, rows, WEEK * 0, QUICK)


@pytest.mark.parametrize("change", [{"minutes": -1.0}, {"trials": 0}, {"origins": 0}])
def test_impossible_searches_are_refused(change: dict[str, float]) -> None:
    (name,) = change
    with pytest.raises(UsageError, match=f"search {name} == .*, must be >= "):
        replace(QUICK, **change)
