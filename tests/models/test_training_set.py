"""From candidates to rows: sampling, labels, groups, stacking and what the feature store is asked."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import UsageError
from models.training_set import (
    ENTITY_COLUMNS,
    REQUEST_COLUMNS,
    RankingSet,
    SamplingParams,
    assemble,
    entity_frame,
    labels_of,
    sample_negatives,
    stack,
    take_rows,
)

QUERIES = pd.DataFrame(
    {
        "query_id": [7, 9],
        "user_id": ["u1", "u0"],
        "device": ["ios", "web"],
        "network": "unknown",
        "region": "unknown",
        "store_id": ["s1", "s0"],
        "channel": "app",
        "weather": "unknown",
        "daypart": ["evening", "morning"],
        "weekday": [0, 6],
        "local_day": [17_230, 17_236],
        "cutoff_epoch_seconds": [1_488_690_000, 1_489_208_400],
        "fit_epoch_seconds": [1_488_690_000, 1_488_690_000],
    }
)
CANDIDATES = pd.DataFrame(
    {"query_id": [9, 9, 9, 7], "item_id": ["b", "a", "z", "a"], "score_popular": [0.5, 0.25, np.nan, 1.0]}
)
CATEGORIES = pd.Series({"a": "food", "b": "drink"})
TRUTH = pd.DataFrame({"query_id": [9, 9, 7, 7], "item_id": ["a", "x", "b", "a"], "relevance": [1.0, 1, 1, 2]})

labelled_groups = st.lists(
    st.lists(st.sampled_from([0.0, 0.0, 1.0]), min_size=1, max_size=12), min_size=1, max_size=6
)


@given(labelled_groups, st.integers(1, 5), st.integers(0, 3))
def test_sampling_keeps_every_positive_and_at_most_n_others(groups, negatives: int, seed: int) -> None:
    query_id = np.repeat(np.arange(len(groups)) * 3, [len(group) for group in groups])
    label = np.concatenate(groups)
    kept = sample_negatives(query_id, label, SamplingParams(negatives, seed))
    assert (np.diff(kept) > 0).all()
    assert set(np.flatnonzero(label > 0)) <= set(kept)
    for query, group in zip(np.unique(query_id), groups, strict=True):
        rows = kept[query_id[kept] == query]
        assert (label[rows] == 0).sum() == min(negatives, group.count(0.0))


def test_sampling_follows_its_seed_and_draws_evenly() -> None:
    query_id = np.repeat(np.arange(2_000), 10)
    label = np.tile([1.0] + [0.0] * 9, 2_000)
    kept = sample_negatives(query_id, label, SamplingParams(3, seed=1))
    assert (kept == sample_negatives(query_id, label, SamplingParams(3, seed=1))).all()
    other = sample_negatives(query_id, label, SamplingParams(3, seed=2))
    assert not np.array_equal(kept, other)
    drawn = np.bincount(kept % 10, minlength=10)
    assert drawn[0] == 2_000
    assert np.abs(drawn[1:] - 2_000 / 3).max() < 100  # 4.7 standard deviations


def test_a_querys_rows_do_not_depend_on_the_others_drawn_with_it() -> None:
    query_id = np.repeat(np.arange(50), 20)
    label = np.tile([1.0] + [0.0] * 19, 50)
    kept = sample_negatives(query_id, label, SamplingParams(5))
    part = sample_negatives(query_id[400:600], label[400:600], SamplingParams(5)) + 400
    assert part.tolist() == kept[(kept >= 400) & (kept < 600)].tolist()
    mixed = np.random.default_rng(0).permutation(len(query_id))
    mixed = mixed[np.argsort(mixed % 20, kind="stable")]  # queries in any order, each one's rows in theirs
    again = sample_negatives(query_id[mixed], label[mixed], SamplingParams(5))
    assert sorted(mixed[again].tolist()) == kept.tolist()


def test_the_draw_is_blind_to_what_a_row_holds() -> None:
    """Each pair of a bought and another candidate is kept with the same chance: the order stays unbiased."""
    rng = np.random.default_rng(3)
    score = rng.random(40_000)
    kept = sample_negatives(np.repeat(np.arange(400), 100), np.zeros(40_000), SamplingParams(25))
    assert len(kept) == 10_000
    assert abs(score[kept].mean() - score.mean()) < 0.012  # 4 standard deviations
    assert abs((kept % 100).mean() - 49.5) < 1.2


def test_every_candidate_can_be_kept() -> None:
    everything = sample_negatives(np.array([3, 3, 4]), np.array([0.0, 1, 0]), SamplingParams(None))
    assert everything.tolist() == [0, 1, 2]
    with pytest.raises(UsageError, match="negatives_per_query == 0, must be >= 1; or None"):
        SamplingParams(0)


def test_nothing_to_sample_from() -> None:
    none = np.zeros(0)
    assert sample_negatives(none.astype(np.int64), none, SamplingParams()).tolist() == []


def test_labels_are_the_truths_relevance() -> None:
    assert labels_of(CANDIDATES, TRUTH).tolist() == [0.0, 1.0, 0.0, 2.0]
    as_category = CANDIDATES.assign(item_id=pd.Categorical(CANDIDATES["item_id"]))
    assert labels_of(as_category, TRUTH).tolist() == [0.0, 1.0, 0.0, 2.0]
    assert labels_of(CANDIDATES, TRUTH.iloc[:0]).tolist() == [0.0] * 4


def test_the_feature_store_is_asked_row_for_row() -> None:
    asked = entity_frame(QUERIES, CANDIDATES, CATEGORIES, "US")
    assert asked.columns.tolist() == [*ENTITY_COLUMNS, "event_timestamp", *REQUEST_COLUMNS]
    assert asked["user_id"].tolist() == ["u0", "u0", "u0", "u1"]
    assert asked["item_id"].tolist() == ["b", "a", "z", "a"]
    assert asked["category"].tolist() == ["drink", "food", "unknown", "food"]
    assert asked["store_id"].tolist() == ["s0", "s0", "s0", "s1"]
    assert asked["device"].tolist() == ["web"] * 3 + ["ios"]
    assert asked["market"].tolist() == ["all"] * 4
    assert asked["daypart"].tolist() == ["morning"] * 3 + ["evening"]
    assert asked["local_hour"].tolist() == [6] * 3 + [17]
    assert asked["weekday"].tolist() == ["6"] * 3 + ["0"]
    assert asked["local_day"].tolist() == [17_236] * 3 + [17_230]
    assert asked["request_epoch_seconds"].tolist() == [1_489_208_400] * 3 + [1_488_690_000]
    instants = pd.to_datetime(asked["request_epoch_seconds"], unit="s", utc=True)
    assert asked["event_timestamp"].tolist() == instants.tolist()
    assert asked["country"].tolist() == ["US"] * 4


def test_a_candidate_without_query_is_an_error() -> None:
    with pytest.raises(UsageError, match="1 candidates belong to no query"):
        entity_frame(QUERIES.iloc[1:], CANDIDATES, CATEGORIES, "US")


def assembled(truth: pd.DataFrame | None = TRUTH) -> RankingSet:
    features = pd.DataFrame(
        {"kind": ["display", "none", None, "none"], "rate": np.arange(4.0), "unused": np.zeros(4)}
    )
    return assemble(CANDIDATES, features, QUERIES, truth, ["rate", "kind"])


def test_rows_hold_scores_features_and_scene_in_the_candidates_order() -> None:
    rows = assembled()
    assert rows.features.columns.tolist() == ["score_popular", "rate", "kind", "query_daypart"]
    assert rows.features["rate"].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert np.isnan(rows.features["score_popular"].iloc[2])
    assert rows.features["query_daypart"].tolist() == [1.0, 1.0, 1.0, 4.0]
    assert rows.features.drop(columns="kind").dtypes.unique().tolist() == [np.float32]
    assert rows.features["kind"].isna().tolist() == [False, False, True, False]
    assert rows.label.tolist() == [0.0, 1.0, 0.0, 2.0]
    assert rows.item_id.tolist() == ["b", "a", "z", "a"]
    assert rows.group_sizes.tolist() == [3, 1]
    assert assembled(truth=None).label.tolist() == [0.0] * 4


def test_a_join_that_lost_rows_is_refused() -> None:
    with pytest.raises(UsageError, match="features have 3 rows for 4 candidates"):
        assemble(CANDIDATES, pd.DataFrame({"rate": [1.0] * 3}), QUERIES, TRUTH, ["rate"])


def test_taken_rows_stay_together() -> None:
    taken = take_rows(assembled(), np.array([1, 3]))
    assert taken.features["rate"].tolist() == [1.0, 3.0]
    assert (taken.label.tolist(), taken.query_id.tolist()) == ([1.0, 2.0], [9, 7])
    assert taken.item_id.tolist() == ["a", "a"]
    assert taken.group_sizes.tolist() == [1, 1]


def test_parts_with_different_categories_become_one_set() -> None:
    first, second = take_rows(assembled(), np.array([0])), take_rows(assembled(), np.array([1, 2]))
    for part in (first, second):
        part.features["kind"] = part.features["kind"].cat.remove_unused_categories()
    both = stack([first, second])
    assert both.features["kind"].astype(object).where(both.features["kind"].notna(), None).tolist() == [
        "display",
        "none",
        None,
    ]
    assert both.features["kind"].cat.categories.tolist() == ["display", "none"]
    reversed_parts = stack([second, first])
    assert reversed_parts.features["kind"].cat.categories.tolist() == ["display", "none"]
    assert both.features["rate"].tolist() == [0.0, 1.0, 2.0]
    assert (both.label.tolist(), both.query_id.tolist()) == ([0.0, 1.0, 0.0], [9, 9, 9])
    assert both.item_id.tolist() == ["b", "a", "z"]


def test_nothing_to_stack_is_said() -> None:
    with pytest.raises(UsageError, match="no rows to learn from"):
        stack([])
