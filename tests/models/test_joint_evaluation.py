"""Hits of a plan counted by hand, both readings; the argmax; and the plain plan it must beat."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.calendar import DAYPARTS
from models.evaluation import EvaluationParams
from models.joint_evaluation import (
    AFTER_SEND,
    RULES,
    SLOT_OR_AFTER,
    BoughtItems,
    Pushes,
    chance_of_any,
    evaluate_joint,
    joint_slots,
    outcomes,
)
from models.joint_peers import best_fixed_sends, favourite_dayparts, reached

EVENING, MIDDAY = DAYPARTS.index("evening"), DAYPARTS.index("midday")


def pushes(hours: list[float], items: list[list[int]]) -> Pushes:
    slot = [max(code for code, start in enumerate((0, 6, 10, 14, 17, 21)) if start <= hour) for hour in hours]
    return Pushes(np.array(slot), np.array(hours), np.array(items, dtype=np.int32))


def bought(*rows: tuple[int, float, int]) -> BoughtItems:
    day, hour, item = zip(*rows, strict=True)
    return BoughtItems(np.array(day), np.array(hour, dtype=float), np.array(item, dtype=np.int32))


def test_a_hit_needs_time_and_item() -> None:
    plan = pushes([17.0, 17.0, 17.0, 17.0], [[1, 2]] * 4)
    happened = bought((0, 20.9, 2), (1, 21.0, 2), (2, 18.0, 3), (2, 23.0, 1), (3, 16.9, 1))
    hit, reach = outcomes(plan, happened, AFTER_SEND)
    assert hit.tolist() == [True, False, False, False]
    assert reach.tolist() == [True, False, True, False]


def test_only_the_wider_reading_counts_what_came_before_the_push() -> None:
    plan = pushes([20.0], [[1]])
    before, after_slot, too_late = (bought((0, hour, 1)) for hour in (17.5, 23.9, 16.0))
    assert [outcomes(plan, before, rule)[0][0] for rule in RULES] == [False, True]
    assert [outcomes(plan, after_slot, rule)[0][0] for rule in RULES] == [True, True]
    assert [outcomes(plan, too_late, rule)[0][0] for rule in RULES] == [False, False]


def test_missing_items_never_hit() -> None:
    assert not outcomes(pushes([10.0], [[-1, -1]]), bought((0, 11.0, 4)), SLOT_OR_AFTER)[0].any()


def test_the_joint_argmax_weighs_time_and_items() -> None:
    reach = np.array([[0.3, 0.5], [0.3, 0.5], [0.3, 0.5]])
    chance = np.array([[0.9, 0.5], [0.5, 0.5], [np.nan, 0.1]])
    assert joint_slots(reach, chance).tolist() == [0, 1, 1]
    np.testing.assert_allclose(chance_of_any(np.array([[[0.2, 0.5], [0.0, 0.0]]])), [[0.6, 0.0]])


def test_the_table_compares_the_same_user_days() -> None:
    rng = np.random.default_rng(2)
    n = 2_000
    happened = BoughtItems(np.arange(n), rng.uniform(17, 21, n), rng.integers(0, 3, n).astype(np.int32))
    users = [f"u{number % 200}" for number in range(n)]
    good = pushes([17.0] * n, [[0, 1]] * n)
    poor = pushes([17.0] * n, [[0]] * n)
    never = pushes([6.0] * n, [[0, 1]] * n)
    table = pd.DataFrame(
        evaluate_joint(
            {"poor": poor, "good": good, "never": never}, happened, users, "good", EvaluationParams(200)
        )
    )
    assert table["plan"].tolist() == ["good", "poor", "never"] * 2
    strict = table[table["rule"] == AFTER_SEND].set_index("plan")
    assert strict.loc["good", "hit_rate"] == pytest.approx((happened.item < 2).mean())
    assert strict.loc["good", "reached"] == 1.0
    assert strict.loc["good", ["ratio", "ratio_low", "ratio_high"]].tolist() == [1.0, 1.0, 1.0]
    assert strict.loc["poor", "ratio"] == pytest.approx(
        (happened.item < 2).mean() / (happened.item < 1).mean()
    )
    assert (
        1.8 < strict.loc["poor", "ratio_low"] < strict.loc["poor", "ratio"] < strict.loc["poor", "ratio_high"]
    )
    assert np.isnan(strict.loc["never", "ratio_low"])
    assert (table["user_days"] == n).all() and (table["users"] == 200).all()


def sessions() -> pd.DataFrame:
    rows = [("u1", "evening", day) for day in range(20)] + [("u1", "midday", day) for day in range(20, 32)]
    frame = pd.DataFrame([*rows, ("u2", "late", 33)], columns=["user_id", "daypart", "local_day"])
    return frame.assign(epoch_seconds=frame["local_day"] * 86_400 + 3_600)


def test_the_favourite_daypart_is_of_the_past_and_may_forget() -> None:
    rows = pd.DataFrame({"user_id": ["u1", "u1", "u2", "new"], "local_day": [10, 32, 33, 32]})
    rows["cutoff_epoch_seconds"] = rows["local_day"] * 86_400
    assert favourite_dayparts(sessions(), rows).tolist() == [EVENING] * 4
    assert favourite_dayparts(sessions(), rows, half_life_days=5.0).tolist() == [
        EVENING,
        MIDDAY,
        EVENING,
        EVENING,
    ]


def test_fixed_sends_are_tuned_on_what_happened() -> None:
    slot = np.array([EVENING, EVENING, EVENING, MIDDAY])
    day, hour = np.array([0, 1, 2, 3]), np.array([22.0, 21.5, 17.2, 10.2])
    best = best_fixed_sends(slot, day, hour)
    assert 18.0 < best[EVENING] <= 20.5
    assert best[MIDDAY] == 10.0
    assert reached(best[slot], day, hour).tolist() == [True, True, False, True]
