"""The request's own moment: weekday, weekend, holidays near by."""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.calendar import holiday_distance
from features.table import FeatureColumn, OnDemand

HOLIDAY_HORIZON_DAYS = 30.0


def _at_request(frame: pd.DataFrame) -> pd.DataFrame:
    days = frame["local_day"].to_numpy(dtype=np.int64)
    weekday = (days + 3) % 7
    to_next = np.full(len(frame), np.nan)
    since_last = np.full(len(frame), np.nan)
    for country in pd.unique(frame["country"]):
        rows = (frame["country"] == country).to_numpy()
        to_next[rows], since_last[rows] = holiday_distance(days[rows], str(country))
    return pd.DataFrame(
        {
            "local_weekday": weekday.astype("float64"),
            "is_weekend": (weekday >= 5).astype("float64"),
            "days_to_holiday": np.minimum(to_next, HOLIDAY_HORIZON_DAYS),
            "days_since_holiday": np.minimum(since_last, HOLIDAY_HORIZON_DAYS),
        },
        index=frame.index,
    )


MOMENT = OnDemand(
    "moment",
    tables=(),
    request=("local_day", "country"),
    columns=(
        FeatureColumn("local_weekday", "float", "0 is Monday, in the user's zone", "never null"),
        FeatureColumn("is_weekend", "float", "1 on Saturday and Sunday", "never null"),
        FeatureColumn(
            "days_to_holiday", "float", "days to the next public holiday, at most 30", "unknown country"
        ),
        FeatureColumn(
            "days_since_holiday", "float", "days since the last one, at most 30", "unknown country"
        ),
    ),
    transform=_at_request,
)
