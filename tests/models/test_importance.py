"""Importance adds up, in themes as in features; reliability is what was counted."""

from __future__ import annotations

import numpy as np
import pytest

from models.importance import THEMES, contribution_shares, theme_shares
from models.reasons import REASONS
from models.reliability import reliability_curve


def test_themes_take_all_of_the_importance() -> None:
    names = ["user_item_due", "promo_active", "user_tenure_days", "is_weekend", "score_ease"]
    rows = [{"feature": name, "gain": gain} for gain, name in enumerate(names, start=1)]
    found = theme_shares(rows)
    assert sum(row["share"] for row in found) == pytest.approx(1.0)
    assert [row["share"] for row in found] == sorted((row["share"] for row in found), reverse=True)
    assert sorted(name for row in found for name in row["features"]) == sorted(names)
    assert theme_shares([]) == [] and theme_shares([{"feature": "season", "gain": 0.0}]) == []


def test_every_reason_stands_under_one_theme() -> None:
    told = [code for codes in THEMES.values() for code in codes]
    assert len(told) == len(set(told))
    assert {reason.code for reason in REASONS.values()} <= set(told)


def test_features_that_pull_against_each_other_weigh_little_as_a_theme() -> None:
    names = ["promo_active", "promo_days_left", "item_trend"]
    rows = np.array([[1.0, -1.0, 0.5, 9.0], [-2.0, 2.0, 0.5, 9.0]])  # the last column is the bias
    features, themes = contribution_shares(rows, names)
    assert [row["feature"] for row in features] == ["promo_active", "promo_days_left", "item_trend"]
    assert [row["share"] for row in features] == pytest.approx([3 / 7, 3 / 7, 1 / 7])
    assert [row["share"] for row in themes] == [1.0]
    assert contribution_shares(rows[:0], names) == ([], [])


def test_reliability_bins_hold_every_row_and_equal_chances_share_one() -> None:
    rng = np.random.default_rng(3)
    stated = rng.random(5_000)
    happened = rng.random(5_000) < stated
    curve = reliability_curve(happened, stated)
    assert len(curve) == 10 and sum(row["rows"] for row in curve) == 5_000
    assert [row["stated"] for row in curve] == sorted(row["stated"] for row in curve)
    within = sum(row["low"] <= row["stated"] <= row["high"] for row in curve)
    assert within >= 8  # honest chances: nine bins in ten or so
    overstated = reliability_curve(rng.random(5_000) < stated / 2, stated)
    assert overstated[-1]["high"] < overstated[-1]["stated"]
    assert [row["rows"] for row in reliability_curve([0, 1, 1], [0.2, 0.2, 0.2])] == [3]
    assert reliability_curve([], []) == []
