"""Habits at their moment: the morning's item in the morning, the rainy day's on a rainy day."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.errors import UsageError
from models.candidates.habit import Habit
from models.interaction_log import InteractionLog

DAY = 86_400


@pytest.fixture
def log() -> InteractionLog:
    """Users who take `m` in the sun of the morning and `e` in the rain of the evening, and `x` always."""
    rows = []
    for user in range(5):
        for day in range(30):
            for hour, daypart, item, weather in ((8, "morning", "m", "sun"), (18, "evening", "e", "rain")):
                for one in (item, "x"):
                    rows.append((f"u{user}", one, day * DAY + hour * 3_600, daypart, weather, day))
    frame = pd.DataFrame(
        rows, columns=["user_id", "item_id", "epoch_seconds", "daypart", "weather", "local_day"]
    )
    return InteractionLog.from_frame(
        frame.assign(
            category="c",
            event_type="purchase",
            store_id="unknown",
            session_id=[f"s{n // 2}" for n in range(len(frame))],
            local_weekday=(frame["local_day"] + 3) % 7,
            local_midnight_epoch_seconds=frame["local_day"] * DAY,
        )
    )


def asked(log: InteractionLog, **told: list[str]) -> np.ndarray:
    """Scores of (e, m, x) for each query of user u0 and of a stranger."""
    n = len(next(iter(told.values())))
    queries = pd.DataFrame(
        {
            "user_id": ["u0"] * n,
            "store_id": "unknown",
            "daypart": "night",
            "weekday": 0,
            "cutoff_epoch_seconds": 30 * DAY,
            "fit_epoch_seconds": 30 * DAY,
        }
    ).assign(**told)
    codes = log.encode(queries)
    known = log.before(30 * DAY)
    name = "scene" if "weather" in told else "time"
    return Habit(name).fit(known).scores(codes, log.expand(codes)).toarray()


def test_a_habit_comes_first_at_its_time(log: InteractionLog) -> None:
    morning, evening = asked(log, daypart=["morning", "evening"])
    assert morning[1] > 2 * morning[0] and evening[0] > 2 * evening[1]
    assert morning[2] == pytest.approx(evening[2], rel=0.05), "what is always taken fits any time"


def test_a_habit_comes_first_in_its_scene(log: InteractionLog) -> None:
    sun, rain, untold, unseen = asked(log, weather=["sun", "rain", "unknown", "hail"])
    assert sun[1] > 2 * sun[0] and rain[0] > 2 * rain[1]
    assert untold[0] == pytest.approx(untold[1], rel=0.01), "the evening's is half a day younger"
    assert unseen == pytest.approx(untold)


def test_a_stranger_has_no_habits(log: InteractionLog) -> None:
    assert not asked(log, daypart=["morning"], user_id=["stranger"]).any()


def test_a_later_log_changes_nothing(log: InteractionLog) -> None:
    queries = pd.DataFrame(
        {
            "user_id": ["u1"],
            "store_id": "unknown",
            "daypart": "morning",
            "weather": "sun",
            "weekday": 2,
            "cutoff_epoch_seconds": 20 * DAY,
            "fit_epoch_seconds": 18 * DAY,
        }
    )
    early = log.before(20 * DAY)
    for kind in ("time", "scene"):
        found = [
            Habit(kind).fit(one.before(18 * DAY)).scores(one.encode(queries), one.expand(one.encode(queries)))
            for one in (log, early)
        ]
        assert (found[0] != found[1]).nnz == 0 and found[0].nnz == 3


def test_a_strength_must_be_positive() -> None:
    with pytest.raises(UsageError, match="own"):
        Habit(own=0)
