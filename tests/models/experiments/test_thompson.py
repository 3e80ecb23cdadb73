"""Thompson shares follow what is likely the best; the control's share and the floor never move."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta

from features.errors import UsageError
from models.experiments.split import Arm, Split
from models.experiments.thompson import ThompsonParams, thompson_shares, with_shares


def test_the_share_is_the_chance_of_being_best():
    params = ThompsonParams(control_share=0.2, floor=0.05)
    one, other = beta(1 + 20, 1 + 80), beta(1 + 26, 1 + 74)
    exact = quad(lambda rate: one.cdf(rate) * other.pdf(rate), 0, 1)[0]
    shares = thompson_shares([20, 26], [100, 100], params)
    assert shares[2] == pytest.approx(0.05 + 0.7 * exact, abs=0.01)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 500), min_size=1, max_size=5), st.floats(0.1, 0.5))
def test_shares_sum_to_one_above_the_floor(hits, control):
    shares = thompson_shares(hits, [500] * len(hits), ThompsonParams(control, 0.05, draws=500))
    assert shares.sum() == pytest.approx(1.0) and shares[0] == control and shares.min() >= 0.05 - 1e-12


def test_new_shares_go_to_the_same_arms():
    split = Split("s", "l", 0.0, 1.0, (Arm("control", 0.4), Arm("a", 0.3), Arm("b", 0.3, timing="late")))
    moved = with_shares(split, thompson_shares([10, 30], [100, 100]))
    assert [arm.name for arm in moved.arms] == ["control", "a", "b"] and moved.arms[2].timing == "late"
    assert np.isclose(moved.arms[0].share, 0.2) and moved.arms[2].share > 0.7


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError, match="lower them"):
        thompson_shares([1, 1], [5, 5], ThompsonParams(control_share=0.9, floor=0.1))
    with pytest.raises(UsageError, match="more conversions than units"):
        thompson_shares([6], [5])
