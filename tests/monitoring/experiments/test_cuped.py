"""CUPED cuts variance by what the past foretells, never invents an effect, and the delta method holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import RefusedError, UsageError
from monitoring.experiments.cuped import covariates, difference, moments
from monitoring.experiments.metrics import Metric


def arms(rng, treated, control, rho=0.8, effect=0.0, new_share=0.3):
    """(values, past) of two arms; some units have no past, and differ from the others."""
    n = treated + control
    past = rng.gamma(0.5, 2.0, n)
    values = rho * past + rng.gamma(0.5, 1.0, n) + effect * (np.arange(n) < treated)
    is_new = rng.random(n) < new_share
    return np.where(is_new, values * 0.3, values), np.where(is_new, np.nan, past)


def compared(values, past, treated):
    known = covariates(past, len(values))
    return difference(moments(values[:treated], known[:treated]), moments(values[treated:], known[treated:]))


def test_without_covariates_it_is_welch():
    rng = np.random.default_rng(0)
    values, _ = arms(rng, 50, 70)
    found = compared(values, None, 50)
    assert found.effect == pytest.approx(values[:50].mean() - values[50:].mean())
    error = np.sqrt(values[:50].var(ddof=1) / 50 + values[50:].var(ddof=1) / 70)
    assert found.error == pytest.approx(error) and found.variance_cut == pytest.approx(0.0)


def test_variance_falls_by_the_squared_correlation():
    rng = np.random.default_rng(1)
    past = rng.normal(size=40_000)
    values = 0.6 * past + 0.8 * rng.normal(size=40_000)
    assert compared(values, past, 20_000).variance_cut == pytest.approx(0.36, abs=0.02)


@pytest.mark.parametrize(("treated", "control"), [(400, 400), (150, 900)])
def test_errors_are_honest_with_skewed_values_and_missing_pasts(treated, control):
    rng = np.random.default_rng(2)
    found = [compared(*arms(rng, treated, control), treated) for _ in range(1_500)]
    effects, errors = (np.array([getattr(one, name) for one in found]) for name in ("effect", "error"))
    assert abs(effects.mean()) < 4 * effects.std() / np.sqrt(1_500), "no bias"
    assert np.sqrt((errors**2).mean()) == pytest.approx(effects.std(), rel=0.07)
    missed = (np.abs(effects / errors) > 1.96).mean()
    assert abs(missed - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 1_500)
    assert np.mean([one.variance_cut for one in found]) > 0.3


def test_an_effect_stays_whole_when_shares_and_slopes_differ():
    rng = np.random.default_rng(3)
    past = rng.normal(5.0, 1.0, 40_000)
    is_treated = np.arange(40_000) < 4_000
    values = past + np.where(is_treated, 1.0 + 2.0 * (past - 5.0), 0.0) + rng.normal(size=40_000)
    found = compared(values, past, 4_000)
    plain = compared(values, None, 4_000)
    assert abs(found.effect - 1.0) < 4 * found.error and found.error < plain.error


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from(["none", "constant", "missing", "copy", "noise"]))
def test_a_useless_past_changes_little_and_nothing_is_nan(seed, kind):
    rng = np.random.default_rng(seed)
    values = rng.poisson(1.0, 200).astype(float)
    past = {
        "none": None,
        "constant": np.full(200, 3.0),
        "missing": np.full(200, np.nan),
        "copy": values + 1e-3 * rng.normal(size=200),
        "noise": rng.normal(size=200),
    }[kind]
    found, plain = compared(values, past, 100), compared(values, None, 100)
    assert np.isfinite([found.effect, found.error, found.z]).all() and found.error > 0
    if kind in ("none", "constant", "missing"):
        assert found.effect == pytest.approx(plain.effect) and found.error == pytest.approx(plain.error)
    if kind == "noise":
        assert found.error <= plain.error * 1.01


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.floats(1e-3, 1e4), st.floats(-100, 100))
def test_scale_and_shift_carry_over(seed, scale, shift):
    rng = np.random.default_rng(seed)
    values, past = arms(rng, 60, 60)
    one, other = compared(values, past, 60), compared(scale * values + shift, scale * past - shift, 60)
    assert other.effect == pytest.approx(scale * one.effect, rel=1e-6, abs=1e-8 * scale)
    assert other.error == pytest.approx(scale * one.error, rel=1e-6)


def test_nothing_to_judge_is_said_in_words():
    with pytest.raises(RefusedError, match=r"same value \(0 and 0\)"):
        compared(np.zeros(20), None, 10)
    with pytest.raises(RefusedError, match="the treatment has 1 units"):
        compared(np.arange(5.0), None, 1)
    with pytest.raises(RefusedError, match="the control has 0 units"):
        compared(np.arange(5.0), None, 5)
    with pytest.raises(RefusedError, match="foretells every unit's value exactly"):
        compared(np.arange(20.0), np.arange(20.0), 10)


def test_ratios_by_the_delta_method_have_honest_errors():
    rng = np.random.default_rng(5)
    metric = Metric("open rate", "opens", per="pushes")
    effects, errors = [], []
    for _ in range(1_500):
        values = []
        for _ in range(2):
            taste = rng.beta(1.0, 4.0, 300)  # of a user: pushes of a user are far from independent
            pushes = rng.poisson(3.0 + 5.0 * taste) + 1.0
            values.append(
                metric.values({"opens": rng.binomial(pushes.astype(int), taste) + 0.0, "pushes": pushes})
            )
        found = difference(*(moments(one, np.zeros((300, 0))) for one in values))
        effects.append(found.effect)
        errors.append(found.error)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(effects), rel=0.07)
    naive = np.sqrt(2 * 0.2 * 0.8 / (300 * 5))
    assert np.std(effects) > 1.2 * naive, "pushes taken as independent would say too little"


def test_metrics_count_as_declared():
    spend = np.array([0.0, 10.0, 5_000.0])
    assert Metric("spend", "amount", cap=200.0).values({"amount": spend}).tolist() == [0.0, 10.0, 200.0]
    assert Metric("buyers", "amount", is_flag=True).values({"amount": spend}).tolist() == [0.0, 1.0, 1.0]
    with pytest.raises(RefusedError, match="nothing to divide by"):
        Metric("rate", "a", per="b").values({"a": np.ones(3), "b": np.zeros(3)})
    with pytest.raises(UsageError, match="cap == -1"):
        Metric("spend", "amount", cap=-1.0)
