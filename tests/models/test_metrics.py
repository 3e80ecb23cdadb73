"""Metrics against cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from models.metrics import average_precision_at, coverage_at, hit_rate_at, ndcg_at, recall_at

HITS = np.array([[True, False, True, False], [False, False, False, False], [False, True, False, True]])
TARGETS = np.array([2, 1, 5], dtype=np.int32)


def test_ndcg():
    log2 = np.log2
    first = (1 / log2(2) + 1 / log2(4)) / (1 / log2(2) + 1 / log2(3))
    third = (1 / log2(3)) / (1 / log2(2) + 1 / log2(3) + 1 / log2(4))
    assert ndcg_at(HITS, TARGETS, 3) == pytest.approx([first, 0, third])
    assert ndcg_at(np.ones((1, 12), bool), np.array([20], np.int32), 10) == pytest.approx([1.0])
    assert ndcg_at(np.array([[True]]), np.array([2], np.int32), 10) == pytest.approx([1 / (1 + 1 / log2(3))])


def test_recall_and_hit_rate():
    assert recall_at(HITS, TARGETS, 3) == pytest.approx([1.0, 0.0, 0.2])
    assert recall_at(HITS, TARGETS, 4) == pytest.approx([1.0, 0.0, 0.4])
    assert hit_rate_at(HITS, 1).tolist() == [1.0, 0.0, 0.0]
    assert hit_rate_at(HITS, 4).tolist() == [1.0, 0.0, 1.0]


def test_average_precision():
    assert average_precision_at(HITS, TARGETS, 4) == pytest.approx(
        [(1 + 2 / 3) / 2, 0.0, (1 / 2 + 2 / 4) / 4]
    )


def test_coverage_ignores_empty_ranks():
    assert coverage_at(np.array([[0, 1, 5], [1, -1, -1]], np.int32), 4, k=2) == 0.5
