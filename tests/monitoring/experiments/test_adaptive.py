"""Shares that move bias plain means; the weighted estimate is right, and its interval honest."""

from __future__ import annotations

import numpy as np
import pytest

from features.errors import RefusedError, UsageError
from models.experiments.thompson import ThompsonParams, thompson_shares
from monitoring.experiments.adaptive import adaptive_difference, adaptive_mean

RATES = (0.10, 0.10, 0.10)


def adaptive_experiment(rng: np.random.Generator, batches: int = 10, size: int = 200):
    """(values, arms, propensities, batch) of an experiment whose shares follow Thompson."""
    shares = np.array([0.2, 0.4, 0.4])
    values, arms, chances = [], [], []
    for _ in range(batches):
        arm = rng.choice(3, size=size, p=shares)
        values.append((rng.random(size) < np.array(RATES)[arm]).astype(float))
        arms.append(arm)
        chances.append(np.tile(shares, (size, 1)))
        done, got = np.concatenate(arms), np.concatenate(values)
        counts = [((done == code).sum(), got[done == code].sum()) for code in (1, 2)]
        params = ThompsonParams(0.2, 0.05, draws=300, seed=int(rng.integers(1 << 30)))
        shares = thompson_shares([int(hits) for _, hits in counts], [int(n) for n, _ in counts], params)
    batch = np.repeat(np.arange(batches), size)
    return np.concatenate(values), np.concatenate(arms), np.concatenate(chances), batch


def test_the_weighted_estimate_has_no_bias_and_honest_intervals():
    rng = np.random.default_rng(0)
    plain, weighted, held = [], [], 0
    experiments = 600
    for _ in range(experiments):
        values, arms, chances, batch = adaptive_experiment(rng)
        means = [adaptive_mean(values, arms == code, chances[:, code], batch) for code in (1, 0)]
        found = adaptive_difference(*means)
        plain.append(values[arms == 1].mean() - values[arms == 0].mean())
        weighted.append(found.effect)
        held += abs(found.z) <= 1.96
    error = np.std(weighted) / np.sqrt(experiments)
    assert abs(np.mean(weighted)) < 3 * error
    assert np.mean(plain) < -3 * np.std(plain) / np.sqrt(experiments), "the plain mean is biased downwards"
    assert held / experiments > 0.95 - 4 * np.sqrt(0.05 * 0.95 / experiments)


def test_fixed_shares_give_nearly_the_plain_mean():
    rng = np.random.default_rng(1)
    values, arm = rng.normal(3.0, 1.0, 4_000), rng.random(4_000) < 0.3
    batch = np.repeat(np.arange(8), 500)
    found = adaptive_mean(values, arm, np.full(4_000, 0.3), batch)
    assert found.mean == pytest.approx(values[arm].mean(), abs=0.1) and found.units == arm.sum()


def test_what_cannot_be_judged_is_said():
    values, batch = np.ones(6), np.zeros(6, dtype=np.int64)
    half = np.array([True, False] * 3)
    with pytest.raises(UsageError, match=r"not in \(0, 1\]"):
        adaptive_mean(values, half, np.zeros(6), batch)
    with pytest.raises(RefusedError, match="has 1 units"):
        adaptive_mean(values, np.arange(6) == 0, np.full(6, 0.5), batch)
    with pytest.raises(RefusedError, match="same value"):
        adaptive_mean(np.zeros(6), half, np.full(6, 0.5), batch)
