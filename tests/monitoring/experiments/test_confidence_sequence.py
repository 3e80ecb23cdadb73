"""Confidence sequences hold at all looks together; harm in rare events is called exactly."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from features.errors import UsageError
from monitoring.experiments.confidence_sequence import sequence_bound, sequence_interval, tightness
from monitoring.experiments.rare_events import harm_evidence


def walks(experiments: int, looks: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(effect, error) at each look, without an effect; errors fall with the root of the looks."""
    rng = np.random.default_rng(seed)
    looks_so_far = np.arange(1, looks + 1)
    return np.cumsum(rng.standard_normal((experiments, looks)), axis=1) / looks_so_far, looks_so_far**-0.5


@pytest.mark.parametrize("tightest", [10, 100, 1_000])
def test_the_truth_is_inside_at_all_of_a_thousand_looks(tightest):
    effects, errors = walks(3_000, 1_000, 4)
    width = np.array(
        [sequence_interval(0.0, error, (look + 1) / tightest, 0.05)[1] for look, error in enumerate(errors)]
    )
    missed = (np.abs(effects) > width).any(axis=1).mean()
    assert missed <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 3_000)
    assert missed > 0.01, "it is not idle either"
    bound = np.array(
        [sequence_bound(0.0, error, (look + 1) / tightest, 0.05) for look, error in enumerate(errors)]
    )
    assert (effects + bound > 0).any(axis=1).mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 3_000)


def test_it_is_narrowest_where_it_was_declared_to_be():
    fractions = np.linspace(0.2, 5.0, 200)

    # among mixtures, the one tuned to a time beats the others at that time
    def width_at_one(tuned_to: float) -> float:
        return sequence_interval(0.0, 1.0, 1.0 / tuned_to)[1]

    assert fractions[np.argmin([width_at_one(fraction) for fraction in fractions])] == pytest.approx(
        1.0, abs=0.03
    )


def test_tightness_solves_its_equation():
    grown = tightness(0.05)
    assert (grown + 1) * np.exp(-grown) == pytest.approx(0.05**2, rel=1e-9)
    with pytest.raises(UsageError):
        tightness(1.0)
    with pytest.raises(UsageError, match="must be > 0"):
        sequence_interval(0.0, 1.0, 0.0)


@pytest.mark.parametrize(("hurt", "fine", "share"), [(7, 2, 0.5), (3, 9, 0.3), (0, 4, 0.5)])
def test_rare_harm_is_the_mixture_of_likelihood_ratios(hurt, fine, share):
    def ratio(p: float) -> float:
        return (p / share) ** hurt * ((1 - p) / (1 - share)) ** fine

    exact = quad(ratio, share, 1.0)[0] / (1 - share)
    assert harm_evidence(hurt, fine, share) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("chance", [0.5, 0.4])
def test_no_harm_is_called_harm_as_seldom_as_declared(chance):
    rng = np.random.default_rng(9)
    events = rng.random((2_000, 300)) < chance
    hurt = events.cumsum(axis=1)
    called = 0
    cache = {
        (h, n - h): harm_evidence(h, n - h, 0.5)
        for n in range(1, 301)
        for h in range(n // 2, n + 1)
        if h > n / 2
    }
    for one in hurt:
        called += any(cache.get((int(h), n - int(h)), 0.0) >= 20.0 for n, h in enumerate(one, start=1))
    assert called / 2_000 <= 0.05


def test_harm_is_seen_early_and_many_events_do_not_overflow():
    assert harm_evidence(15, 0, 0.5) > 1_000 and harm_evidence(3, 0, 0.5) < 20
    assert np.isfinite(harm_evidence(100_000, 50_000, 0.5)) and harm_evidence(50_000, 100_000, 0.5) < 1e-6
