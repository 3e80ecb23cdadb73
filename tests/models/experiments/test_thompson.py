"""Thompson shares follow what is likely the best; the control's share and the floor never move."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta

from features.errors import UsageError
from models.experiments.assignment import arm_codes, assign
from models.experiments.split import Arm, Split
from models.experiments.thompson import ThompsonParams, thompson_shares, with_waves


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


def test_users_come_in_waves_and_keep_the_shares_and_the_arm_of_theirs():
    arms = (Arm("control", 0.4), Arm("a", 0.3), Arm("b", 0.3, timing="late"))
    split, users = Split("s", "l", 0.0, 1.0, arms, waves=4), [f"u{number}" for number in range(20_000)]
    assert (arm_codes(users, split) == -1).all(), "no wave has come"
    first = with_waves(split, (0.4, 0.3, 0.3), 1)
    assert with_waves(first, (0.4, 0.05, 0.55), 1) == first, "a wave's shares are set once"
    grown = with_waves(first, (0.4, 0.05, 0.55), 9)
    assert grown.wave_shares == ((0.4, 0.3, 0.3), *[(0.4, 0.05, 0.55)] * 3)
    before, after = arm_codes(users, first), arm_codes(users, grown)
    came = before >= 0
    assert came.mean() == pytest.approx(0.25, abs=0.01) and (after[came] == before[came]).all()
    shares = np.bincount(after[~came], minlength=3) / (~came).sum()
    assert shares == pytest.approx([0.4, 0.05, 0.55], abs=0.01)
    told = assign(users, (grown,))
    assert len(told) == len(users)
    chance = told.groupby("arm")["propensity"].agg(["min", "max"])
    assert chance.loc["a"].tolist() == [0.05, 0.3] and chance.loc["control"].tolist() == [0.4, 0.4]


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError, match="lower them"):
        thompson_shares([1, 1], [5, 5], ThompsonParams(control_share=0.9, floor=0.1))
    with pytest.raises(UsageError, match="more conversions than units"):
        thompson_shares([6], [5])
