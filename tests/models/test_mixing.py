"""Mixing: the best order wins where validation can tell, the prior where it cannot."""

from __future__ import annotations

import numpy as np
import pytest

from models.metrics import ndcg_at
from models.mixing import evened, query_ndcg, share_of_first

ROWS = 20


def lists(queries: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(label, sizes, a score that knows it but for noise)."""
    rng = np.random.default_rng(seed)
    label = np.zeros((queries, ROWS), dtype=np.float32)
    label[np.arange(queries), rng.integers(0, ROWS, queries)] = 1.0
    score = label + rng.normal(0, 0.5, label.shape)
    return label.ravel(), np.full(queries, ROWS, dtype=np.int32), score.ravel().astype(np.float64)


def test_it_is_the_metric_of_the_evaluation() -> None:
    label, sizes, score = lists(30)
    order = np.argsort(-score.reshape(-1, ROWS), axis=1)
    hits = np.take_along_axis(label.reshape(-1, ROWS), order, axis=1) > 0
    expected = ndcg_at(hits, np.ones(30, dtype=np.int32))
    assert query_ndcg(score, label > 0, sizes) == pytest.approx(expected)


def test_queries_without_a_target_say_nothing() -> None:
    label, sizes, score = lists(4)
    label[:ROWS] = 0
    assert len(query_ndcg(score, label > 0, sizes)) == 3
    assert share_of_first(score, -score, label * 0, sizes) == 0.5


def test_noise_gets_no_share_where_validation_can_tell() -> None:
    label, sizes, score = lists(2_000)
    noise = np.random.default_rng(2).normal(0, 1.0, len(score))
    assert share_of_first(score, noise, label, sizes) == 1.0
    assert share_of_first(noise, score, label, sizes) == 0.0


def test_what_chance_may_have_made_changes_nothing() -> None:
    label, sizes, score = lists(40)
    rng = np.random.default_rng(3)
    pairs = [[score + rng.normal(0, 0.05, len(score)) for _ in range(2)] for _ in range(40)]
    moved = sum(share_of_first(*pair, label, sizes) != 0.5 for pair in pairs)
    assert moved <= 6, "two standard errors, four ways to move"


def test_scores_are_brought_to_one_scale() -> None:
    _, sizes, score = lists(300)
    assert evened(score * 50, sizes) == pytest.approx(evened(score, sizes) / 50)
    assert np.isfinite(evened(score * 0, sizes))
