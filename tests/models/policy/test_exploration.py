"""What is logged as a choice's probability is how often it is made, so that outcomes can be weighed by it."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.plan import build_plan
from models.plan_frames import Plan
from models.policy.exploration import draws, soft_choice
from models.policy.facts import PolicyContext
from models.policy.params import PolicyParams

PLAN_DATE, AS_OF = date(2017, 12, 4), datetime(2017, 12, 4, tzinfo=UTC)
USERS = 4_000
EXPLORING = PolicyParams(exploration_share=0.3, max_per_category=3, max_items=3)


def plan_of(users: int, params: PolicyParams, **columns: object) -> Plan:
    """The plan of so many users who all have the same three slots with the same four items."""
    ids = [f"u{number}" for number in range(users)]
    slots = pd.DataFrame({"slot": ["morning", "midday", "evening"], "p_engage": [0.2, 0.5, 0.3]})
    items = pd.DataFrame(
        {"item_id": list("abcd"), "score": [4.0, 3.0, 2.0, 1.0], "p_item": [0.4, 0.3, 0.2, 0.1]}
    )
    people = pd.DataFrame({"user_id": ids, "timezone": "UTC", "push_consent": True, **columns})
    timing = people[["user_id"]].merge(slots, how="cross")
    scored = timing.merge(items, how="cross").assign(category=None, price=10.0)
    bought = pd.DataFrame(
        {"user_id": [], "item_id": [], "last_bought_epoch_seconds": [], "mean_gap_days": []}
    )
    pushes = pd.DataFrame({"user_id": [], "sent_at": [], "channel": []})
    context = PolicyContext(AS_OF, items[["item_id"]], bought, pushes)
    return build_plan(scored, timing, people, context, params, PLAN_DATE, "m1")


@pytest.fixture(scope="module")
def explored() -> Plan:
    """Thousands of users alike: what differs between them is chance alone."""
    return plan_of(USERS, EXPLORING)


def test_logged_propensities_are_the_frequencies_of_choices(explored):
    pushes = explored.pushes
    actions = pushes.groupby(["slot", "item_id"])["propensity"].agg(["nunique", "first", "size"])
    assert len(pushes) == USERS and len(actions) == 3 * 3
    assert (actions["nunique"] == 1).all(), "all users are alike, so is the chance of each choice"
    assert actions["first"].sum() == pytest.approx(1.0)
    share, p = actions["size"] / USERS, actions["first"]
    assert ((share - p).abs() < 4 * np.sqrt(p * (1 - p) / USERS)).all()
    best = actions["first"].max()
    assert best == pytest.approx((0.7 + 0.3 / 3) ** 2) and actions["first"].min() == pytest.approx(0.01)


def test_inverse_propensities_recover_what_another_policy_would_have_earned(explored):
    pushes, rng = explored.pushes, np.random.default_rng(5)
    worth = pushes["slot"].map({"morning": 0.2, "midday": 0.6, "evening": 0.4})
    engaged = rng.random(len(pushes)) < worth.to_numpy()
    for (slot, item), of_action in pushes.groupby(["slot", "item_id"]):
        taken = (pushes["slot"] == slot) & (pushes["item_id"] == item)
        estimate = (engaged * taken / pushes["propensity"]).mean()  # always this slot with this item first
        truth = {"morning": 0.2, "midday": 0.6, "evening": 0.4}[slot]
        spread = np.sqrt(truth / of_action["propensity"].iloc[0] / len(pushes))
        assert abs(estimate - truth) < 5 * spread  # rare actions: forty pushes each


def test_the_same_user_and_date_draw_the_same_whoever_else_is_planned(explored):
    few = plan_of(50, EXPLORING).pushes.set_index("user_id")
    many = explored.pushes.set_index("user_id").loc[few.index]
    pd.testing.assert_frame_equal(few, many)


def test_without_exploration_the_best_is_certain():
    plan = plan_of(200, PolicyParams(max_per_category=3, max_items=3))
    assert plan.pushes["propensity"].eq(1.0).all() and plan.pushes["slot"].nunique() == 1
    assert plan.pushes["item_id"].nunique() == 1


def test_every_push_of_a_day_has_a_rank_1_and_chance_never_breaks_policy():
    params = PolicyParams(
        exploration_share=0.5, max_per_category=3, max_items=3, min_gap_hours=1, max_per_week=2
    )
    plan = plan_of(400, params, max_per_day=3)
    assert plan.pushes.groupby("user_id").size().eq(2).all()
    ranks = plan.items.groupby("push_id")["rank"].agg(list)
    assert ranks.map(lambda found: found == list(range(1, len(found) + 1))).all()
    lead = plan.items[plan.items["rank"] == 1].set_index("push_id")["item_id"]
    assert (lead.reindex(plan.pushes["push_id"]).to_numpy() == plan.pushes["item_id"].to_numpy()).all()
    items = plan.items.merge(plan.pushes[["push_id", "user_id"]], on="push_id")
    assert not items.duplicated(["user_id", "item_id"]).any()
    words = plan.suppressions.loc[plan.suppressions["rule"] == "weekly_cap", "detail"]
    assert len(words) == 400


@settings(deadline=None)
@given(st.integers(1, 6), st.data(), st.floats(0.0, 0.5))
def test_probabilities_of_all_options_sum_to_one(options, data, share):
    best = data.draw(st.integers(0, options - 1))
    params = PolicyParams(exploration_share=share)
    grid = np.linspace(0, 1, 20_001)[:-1]
    chosen, likely = soft_choice(np.full(len(grid), options), np.full(len(grid), best), grid, params)
    found = {int(option): float(likely[chosen == option][0]) for option in np.unique(chosen)}
    assert all(abs(p - (chosen == option).mean()) < 2e-3 for option, p in found.items())
    assert sum(found.values()) == pytest.approx(1.0, abs=2e-3 * options)


def test_over_many_users_each_pair_of_slot_and_item_is_as_frequent_as_logged():
    users = 100_000
    drawn = draws([f"user-{n}" for n in range(users)], PLAN_DATE, 0)
    three, best = np.full(users, 3), np.full(users, 1)
    (slot, likely), (item, given) = (soft_choice(three, best, drawn[:, side], EXPLORING) for side in (0, 1))
    pair, p = slot * 3 + item, likely * given
    for action in range(9):
        truth = p[pair == action][0]
        assert abs((pair == action).mean() - truth) < 4 * np.sqrt(truth * (1 - truth) / users)


def test_draws_are_even():
    drawn = draws([f"u{n}" for n in range(10_000)], PLAN_DATE, 0)
    assert drawn.min() >= 0 and drawn.max() < 1
    assert np.abs(np.histogram(drawn, bins=10, range=(0, 1))[0] / 20_000 - 0.1).max() < 0.015
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.04
