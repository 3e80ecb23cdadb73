"""Nobody with a session is left without a time zone, so nobody is left out of the timing model's rows."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd

from flows.timing_frame import everybody
from flows.training_data import TrainingData
from models.interaction_log import InteractionLog
from models.timing_rows import timing_rows


def test_users_without_a_row_of_their_own_live_in_the_shops_zone() -> None:
    sessions = pd.DataFrame({"user_id": ["u2", "stranger", "u2"], "daypart": ["evening", "night", "late"]})
    sessions = sessions.assign(local_day=[100, 101, 102], epoch_seconds=[1, 2, 3])
    lines = pd.DataFrame({"user_id": ["u2"], "item_id": ["i"], "category": ["c"], "event_type": ["purchase"]})
    lines = lines.assign(epoch_seconds=1, local_day=100, local_weekday=0, local_midnight_epoch_seconds=0)
    lines = lines.assign(daypart="evening", store_id="s", session_id="1")
    data = TrainingData(
        as_of=datetime(2017, 12, 4, tzinfo=UTC),
        timezone="Europe/Paris",
        country="",
        log=InteractionLog.from_frame(lines),
        sessions=sessions,
        items=pd.DataFrame(),
        users=pd.DataFrame({"user_id": ["u1", "u2"], "timezone": ["UTC", "America/New_York"]}),
        categories=pd.Series(dtype=object),
        scenes=None,
    )
    known = everybody(data)
    zones = dict(zip(known["user_id"], known["timezone"], strict=True))
    assert zones == {"u1": "UTC", "u2": "America/New_York", "stranger": "Europe/Paris"}
    rows = timing_rows(data.sessions, known, range(101, 104))
    assert rows.groupby("user_id")["local_day"].nunique().to_dict() == {"stranger": 2, "u2": 3}
