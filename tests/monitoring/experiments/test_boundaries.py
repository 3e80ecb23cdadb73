"""Boundaries are those of the published tables, and hold for looks at any information."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import UsageError
from monitoring.experiments.boundaries import boundaries, constant_boundaries
from monitoring.experiments.power import fixed_power, inflation_factor, sequential_power
from monitoring.experiments.spending import SPENDINGS, spent


def even(looks: int) -> tuple[float, ...]:
    return tuple((look + 1) / looks for look in range(looks))


# Reboussin, DeMets, Kim and Lan (2000), Computations for group sequential boundaries using the Lan-DeMets
# spending function method, two-sided 0.05.
PUBLISHED = {
    ("obrien-fleming", 2): (2.9626, 1.9686),
    ("obrien-fleming", 3): (3.7103, 2.5114, 1.9930),
    ("obrien-fleming", 4): (4.3326, 2.9631, 2.3590, 2.0141),
    ("obrien-fleming", 5): (4.8769, 3.3569, 2.6803, 2.2898, 2.0310),
    ("pocock", 2): (2.1570, 2.2010),
    ("pocock", 5): (2.4380, 2.4268, 2.4101, 2.3966, 2.3859),
}


@pytest.mark.parametrize(("spending", "looks"), PUBLISHED)
def test_boundaries_are_the_published_ones(spending, looks):
    found = boundaries(even(looks), 0.05, spending).z
    assert found == pytest.approx(PUBLISHED[spending, looks], abs=3e-4)


# Jennison and Turnbull (2000), tables 2.1 to 2.4, alpha 0.05, power 0.8: looks, Pocock's constant and its
# inflation factor, O'Brien and Fleming's constant and its inflation factor.
CLASSICAL = [
    (2, 2.178, 1.110, 1.977, 1.008),
    (3, 2.289, 1.166, 2.004, 1.017),
    (4, 2.361, 1.202, 2.024, 1.024),
    (5, 2.413, 1.229, 2.040, 1.028),
    (10, 2.555, 1.301, 2.087, 1.040),
]


@pytest.mark.parametrize(("looks", "pocock", "pocock_cost", "obrien", "obrien_cost"), CLASSICAL)
def test_classical_boundaries_leave_one_in_twenty_and_cost_what_the_tables_say(
    looks, pocock, pocock_cost, obrien, obrien_cost
):
    constant = constant_boundaries(even(looks), [pocock] * looks)
    falling = constant_boundaries(even(looks), [obrien / np.sqrt(part) for part in even(looks)])
    for found, cost in ((constant, pocock_cost), (falling, obrien_cost)):
        assert sum(side.sum() for side in found.leaving(0.0)) == pytest.approx(0.05, abs=1.5e-4)
        assert inflation_factor(found, 0.05, 0.8) == pytest.approx(cost, abs=1.5e-3)


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.floats(0.02, 1.0), min_size=1, max_size=6),
    st.sampled_from(SPENDINGS),
    st.sampled_from([0.01, 0.05, 0.1]),
    st.booleans(),
)
def test_every_look_leaves_what_may_be_spent(steps, spending, alpha, is_last):
    information = tuple(np.cumsum(steps))
    if any(after < before * 1.011 for before, after in pairwise(information)):
        return
    found = boundaries(information, alpha, spending, is_last)
    up, down = (side.sum(axis=1).cumsum() for side in found.leaving(0.0))
    allowed = np.array([spent(part, alpha, spending) for part in information])
    if is_last:
        allowed[-1] = alpha
    assert up + down == pytest.approx(allowed, abs=1e-7) and up == pytest.approx(down, abs=1e-12)


@pytest.mark.parametrize("information", [(0.1, 0.3, 0.35, 0.9), (0.5, 0.506, 1.0), (0.3, 0.9, 1.2)])
@pytest.mark.parametrize("drift", [0.0, 1.0, 3.0])
def test_the_integration_agrees_with_simulation(information, drift):
    rng = np.random.default_rng(11)
    steps = np.diff((0.0, *information))
    walks = np.cumsum(rng.normal(drift * steps, np.sqrt(steps), size=(200_000, len(steps))), axis=1)
    found = boundaries(information, 0.05, "pocock")
    beyond = np.abs(walks / np.sqrt(information)) >= np.array(found.z)
    first = np.where(beyond.any(axis=1), beyond.argmax(axis=1), -1)
    up, down = found.leaving(drift)
    for look in range(len(steps)):
        exact = float(up[look, 0] + down[look, 0])
        assert (first == look).mean() == pytest.approx(exact, abs=5 * np.sqrt(max(exact, 1e-5) / 200_000))


def test_boundaries_of_a_lower_level_lie_higher_at_every_look():
    levels = [0.05, 0.025, 0.05 / 3, 0.01]
    for spending in SPENDINGS:
        found = np.array([boundaries(even(5), level, spending).z for level in levels])
        assert (np.diff(found, axis=0) > 0).all()


def test_one_look_is_the_fixed_test():
    once = boundaries((1.0,))
    assert once.z[0] == pytest.approx(1.959964, abs=1e-6)
    assert sequential_power(2.5, once) == pytest.approx(fixed_power(2.5), abs=1e-9)
    assert inflation_factor(once) == pytest.approx(1.0, abs=1e-9)


def test_more_than_planned_spends_nothing_more_and_an_early_end_spends_the_rest():
    assert boundaries((0.5, 1.1, 1.4)).z[2] == np.inf
    assert boundaries((0.01, 0.02, 1.0)).z[:2] == (np.inf, np.inf)
    short, kept = boundaries((0.5, 0.92), is_last=True), boundaries((0.5, 0.92))
    assert short.z[1] < kept.z[1]
    assert sum(side.sum() for side in short.leaving(0.0)) == pytest.approx(0.05, abs=1e-8)


def test_looks_without_anything_new_are_refused_in_words():
    with pytest.raises(UsageError, match=r"must add 1\.0%; leave it out"):
        boundaries((0.5, 0.5))
    with pytest.raises(UsageError, match="no information"):
        boundaries((0.0, 0.5))
    with pytest.raises(UsageError, match="must be one of obrien-fleming, pocock"):
        boundaries((0.5,), 0.05, "linear")
    with pytest.raises(UsageError, match="alpha == 0"):
        boundaries((0.5,), 0.0)


def test_no_chance_is_lost_however_large_the_effect():
    for drift in (10.0, 30.0, 200.0):
        up, down = boundaries((0.05, 0.4, 1.0)).leaving(drift)
        assert up.sum() == pytest.approx(1.0, abs=1e-6) and down.sum() < 1e-12
