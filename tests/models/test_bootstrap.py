"""Resamples are the same for every question, intervals are as wide as theory says."""

from __future__ import annotations

import numpy as np
import pytest

from features.errors import UsageError
from models import bootstrap
from models.bootstrap import UserSample
from models.evaluation import EvaluationParams


def test_totals_and_resamples_are_sums_over_the_users_queries() -> None:
    sample = UserSample.of(["b", "a", "b"], EvaluationParams(bootstraps=7))
    totals = sample.totals(np.array([[1.0, 1.0], [2.0, 1.0], [4.0, 1.0]]))
    assert totals.tolist() == [[2.0, 1.0], [5.0, 2.0]]
    drawn = sample.resampled(totals)
    assert drawn.shape == (7, 2)
    # Two users are drawn each time: aa, ab or bb.
    assert {tuple(row) for row in drawn.tolist()} <= {(4.0, 2.0), (7.0, 3.0), (10.0, 4.0)}


def test_resamples_do_not_depend_on_how_many_are_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = UserSample.of([f"u{user:03d}" for user in range(40)], EvaluationParams(bootstraps=50))
    totals = sample.totals(np.arange(40.0)[:, None])
    whole = sample.resampled(totals)
    monkeypatch.setattr(bootstrap, "_CELLS_AT_ONCE", 40 * 7)
    assert sample.resampled(totals).tolist() == whole.tolist()


def test_interval_of_a_mean_has_the_width_of_the_normal_approximation() -> None:
    n = 2_000
    values = np.random.default_rng(1).normal(size=(n, 1))
    sample = UserSample.of(np.arange(n).astype(str), EvaluationParams())
    drawn = sample.resampled(sample.totals(np.column_stack([values, np.ones(n)])))
    found = sample.interval(float(values.mean()), drawn[:, 0] / drawn[:, 1])
    assert found.low < found.mean < found.high
    assert found.high - found.low == pytest.approx(3.92 / np.sqrt(n), rel=0.15)


def test_undefined_resamples_are_left_out_and_none_make_no_interval() -> None:
    sample = UserSample.of(["a", "b"], EvaluationParams(bootstraps=4))
    found = sample.interval(1.0, np.array([np.nan, 1.0, 1.0, np.nan]))
    assert (found.low, found.high) == (1.0, 1.0)
    assert np.isnan(sample.interval(1.0, np.array([np.nan])).low)


def test_jackknife_of_a_mean_is_its_standard_error() -> None:
    n = 1_000
    values = np.random.default_rng(2).normal(size=n)
    sample = UserSample.of(np.arange(n).astype(str))
    groups = sample.groups
    assert np.bincount(groups).min() == np.bincount(groups).max() == n // 50
    left_out = np.array([values[groups != group].mean() for group in range(50)])
    found = sample.jackknife_interval(float(values.mean()), left_out)
    assert found.high - found.low == pytest.approx(3.92 * values.std() / np.sqrt(n), rel=0.3)
    alone = UserSample.of(["a"])
    assert np.isnan(alone.jackknife_interval(1.0, np.array([1.0])).low)


def test_no_query_is_refused() -> None:
    with pytest.raises(UsageError, match="0 queries"):
        UserSample.of([])
