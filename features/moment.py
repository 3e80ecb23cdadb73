"""The request's own moment: hour, weekday, season, and the holidays and paydays near by."""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.calendar import DAYPART_START_HOUR, holiday_distance
from features.payday import payday_distance
from features.season import season_of, year_share
from features.table import FeatureColumn, OnDemand

HOLIDAY_HORIZON_DAYS = 30.0
_STARTS = np.array(list(DAYPART_START_HOUR.values()))
_BY_COUNTRY = ("days_to_holiday", "days_since_holiday", "days_to_payday", "days_since_payday", "season")


def _at_request(frame: pd.DataFrame) -> pd.DataFrame:
    days = frame["local_day"].to_numpy(dtype=np.int64)
    hour = frame["local_hour"].to_numpy(dtype=np.float64)
    weekday = (days + 3) % 7  # 1970-01-01 was a Thursday
    columns = {
        "hour_of_day": hour,
        "local_daypart": np.searchsorted(_STARTS, hour, side="right") - 1.0,
        "local_weekday": weekday.astype("float64"),
        "is_weekend": (weekday >= 5).astype("float64"),
        **_circle("hour", hour / 24.0),
        **_circle("weekday", weekday / 7.0),
        **_circle("year", year_share(days)),
        **_near_by(days, frame["country"]),
    }
    return pd.DataFrame({column.name: columns[column.name] for column in MOMENT.columns}, index=frame.index)


def _circle(name: str, share: np.ndarray) -> dict[str, np.ndarray]:
    """Two columns in which the end of a cycle lies beside its beginning."""
    return {f"{name}_sin": np.sin(2 * np.pi * share), f"{name}_cos": np.cos(2 * np.pi * share)}


def _near_by(days: np.ndarray, country: pd.Series) -> dict[str, np.ndarray]:
    """What the country's calendar says of each row's day: a request has few days, so each is asked once."""
    found = {name: np.full(len(days), np.nan) for name in _BY_COUNTRY}
    codes, names = pd.factorize(country)
    for code, name in enumerate(names):
        rows = np.flatnonzero(codes == code) if len(names) > 1 or (codes < 0).any() else slice(None)
        distinct, place = np.unique(days[rows], return_inverse=True)
        holiday = holiday_distance(distinct, str(name))
        answers = (
            *(np.minimum(distance, HOLIDAY_HORIZON_DAYS) for distance in holiday),
            *payday_distance(distinct, str(name)),
            season_of(distinct, str(name)),
        )
        for column, answer in zip(_BY_COUNTRY, answers, strict=True):
            found[column][rows] = answer[place]
    return found


def _column(name: str, meaning: str, unit: str, null_means: str = "never null") -> FeatureColumn:
    return FeatureColumn(name, "float", meaning, null_means, unit, "request")


MOMENT = OnDemand(
    "moment",
    tables=(),
    request=("local_day", "local_hour", "country"),
    columns=(
        _column("hour_of_day", "local hour; of a planned slot, the hour at which it opens", "hours"),
        _column("local_daypart", "place of the hour's daypart in the day: 0 night to 5 late", "code"),
        _column("local_weekday", "0 is Monday, in the user's zone", "code"),
        _column("is_weekend", "1 on Saturday and Sunday, else 0", "flag"),
        _column("hour_sin", "the hour on a circle of a day, its sine", "ratio"),
        _column("hour_cos", "the hour on a circle of a day, its cosine", "ratio"),
        _column("weekday_sin", "the weekday on a circle of a week, its sine", "ratio"),
        _column("weekday_cos", "the weekday on a circle of a week, its cosine", "ratio"),
        _column("year_sin", "the day on a circle of a year, its sine", "ratio"),
        _column("year_cos", "the day on a circle of a year, its cosine", "ratio"),
        _column("days_to_holiday", "to the next public holiday, at most 30", "days", "unknown country"),
        _column("days_since_holiday", "since the last one, at most 30", "days", "unknown country"),
        _column("days_to_payday", "to the country's next usual payday", "days", "unknown country"),
        _column("days_since_payday", "since its last usual payday", "days", "unknown country"),
        _column(
            "season",
            "0 winter, 1 spring, 2 summer, 3 autumn, by hemisphere",
            "code",
            "unknown country, or one without seasons",
        ),
    ),
    transform=_at_request,
)
