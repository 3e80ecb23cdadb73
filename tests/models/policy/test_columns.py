"""Facts in columns: what many rows share is asked about once, and the answers are those of every row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.policy.columns import Columns, Level, columns_of
from models.policy.params import PolicyParams
from models.policy.rule import Rule, kept_rows, passing


def facts() -> Columns:
    items = Level(np.array([0, 1, 1, 0]), {"price": np.array([1.0, 5.0]), "user": np.array(["never"] * 2)})
    users = pd.DataFrame({"user": pd.Categorical(["a", "b"]), "cap": [1, 2]})
    return Columns(4, {"place": np.arange(4)}, (Level(np.array([1, 1, 0, 0]), columns_of(users)), items))


def test_columns_come_from_the_rows_then_from_the_first_level_that_tells():
    assert facts().frame(["place", "user", "price", "nobody"], np.array([3, 1])).to_dict("list") == {
        "place": [3, 1],
        "user": ["a", "b"],
        "price": [1.0, 5.0],
    }
    assert "cap" in facts() and "nobody" not in facts()
    with pytest.raises(KeyError, match="nobody"):
        facts().column("nobody")


def test_own_columns_hide_those_of_levels():
    changed = facts().with_own(cap=np.array([7, 8, 9, 10]))
    assert changed.column("cap").tolist() == [7, 8, 9, 10]
    assert changed.level_of(["cap"]) is None and facts().level_of(["cap"]) is not None


def test_a_rule_over_items_is_asked_once_an_item():
    asked = []

    def keep(frame, params):
        asked.append(len(frame))
        return frame["price"] < 2

    cheap = Rule("cheap", ("price",), keep, lambda rows, _: ["dear"] * len(rows))
    assert kept_rows(cheap, facts(), np.array([3, 2, 0]), PolicyParams()).tolist() == [True, False, True]
    assert asked == [2]


def test_a_rule_over_two_kinds_is_asked_for_the_rows_alone():
    both = Rule("both", ("price", "cap"), lambda f, _: f["price"] > f["cap"], lambda f, _: ["x"] * len(f))
    ledger: list[pd.DataFrame] = []
    assert passing((both,), facts(), np.array([0, 2]), PolicyParams(), ledger).tolist() == [2]
    assert len(ledger[0]) == 1
    with pytest.raises(ValueError, match="reads \\['gone'\\]"):
        kept_rows(Rule("r", ("gone",), both.keep, both.words), facts(), np.array([0]), PolicyParams())
