"""Intervals at the stop hold the truth as often as they say, points have no median bias."""

from __future__ import annotations

import numpy as np
import pytest

from monitoring.experiments.boundaries import boundaries
from monitoring.experiments.stop_estimate import repeated_interval, stop_estimate

LOOKS = (0.2, 0.5, 0.7, 1.0)


def stopped(drift: float, experiments: int, seed: int, spending="obrien-fleming") -> list[tuple[int, float]]:
    """(number of looks, Z at the stop) of simulated experiments."""
    rng = np.random.default_rng(seed)
    steps = np.diff((0.0, *LOOKS))
    z = np.cumsum(rng.normal(drift * steps, np.sqrt(steps), (experiments, 4)), axis=1) / np.sqrt(LOOKS)
    beyond = np.abs(z) >= np.array(boundaries(LOOKS, 0.05, spending).z)
    last = np.where(beyond.any(axis=1), beyond.argmax(axis=1), 3)
    return [(int(look) + 1, float(z[row, look])) for row, look in enumerate(last)]


@pytest.mark.parametrize(
    ("drift", "spending"),
    [(0.0, "obrien-fleming"), (2.8, "obrien-fleming"), (1.5, "pocock"), (4.0, "pocock")],
)
def test_coverage_is_exact_and_the_point_is_the_median(drift, spending):
    experiments, held, above, naive = 800, 0, 0, 0
    for looks, z in stopped(drift, experiments, 3, spending):
        information = LOOKS[:looks]
        error = 1.0 / np.sqrt(information[-1])
        told = stop_estimate(z * error, error, boundaries(information, 0.05, spending), 0.05)
        held += told.low <= drift <= told.high
        above += told.effect > drift
        naive += abs(z * error - drift) <= 1.96 * error
    # four standard errors
    assert abs(held / experiments - 0.95) < 0.031, (held / experiments, naive / experiments)
    assert abs(above / experiments - 0.5) < 0.071


def test_p_values_are_even_without_an_effect_and_agree_with_the_boundary():
    found = np.array(
        [
            stop_estimate(
                z / np.sqrt(LOOKS[looks - 1]), 1 / np.sqrt(LOOKS[looks - 1]), boundaries(LOOKS[:looks])
            ).p_value
            for looks, z in stopped(0.0, 800, 5)
        ]
    )
    counts = np.histogram(found, bins=5, range=(0, 1))[0] / len(found)
    assert np.abs(counts - 0.2).max() < 4 * np.sqrt(0.2 * 0.8 / len(found))
    looks = boundaries(LOOKS)
    at_bound = stop_estimate(looks.z[-1], 1.0, looks)
    assert at_bound.p_value == pytest.approx(0.05, abs=1e-7) and at_bound.low == pytest.approx(0.0, abs=1e-6)
    assert at_bound.effect < looks.z[-1], "what crossed is pulled back"


def test_an_early_stop_is_the_plain_interval_and_signs_mirror():
    first = boundaries((0.5,))
    told = stop_estimate(4.0, 1.0, first)
    assert (told.low, told.effect, told.high) == pytest.approx((4 - 1.96, 4.0, 4 + 1.96), abs=1e-3)
    later = boundaries((0.4, 0.8, 1.0))
    up, down = stop_estimate(2.3, 1.0, later), stop_estimate(-2.3, 1.0, later)
    assert (up.low, up.effect, up.high) == pytest.approx((-down.high, -down.effect, -down.low), abs=1e-6)
    assert up.p_value == pytest.approx(down.p_value, abs=1e-9)


def test_units_scale_and_extremes_stay_finite():
    looks = boundaries((0.3, 0.6, 1.0))
    one, thousand = stop_estimate(2.5, 1.0, looks), stop_estimate(2_500.0, 1_000.0, looks)
    assert (thousand.low, thousand.effect) == pytest.approx((1_000 * one.low, 1_000 * one.effect), rel=1e-6)
    for z in (-40.0, 0.0, 40.0):
        told = stop_estimate(z, 1.0, looks)
        assert told.low < told.effect < told.high and 0.0 <= told.p_value <= 1.0


def test_the_repeated_interval_is_wider_and_unbounded_where_nothing_was_spent():
    looks = boundaries((0.3, 0.6, 1.0))
    told = stop_estimate(1.0, 1.0, looks)
    low, high = repeated_interval(1.0, 1.0, looks.z[-1])
    assert low < told.low + 0.1 and high - low > told.high - told.low - 0.1
    assert repeated_interval(1.0, 1.0, np.inf) == (-np.inf, np.inf)
