"""Reasons follow the contributions, quote the row's own numbers, and are never missing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.tables import RANKING
from models.candidates.blend import default_sources
from models.explain import explain_items, reason_of
from models.importance import theme_of
from models.reasons import BEST_MATCH, REASONS

CONTEXT_ONLY = {
    "user_sessions",
    "local_weekday",
    "is_weekend",
}


def rhythm(daypart_share: float, weekday_share: float) -> dict[str, object]:
    shares = {"user_daypart_share": daypart_share, "user_weekday_share": weekday_share}
    return {**shares, "local_weekday": 4.0, "daypart": "evening"}


def explain_one(row: dict[str, object], weights: dict[str, float], **kwargs: int) -> list[dict[str, str]]:
    names = list(weights)
    return explain_items(pd.DataFrame([row]), np.array([list(weights.values())]), names, **kwargs)[0]


@pytest.mark.parametrize(
    ("row", "feature", "code", "words"),
    [
        (
            {"user_item_mean_gap_days": 9.2, "user_item_days_since_last": 10.1},
            "user_item_due",
            "due_again",
            "bought every 9 days, last 10 days ago",
        ),
        (
            {"user_item_mean_gap_days": np.nan, "user_item_days_since_last": 1.2},
            "user_item_rate_30d",
            "due_again",
            "bought once, 1 day ago",
        ),
        (
            {"promo_active": 1.0, "promo_scope": "store", "promo_days_left": 5.0},
            "promo_active",
            "promotion",
            "on promotion in your store this week",
        ),
        (
            {"promo_active": 1.0, "promo_days_left": 1.0, "promo_discount_active": 0.2},
            "promo_kind_active",
            "promotion",
            "on promotion until tomorrow, 20 % off",
        ),
        (
            rhythm(0.5, 0.3),
            "user_daypart_share",
            "usual_time",
            "usually buys on Friday evening",
        ),
        (
            rhythm(0.5, 0.1),
            "user_weekday_share",
            "usual_time",
            "usually buys in the evening",
        ),
        (
            rhythm(0.1, 0.4),
            "user_weekday_share",
            "usual_time",
            "usually buys on Friday",
        ),
        ({"item_trend": 1.8}, "item_trend", "trending", "selling 1.8 times as fast as usual"),
        (
            {"item_store_share_30d": 0.12},
            "item_store_rate_90d",
            "store",
            "in 12 % of the baskets of your store",
        ),
        ({"score_covisit": 0.4}, "score_covisit", "bought_together", "often bought with what this user buys"),
        ({"days_to_holiday": 3.0}, "days_to_holiday", "holiday", "a public holiday in 3 days"),
        ({"days_since_payday": 1.0}, "days_since_payday", "payday", "payday was 1 day ago"),
        (
            {"days_to_payday": 2.0, "days_since_payday": 12.0},
            "days_to_payday",
            "payday",
            "payday is in 2 days",
        ),
        ({"season": 2.0}, "year_sin", "season", "fits the summer"),
        (
            {"promo_active": 0.0, "promo_phase": "before", "promo_days_to_next": 3.0},
            "promo_phase",
            "promotion",
            "a promotion starts in 3 days",
        ),
        (
            {"promo_active": 1.0, "promo_phase": "last_day", "promo_scope": "region", "promo_days_left": 0.4},
            "promo_scope",
            "promotion",
            "on promotion in your region for the last day",
        ),
        (
            {"promo_active": 0.0, "promo_phase": "after", "promo_days_since_end": 2.0},
            "promo_days_since_end",
            "promotion",
            "was on promotion until 2 days ago",
        ),
        (
            {"item_region_lift": 1.8},
            "category_region_lift",
            "region",
            "bought 1.8 times as often in your region as elsewhere",
        ),
        (
            {"item_store_lift": 2.4, "item_store_share_30d": 0.001},
            "item_store_absence",
            "store",
            "bought 2.4 times as often in your store as elsewhere",
        ),
        (
            {"store_daypart_share": 0.5, "daypart_share": 0.2, "daypart": "evening"},
            "store_daypart_share",
            "store_time",
            "your store is busy in the evening",
        ),
        (
            {"item_weekday_share": 0.3, "local_weekday": 5.0},
            "item_weekday_lift",
            "item_day",
            "sells well on Saturdays",
        ),
        (
            {"user_push_days_since_open": 2.0},
            "user_push_open_rate",
            "opens_pushes",
            "opened a push 2 days ago",
        ),
        (
            {"local_weekday": 5.0, "daypart": "late", "user_daypart_share": 0.5, "user_weekday_share": 0.4},
            "user_daypart_share",
            "usual_time",
            "usually buys late on Saturday evening",
        ),
        (
            {"item_share_90d": 0.031, "item_rate_30d": 9.0},
            "item_rate_30d",
            "popular",
            "in 3 % of all baskets lately",
        ),
        ({"item_age_days": 5.2}, "item_age_days", "new_item", "new: first sold 5 days ago"),
        ({"days_to_holiday": 1.0}, "days_to_holiday", "holiday", "tomorrow is a public holiday"),
        (
            {"score_facet_neighbours": 0.2},
            "score_facet_neighbours",
            "similar_users",
            "users who buy alike buy it",
        ),
        (
            {"category_trend_7d": 1.5},
            "category_trend_7d",
            "trending",
            "its category is selling 1.5 times as fast as usual",
        ),
    ],
)
def test_words_quote_the_numbers(row, feature, code, words):
    assert explain_one(row, {feature: 1.0}) == [{"code": code, "words": words}]


def test_the_strongest_reason_comes_first_and_contributions_of_a_code_add_up():
    row = {
        "user_item_mean_gap_days": 7.0,
        "user_item_days_since_last": 7.0,
        "promo_active": 1.0,
        "item_trend": 2.0,
        "item_rate_30d": 5.0,
    }
    weights = {
        "promo_active": 0.5,
        "user_item_due": 0.3,
        "user_item_share": 0.3,
        "item_trend": 0.1,
        "item_rate_30d": -1.0,
    }
    assert [reason["code"] for reason in explain_one(row, weights)] == ["due_again", "promotion", "trending"]
    assert len(explain_one(row, weights, max_reasons=1)) == 1


def test_a_reason_that_does_not_hold_is_not_told():
    assert explain_one({"promo_active": 0.0}, {"promo_active": 2.0}) == [BEST_MATCH]
    assert explain_one({"promo_active": 1.0}, {"promo_active": -2.0}) == [BEST_MATCH]
    assert explain_one({"strange": 1.0}, {"strange": 2.0}) == [BEST_MATCH]


def test_a_price_or_an_old_age_is_no_claim_about_other_customers():
    row = {"item_price": 3.0, "item_age_days": 400.0, "item_rate_30d": 7.0, "item_share_90d": 0.2}
    assert explain_one(row, {"item_price": 2.0, "item_age_days": 1.0}) == [BEST_MATCH]


def test_a_retriever_without_an_opinion_gives_no_reason():
    assert explain_one({"score_ease": 0.0, "score_content_cosine": 0.0}, {"score_ease": 1.0}) == [BEST_MATCH]
    told = explain_one({"score_ease": 0.0, "score_covisit": 0.1}, {"score_ease": 1.0})
    assert told[0]["code"] == "bought_together"


def test_every_retriever_of_the_blend_has_a_reason_and_a_theme():
    names = {f"score_{source.retriever.name}" for source in default_sources()}
    assert {name for name in names if reason_of(name) is None} == set()
    assert "Anything else" not in {theme_of(name) for name in names}


def test_every_item_feature_of_the_ranking_service_has_a_reason():
    unexplained = {name for name in RANKING.features if reason_of(name) is None}
    about_the_user_only = {name for name in RANKING.features if name.startswith("user_")}
    assert unexplained <= CONTEXT_ONLY | about_the_user_only
    assert not any(name.startswith(("user_item_", "user_category_")) for name in unexplained)


def test_the_bias_column_is_ignored_and_wrong_shapes_are_named():
    frame = pd.DataFrame({"item_trend": [2.0]})
    assert explain_items(frame, np.array([[1.0, 9.0]]), ["item_trend"])[0][0]["code"] == "trending"
    with pytest.raises(ValueError, match=r"shape \(1, 3\)"):
        explain_items(frame, np.ones((1, 3)), ["item_trend"])
    assert explain_items(frame[:0], np.ones((0, 1)), ["item_trend"]) == []


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_row_is_without_words(data):
    names = sorted({*RANKING.features, *(prefix + "x" for prefix in REASONS)})
    values = st.one_of(st.floats(), st.none(), st.sampled_from(["none", "display", 3, True]))
    row = {name: data.draw(values) for name in data.draw(st.sets(st.sampled_from(names), min_size=1))}
    weights = np.random.default_rng(data.draw(st.integers(0, 999))).normal(size=(1, len(names)))
    told = explain_items(pd.DataFrame([row]), weights, names)[0]
    assert 1 <= len(told) <= 3
    assert all(reason["code"] and reason["words"] and "nan" not in reason["words"] for reason in told)
