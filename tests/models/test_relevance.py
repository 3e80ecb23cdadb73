"""Graded relevance: looks and carts of the query's day count for learning, each by its worth."""

from __future__ import annotations

import pandas as pd
import pytest

from features.errors import UsageError
from features.interactions import EventWeights
from infra.setting_values import relevance_weights
from infra.settings import Settings
from models.relevance import KINDS, Engagements, RelevanceParams, engagements_of, graded_truth

QUERIES = pd.DataFrame({"query_id": [0, 1, 2], "user_id": ["u", "u", "w"], "local_day": [9, 9, 9]})
TRUTH = pd.DataFrame({"query_id": [0, 1, 2], "item_id": ["tea", "jam", "tea"], "relevance": [1.0, 1.0, 1.0]})


def history(rows: list[tuple[str, str, int, str]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "local_day", "event_type"])
    return frame.astype({"user_id": "category", "item_id": "category", "event_type": "category"})


HISTORY = history(
    [
        ("u", "tea", 9, "view"),
        ("u", "tea", 9, "purchase"),
        ("u", "jam", 9, "purchase"),
        ("u", "milk", 9, "view"),
        ("u", "milk", 9, "view"),
        ("u", "milk", 9, "add_to_cart"),
        ("u", "bread", 8, "view"),
        ("w", "bread", 9, "view"),
        ("w", "secret", 9, "view"),
        ("w", "bread", 1, "view"),
    ]
)
ELIGIBLE = pd.Series(["tea", "jam", "milk", "bread"])


def test_the_strongest_thing_done_that_day_counts_by_its_worth() -> None:
    engagements = engagements_of(HISTORY, ELIGIBLE, first_day=5)
    assert engagements.target == "purchase"
    graded = graded_truth(QUERIES, TRUTH, engagements, RelevanceParams(view=0.2, add_to_cart=0.5, purchase=2))
    assert graded.values.tolist() == [
        [0, "milk", 0.25],
        [0, "tea", 1.0],
        [1, "jam", 1.0],
        [1, "milk", 0.25],
        [1, "tea", 0.1],
        [2, "bread", 0.1],
        [2, "tea", 1.0],
    ]


def test_only_weaker_events_of_eligible_items_since_the_first_day_are_kept() -> None:
    kept = engagements_of(HISTORY, ELIGIBLE, first_day=5).events
    assert set(kept["event_type"]) == {"view", "add_to_cart"}
    assert set(kept["item_id"]) == {"tea", "milk", "bread"}
    assert kept["local_day"].min() == 8
    assert not kept.duplicated().any()


@pytest.mark.parametrize("only", ["view", "add_to_cart", "purchase"])
def test_a_source_with_one_kind_of_event_has_nothing_weaker(only: str) -> None:
    one = engagements_of(HISTORY[HISTORY["event_type"] == only], ELIGIBLE, first_day=0)
    assert (one.target, len(one.events)) == (only, 0)
    assert graded_truth(QUERIES, TRUTH, one, RelevanceParams()) is TRUTH


def test_without_purchases_a_cart_is_the_whole_relevance_and_a_look_its_part() -> None:
    engagements = engagements_of(HISTORY[HISTORY["event_type"] != "purchase"], ELIGIBLE, first_day=0)
    assert engagements.target == "add_to_cart"
    graded = graded_truth(QUERIES.iloc[:1], TRUTH.iloc[:1], engagements, RelevanceParams())
    # The truth's own relevance stays; a view is worth its share of what a cart is.
    assert graded.values.tolist() == [[0, "milk", 0.25], [0, "tea", 1.0]]


def test_a_kind_worth_nothing_is_left_out() -> None:
    engagements = engagements_of(HISTORY, ELIGIBLE, first_day=0)
    graded = graded_truth(QUERIES, TRUTH, engagements, RelevanceParams(view=0.0))
    assert graded[graded["relevance"] < 1].values.tolist() == [[0, "milk", 0.4], [1, "milk", 0.4]]


def test_no_history_grades_nothing() -> None:
    none = engagements_of(HISTORY.iloc[:0], ELIGIBLE, first_day=0)
    assert none.target == ""
    assert graded_truth(QUERIES, TRUTH, none, RelevanceParams()) is TRUTH
    unknown = Engagements("", HISTORY)
    assert graded_truth(QUERIES, TRUTH, unknown, RelevanceParams()) is TRUTH


@pytest.mark.parametrize("worths", [(0.4, 0.4, 1.0), (-0.1, 0.4, 1.0), (0.1, 2.0, 1.0)])
def test_worths_must_rise(worths: tuple[float, float, float]) -> None:
    with pytest.raises(UsageError, match="must rise from left to right and be >= 0"):
        RelevanceParams(*worths)


def test_one_order_everywhere() -> None:
    """Labels, counted features and the setting's default agree on what is worth how much."""
    settings = relevance_weights(Settings.model_fields["relevance"].default)
    assert RelevanceParams(**settings) == RelevanceParams()
    assert tuple(settings) == KINDS
    counted = EventWeights()
    assert [getattr(counted, kind) for kind in KINDS] == list(settings.values())
