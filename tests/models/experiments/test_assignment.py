"""Assignment is even, sticky and independent between experiments; layers exclude, the holdout stays out."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from features.errors import UsageError
from models.experiments.assignment import arm_codes, assign, in_global_holdout
from models.experiments.hashing import places
from models.experiments.split import Arm, Split, free_ranges

UNITS = np.array([f"user-{number}" for number in range(200_000)], dtype=object)
STRICT = 1e-4  # ids and salts are fixed, so what passes once passes always
HALVES = (Arm("control", 0.5), Arm("new", 0.5))


def split(name: str, layer: str = "timing", start: float = 0.0, end: float = 1.0, arms=HALVES) -> Split:
    return Split(name, layer, start, end, arms)


@pytest.mark.parametrize("salt", ["a", "b", "layer|timing", "arm|spring", "holdout"])
def test_places_are_even(salt):
    counts = np.bincount((places(UNITS, salt) * 1_000).astype(int), minlength=1_000)
    assert chisquare(counts).pvalue > STRICT and len(counts) == 1_000


def test_consecutive_numbers_are_as_even_as_long_names():
    for ids in (range(100_000), [f"{n:032x}" for n in range(100_000)], [f"用户{n}" for n in range(100_000)]):
        counts = np.bincount((places(list(ids), "x") * 100).astype(int), minlength=100)
        assert chisquare(counts).pvalue > STRICT


def test_any_two_of_thirty_experiments_are_independent():
    arms = [arm_codes(UNITS[:50_000], split(f"experiment-{number}")) for number in range(30)]
    tables = [np.bincount(2 * a + b, minlength=4).reshape(2, 2) for a, b in combinations(arms, 2)]
    found = np.array([chi2_contingency(table, correction=False)[1] for table in tables])
    assert found.min() > STRICT / 10, "435 pairs"
    assert chisquare(np.histogram(found, bins=10, range=(0, 1))[0]).pvalue > STRICT, "p-values are even too"


def test_arms_layers_and_the_holdout_are_mutually_independent():
    held = in_global_holdout(UNITS, 0.1).astype(int)
    arm = arm_codes(UNITS, split("spring"))
    of_layer = arm_codes(UNITS, split("other", "copy", 0.3, 0.6))
    of_next = arm_codes(UNITS, split("summer"))
    for one, other in combinations((held, arm, of_layer + 1, of_next), 2):
        table = np.bincount(3 * one + other, minlength=9).reshape(3, 3)
        table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
        assert chi2_contingency(table, correction=False)[1] > STRICT


def test_shares_are_kept_and_logged_as_propensities():
    arms = (Arm("control", 0.2), Arm("a", 0.5), Arm("unsent", 0.3, is_sent=False))
    told = assign(UNITS, [split("spring", end=0.4, arms=arms)])
    assert abs(len(told) / len(UNITS) - 0.4) < 0.005
    counts = told["arm"].value_counts().reindex(["control", "a", "unsent"])
    assert chisquare(counts, len(told) * np.array([0.2, 0.5, 0.3])).pvalue > STRICT
    assert told.groupby("arm")["propensity"].unique().map(list).to_dict() == {
        "control": [0.2],
        "a": [0.5],
        "unsent": [0.3],
    }
    assert set(told.loc[~told["is_sent"], "arm"]) == {"unsent"}


def test_a_layer_shares_no_unit_and_layers_cross():
    first, second = split("one", end=0.5), split("two", start=0.5)
    across = split("three", "copy", end=0.5)
    told = assign(UNITS, [first, second, across], holdout_share=0.05)
    by = told.groupby("experiment")["unit_id"].agg(set)
    assert not by["one"] & by["two"]
    assert len(by["one"] | by["two"]) == len(UNITS) - in_global_holdout(UNITS, 0.05).sum()
    assert abs(len(by["one"] & by["three"]) / len(by["three"]) - 0.5) < 0.01
    held = set(UNITS[in_global_holdout(UNITS, 0.05)])
    assert not held & set(told["unit_id"]) and abs(len(held) / len(UNITS) - 0.05) < 0.003


def test_assignment_is_sticky_whoever_else_is_there_and_however_far_it_grows():
    small, large = split("spring", end=0.2), split("spring", end=0.6)
    few = assign(UNITS[:5_000][::-1], [small]).set_index("unit_id")["arm"]
    many = assign(UNITS, [split("else", "copy"), large]).query("experiment == 'spring'").set_index("unit_id")
    assert few.sort_index().equals(many["arm"].reindex(few.index).sort_index())
    assert in_global_holdout(UNITS, 0.1)[in_global_holdout(UNITS, 0.05)].all()


def test_recorded_units_keep_arm_and_propensity_when_shares_move():
    before = assign(UNITS[:20_000], [split("spring")])
    moved = split("spring", arms=(Arm("control", 0.5), Arm("new", 0.1), Arm("newer", 0.4)))
    after = assign(UNITS[:40_000], [moved], recorded=before)
    old = after[after["unit_id"].isin(before["unit_id"])].set_index("unit_id")
    assert old["arm"].equals(before.set_index("unit_id")["arm"].reindex(old.index))
    assert (old["propensity"] == 0.5).all()
    new = after[~after["unit_id"].isin(before["unit_id"])]
    counts = new["arm"].value_counts()[["control", "new", "newer"]]
    assert chisquare(counts, len(new) * np.array([0.5, 0.1, 0.4])).pvalue > STRICT
    assert set(new.loc[new["arm"] == "newer", "propensity"]) == {0.4}


def test_nobody_and_nothing():
    assert assign([], [split("spring")]).empty and assign(["u"], []).empty
    assert list(assign([], []).columns) == list(assign(["u"], [split("spring")]).columns)
    numbers, texts = (assign(ids, [split("s")])["arm"].tolist() for ids in (pd.Series([1, 2]), ["1", "2"]))
    assert numbers == texts


def test_what_cannot_be_is_refused_in_words():
    with pytest.raises(UsageError, match=r"'one' and 'two' share 10.0% of layer 'timing'"):
        assign(["u"], [split("one", end=0.5), split("two", start=0.4)])
    with pytest.raises(UsageError, match="there twice"):
        assign(["u"], [split("one"), split("one", "copy")])
    with pytest.raises(UsageError, match="must each be > 0 and sum to 1"):
        split("one", arms=(Arm("control", 0.5), Arm("a", 0.6)))
    with pytest.raises(UsageError, match="has arm 'a' twice"):
        split("one", arms=(Arm("a", 0.5), Arm("a", 0.5)))
    with pytest.raises(UsageError, match="has 1 arms"):
        split("one", arms=(Arm("control", 1.0),))
    with pytest.raises(UsageError, match="must be 0 <= from < to <= 1"):
        split("one", start=0.5, end=0.5)
    with pytest.raises(UsageError, match=r"must be in \[0, 1\)"):
        in_global_holdout(["u"], 1.0)
    with pytest.raises(UsageError, match="must be one of control, new"):
        split("one").arm("old")


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=6))
def test_what_is_free_and_what_is_taken_make_the_whole(bounds):
    taken = [(min(pair) / 20, max(pair) / 20) for pair in bounds if pair[0] != pair[1]]
    middles = (np.arange(20) + 0.5) / 20
    is_taken = np.array([any(a < m < b for a, b in taken) for m in middles])
    is_free = np.array([any(a < m < b for a, b in free_ranges(taken)) for m in middles])
    assert (is_taken != is_free).all()
