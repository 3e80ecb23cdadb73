"""Hours of the day: profiles know nothing of the future, and one sends just before people come."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.calendar import DAYPARTS
from models.earlier_sessions import earlier_sessions
from models.hour_profile import HourProfileParams, hour_profiles
from models.send_time import SEND_HOURS, best_sends, blended, reach

DAY = 86_400


def sessions() -> pd.DataFrame:
    """u1 comes at 18:00 every third day and at 9:00 every Thursday; u2 once at 13:00."""
    rows = [("u1", day, 18) for day in range(0, 60, 3)] + [("u1", day, 9) for day in range(0, 60, 7)]
    frame = pd.DataFrame([*rows, ("u2", 30, 13)], columns=["user_id", "local_day", "local_hour"])
    frame["epoch_seconds"] = frame["local_day"] * DAY + frame["local_hour"] * 3600
    return frame


def rows(*asked: tuple[str, int]) -> pd.DataFrame:
    frame = pd.DataFrame(list(asked), columns=["user_id", "local_day"])
    return frame.assign(cutoff_epoch_seconds=frame["local_day"] * DAY)


def test_only_sessions_before_the_cut_off_count() -> None:
    asked = rows(("u1", 40), ("u2", 30), ("u2", 31), ("new", 40))
    known = sessions().sort_values(["user_id", "epoch_seconds"], ignore_index=True)
    [pairs] = earlier_sessions(known, asked)
    counted = np.bincount(pairs.row, minlength=4)
    assert counted.tolist() == [20, 0, 1, 0]  # u1 on days 0, 3 .. 39 and 0, 7 .. 35
    assert (known["local_day"].to_numpy()[pairs.session] < asked["local_day"].to_numpy()[pairs.row]).all()
    later = hour_profiles(known, asked)
    before = hour_profiles(known[known["local_day"] < 40], asked)
    np.testing.assert_array_equal(later, before)


def test_a_profile_leans_to_the_weekday_and_newcomers_have_everybodys_hours() -> None:
    thursday, friday = hour_profiles(sessions(), rows(("u1", 56), ("u1", 57)), HourProfileParams(90, 20.0, 2))
    assert thursday.argmax() == 9
    assert friday.argmax() == 18
    new, u2 = hour_profiles(sessions(), rows(("new", 57), ("u2", 57)))
    assert new.sum() == pytest.approx(1.0)
    assert new.argmax() == 18
    assert u2[13] > new[13]
    first = hour_profiles(sessions(), rows(("u1", 0)))
    np.testing.assert_allclose(first, 1 / 24)


def test_reach_of_a_whole_slot_is_what_the_model_says() -> None:
    rng = np.random.default_rng(0)
    p, profile = rng.uniform(0.01, 0.6, (5, 6)), rng.dirichlet(np.ones(24), 5)
    begin = np.array([0.0, 6, 10, 14, 17, 21])
    np.testing.assert_allclose(reach(p, profile, begin, np.append(begin[1:], 24.0)), p)
    day = reach(p, profile, np.array([0.0]), np.array([24.0]))[:, 0]
    np.testing.assert_allclose(day, 1 - np.prod(1 - p, axis=1))
    halves = reach(p, profile, np.array([17.0, 17.5]), np.array([17.5, 18.0]))
    np.testing.assert_allclose(halves[:, 0], halves[:, 1])


def test_the_best_send_is_just_before_people_come() -> None:
    profile = np.full((1, 24), 1e-4)
    profile[0, [13, 14, 15, 16]] = 1.0
    chance = reach(np.full((1, 6), 0.2), profile / profile.sum(), SEND_HOURS, np.minimum(SEND_HOURS + 4, 24))
    best, hour = best_sends(chance)
    assert best.shape == hour.shape == (1, len(DAYPARTS))
    assert DAYPARTS[int(best.argmax())] == "midday"
    assert hour[0, DAYPARTS.index("midday")] == 13.0
    assert hour[0, DAYPARTS.index("evening")] >= 17.0


def test_blending_moves_between_dayparts_only() -> None:
    rng = np.random.default_rng(1)
    p, profile = rng.uniform(0.01, 0.4, (4, 6)), rng.dirichlet(np.ones(24), 4)
    for share in (0.0, 0.5, 1.0):
        np.testing.assert_allclose(np.prod(1 - blended(p, profile, share), axis=1), np.prod(1 - p, axis=1))
    np.testing.assert_allclose(blended(p, profile, 0.0), p)
    evening = np.zeros((4, 24))
    evening[:, 18] = 1.0
    assert (blended(p, evening, 1.0).argmax(axis=1) == DAYPARTS.index("evening")).all()
