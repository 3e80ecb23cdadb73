"""The pieces of the timing and joint measurement that decide what is compared with what."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.calendar import DAYPARTS
from models.interaction_log import InteractionLog
from tests.benchmarks.accuracy.joint_items import last_fits, popular_rows, slot_queries
from tests.benchmarks.accuracy.joint_part import (
    basket_days,
    basket_sessions,
    tuned_favourite,
    tuned_times,
)
from tests.benchmarks.accuracy.timing_part import days_of_splits

DAY = 86_400


def line(user: str, item: str, day: int, hour: float, kind: str = "purchase") -> dict[str, object]:
    part = max(code for code, start in enumerate((0, 6, 10, 14, 17, 21)) if start <= hour)
    return {
        "user_id": user,
        "item_id": item,
        "category": "c",
        "event_type": kind,
        "epoch_seconds": int(day * DAY + hour * 3600),
        "local_day": day,
        "local_weekday": (day + 3) % 7,
        "local_midnight_epoch_seconds": day * DAY,
        "daypart": DAYPARTS[part],
        "store_id": "s1",
        "session_id": f"{user}-{day}-{part}",
    }


@pytest.fixture(scope="module")
def log() -> InteractionLog:
    """u1 buys a at 19:30 every other day and views b each noon; u2 buys b at 11:00 every third day."""
    rows = [line("u1", "a", day, 19.5) for day in range(0, 60, 2)]
    rows += [line("u1", "b", day, 12.0, "view") for day in range(60)]
    rows += [line("u2", "b", day, 11.0) for day in range(0, 60, 3)]
    rows += [line("u2", "c", 57, 22.0), line("u2", "a", 57, 11.5)]
    return InteractionLog.from_frame(pd.DataFrame(rows), {"purchase": 3.0, "view": 1.0})


def test_only_the_strongest_events_are_baskets(log: InteractionLog) -> None:
    days = basket_days(log, range(50, 60), 100)
    assert days.rows["user_id"].value_counts().to_dict() == {"u1": 5, "u2": 3}
    assert (days.rows["cutoff_epoch_seconds"] == days.rows["local_day"] * DAY).all()
    seen = pd.DataFrame({"row": days.bought.user_day, "hour": days.bought.hour, "item": days.bought.item})
    last = days.rows[(days.rows["user_id"] == "u2") & (days.rows["local_day"] == 57)].index[0]
    found = seen[seen["row"] == last].sort_values(["hour", "item"])
    assert log.items.decode(found["item"].to_numpy()).tolist() == ["a", "b", "c"]
    assert found["hour"].tolist() == [
        11.0,
        11.0,
        22.0,
    ]  # one basket starts once, whenever its items were bought
    sessions = basket_sessions(log)
    assert len(sessions) == 30 + 20 + 1
    assert sessions["local_hour"].isin([19, 11, 22]).all()


def test_a_draw_of_user_days_is_even_and_repeatable(log: InteractionLog) -> None:
    drawn = basket_days(log, range(60), 10)
    assert len(drawn.rows) == 10
    assert set(drawn.bought.user_day) == set(range(10))
    pd.testing.assert_frame_equal(drawn.rows, basket_days(log, range(60), 10).rows)
    every = pd.MultiIndex.from_frame(basket_days(log, range(60), 1_000).rows)
    assert pd.MultiIndex.from_frame(drawn.rows).isin(every).all()


def test_both_sides_are_tuned_to_when_baskets_start(log: InteractionLog) -> None:
    days, sessions = basket_days(log, range(40, 57), 1_000), basket_sessions(log)
    half_life, sends = tuned_favourite(sessions, days, (30.0, np.inf))
    assert half_life > 0
    assert 17.0 <= sends[DAYPARTS.index("evening")] <= 19.5
    assert sends[DAYPARTS.index("midday")] in (10.0, 10.5, 11.0)
    profile, share = tuned_times(sessions, days, np.full((len(days.rows), 6), 0.1))
    assert share > 0  # the flat model knows no hours; the profile does
    assert profile.half_life_days > 0


def test_slots_are_asked_in_the_usual_scene_with_models_of_the_past(log: InteractionLog) -> None:
    queries = pd.DataFrame({"fit_epoch_seconds": [49 * DAY, 56 * DAY]})
    rows = basket_days(log, range(50, 60), 100).rows
    frame = slot_queries(log, queries, rows, np.array([0, 0, len(rows) - 1]), np.array([4, 2, 3]))
    assert frame["query_id"].tolist() == [0, 1, 2]
    assert frame["daypart"].tolist() == ["evening", "midday", "afternoon"]
    assert (frame["store_id"] == "s1").all() and (frame["device"] == "unknown").all()
    assert (frame["fit_epoch_seconds"] <= frame["cutoff_epoch_seconds"]).all()
    assert frame["fit_epoch_seconds"].isin([49 * DAY, 56 * DAY]).all()
    assert last_fits(queries, np.array([DAY], dtype=np.int64)).tolist() == [DAY]
    popular = popular_rows(log, queries, rows)
    assert log.items.decode(popular[0][popular[0] >= 0])[0] == "b"  # viewed daily by one, bought by the other


def test_days_follow_the_splits_or_are_split_by_time() -> None:
    sessions = pd.DataFrame({"local_day": np.arange(100)})
    ordered = pd.DataFrame(
        {"split": ["train", "train", "validation", "test", "test"], "local_day": [10, 39, 40, 54, 80]}
    )
    assert days_of_splits(ordered, sessions) == {
        "train": range(10, 40),
        "validation": range(40, 54),
        "test": range(54, 81),
    }
    mixed = ordered.assign(local_day=[10, 90, 12, 11, 80])
    for queries in (mixed, ordered[ordered["split"] != "validation"]):
        assert days_of_splits(queries, sessions) == {
            "train": range(70),
            "validation": range(70, 80),
            "test": range(80, 100),
        }
