"""Off-policy estimates find what another policy would have earned, and say when they cannot."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from features.errors import RefusedError, UsageError
from monitoring.experiments.off_policy import (
    DR,
    IPS,
    SNIPS,
    LoggedChoices,
    OffPolicyParams,
    off_policy_readout,
    skewed_interval,
)
from tests.benchmarks.experiments_parts.logged_bandit import Bandit


def test_every_method_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    bandit, experiments = Bandit(users=600), 250
    held = dict.fromkeys((IPS, SNIPS, DR), 0)
    errors = {name: [] for name in held}
    for number in range(experiments):
        found = off_policy_readout(bandit.log(rng, number))
        assert not found.warnings
        for name in held:
            one = found.of(name)
            held[name] += one.low <= bandit.truth <= one.high
            errors[name].append(one.value - bandit.truth)
    for name, count in held.items():
        assert count / experiments > 0.95 - 4 * np.sqrt(0.05 * 0.95 / experiments), name
        assert abs(np.mean(errors[name])) < 4 * np.std(errors[name]) / np.sqrt(experiments), name
    assert np.std(errors[DR]) < np.std(errors[IPS])


def log(n=2_000, propensity=0.5, seed=0, **columns):
    rng = np.random.default_rng(seed)
    taken = rng.random(n) < propensity
    told = {
        "unit": np.arange(n),
        "reward": (rng.random(n) < 0.3) * 1.0,
        "propensity": np.where(taken, propensity, 1 - propensity),
        "target": taken * 1.0,
    }
    return LoggedChoices(**{**told, **columns})


def test_the_logging_policy_itself_is_estimated_by_its_mean():
    same = log(target=log().propensity)
    found = off_policy_readout(same)
    assert found.of(IPS).value == pytest.approx(found.logged) and found.effective_rows == pytest.approx(2_000)
    assert found.mean_weight == pytest.approx(1.0) and found.of(SNIPS).value == pytest.approx(found.logged)


def test_a_perfect_model_needs_no_weights_and_a_useless_one_does_no_harm():
    base = log()
    perfect = log(foretold=base.reward, foretold_target=np.full(2_000, 0.3))
    found = off_policy_readout(perfect).of(DR)
    assert found.value == pytest.approx(0.3) and found.error == pytest.approx(0.0, abs=1e-12)
    useless = off_policy_readout(log(foretold=np.zeros(2_000), foretold_target=np.zeros(2_000)))
    assert useless.of(DR).value == pytest.approx(useless.of(IPS).value)


def test_rows_of_a_user_are_not_taken_as_independent():
    rng = np.random.default_rng(1)
    unit = np.repeat(np.arange(400), 10)
    taste = np.repeat(rng.random(400) < 0.3, 10) * 1.0
    taken = np.repeat(rng.random(400) < 0.5, 10)
    same = {"reward": taste, "propensity": np.full(4_000, 0.5), "target": taken * 1.0}
    by_user = off_policy_readout(LoggedChoices(unit=unit, **same)).of(IPS)
    by_row = off_policy_readout(LoggedChoices(unit=np.arange(4_000), **same)).of(IPS)
    assert by_user.error == pytest.approx(by_row.error * np.sqrt(10), rel=0.02)


def test_clipping_is_told_with_its_bias():
    rare = log(20_000, propensity=0.02)
    whole, cut = off_policy_readout(rare), off_policy_readout(rare, OffPolicyParams(clip=10.0))
    assert cut.clipped_share == pytest.approx(0.02, abs=0.005) and whole.clipped_share == 0.0
    assert cut.of(IPS).value == pytest.approx(whole.of(IPS).value + cut.clip_bias) and cut.clip_bias < 0
    assert cut.of(IPS).error < whole.of(IPS).error and cut.largest_weight == whole.largest_weight == 50.0


def test_what_the_log_cannot_say_is_warned_of():
    few = off_policy_readout(log(60, propensity=0.5))
    assert "must be >= 100; explore more, or longer" in few.warnings[0]
    wrong = off_policy_readout(log(propensity=0.5, seed=2, target=(log(seed=2).target) * 0.6))
    assert "never tried" in wrong.warnings[0]
    with pytest.raises(RefusedError, match="none of the logged choices"):
        off_policy_readout(log(target=np.zeros(2_000)))
    with pytest.raises(RefusedError, match="no logged choice"):
        log(0)
    with pytest.raises(RefusedError, match="one unit"):
        off_policy_readout(log(unit=np.zeros(2_000, dtype=np.int64)))
    with pytest.raises(UsageError, match=r"propensity is not in \(0, 1\]"):
        LoggedChoices(np.arange(2), np.ones(2), np.zeros(2), np.ones(2))
    with pytest.raises(UsageError, match="must foretell both"):
        log(foretold=np.zeros(2_000))
    with pytest.raises(UsageError, match="must be one of IPS, SNIPS"):
        few.of(DR)


def test_nothing_earned_is_no_interval_but_no_nan():
    found = off_policy_readout(log(reward=np.zeros(2_000)))
    assert (found.of(IPS).value, found.of(IPS).low, found.of(IPS).high) == (0.0, 0.0, 0.0)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-100, 100), min_size=5, max_size=60), st.floats(0.5, 20.0))
@example([0.0, 0.0, 0.0, 0.0, 1e-118], 1.0)
def test_intervals_are_finite_ordered_and_scale(pulls, scale):
    parts = np.array(pulls) - np.mean(pulls)
    low, high, error = skewed_interval(1.0, parts, 10.0, 0.05)
    assert np.isfinite([low, high, error]).all()
    assert low <= 1.0 <= high or error < 1e-9
    scaled = skewed_interval(1.0, scale * parts, 10.0, 0.05)
    assert scaled[2] == pytest.approx(scale * error, abs=1e-9)
