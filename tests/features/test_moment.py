"""The request's own moment, worked out by hand."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from features.calendar import DAYPARTS, daypart_of_hour
from features.moment import MOMENT

DAY_COLUMNS = ["local_weekday", "is_weekend", "days_to_holiday", "days_since_holiday"]


def moment(day: date, country: str | None, hour: int = 10) -> pd.Series:
    local_day = float((day - date(1970, 1, 1)).days)
    asked = pd.DataFrame({"local_day": [local_day], "local_hour": [float(hour)], "country": [country]})
    return MOMENT.transform(asked).iloc[0]


@pytest.mark.parametrize(
    ("day", "country", "expected"),
    [
        (date(2017, 7, 3), "US", [0.0, 0.0, 1.0, 30.0]),  # Monday; Memorial Day was 35 days ago
        (date(2017, 7, 4), "US", [1.0, 0.0, 0.0, 0.0]),
        (date(2017, 7, 8), "US", [5.0, 1.0, 30.0, 4.0]),  # Saturday; Labor Day is 58 days away
        (date(2017, 12, 31), "US", [6.0, 1.0, 1.0, 6.0]),  # across the year's end
        (date(2017, 10, 2), "DE", [0.0, 0.0, 1.0, 30.0]),
    ],
)
def test_weekday_and_holidays(day: date, country: str, expected: list[float]) -> None:
    assert moment(day, country)[DAY_COLUMNS].tolist() == expected


def test_payday_and_season() -> None:
    answer = moment(date(2017, 11, 13), "US")
    assert (answer["days_to_payday"], answer["days_since_payday"], answer["season"]) == (2.0, 13.0, 3.0)
    assert moment(date(2017, 11, 13), "AU")["season"] == 1.0
    assert np.isnan(moment(date(2017, 11, 13), "SG")["season"])


@pytest.mark.parametrize("hour", range(24))
def test_the_hour_names_its_daypart(hour: int) -> None:
    answer = moment(date(2017, 7, 4), "US", hour)
    assert DAYPARTS[int(answer["local_daypart"])] == daypart_of_hour(hour)
    assert answer["hour_of_day"] == hour
    assert answer["hour_sin"] == pytest.approx(np.sin(2 * np.pi * hour / 24))


def test_the_ends_of_a_cycle_lie_beside_each_other() -> None:
    def place(frame: pd.Series, name: str) -> np.ndarray:
        return frame[[f"{name}_sin", f"{name}_cos"]].to_numpy(dtype=float)

    last, first = moment(date(2017, 12, 31), "US", 23), moment(date(2018, 1, 1), "US", 0)
    middle = moment(date(2017, 7, 5), "US", 12)
    for name in ("hour", "weekday", "year"):
        near, far = (np.linalg.norm(place(other, name) - place(last, name)) for other in (first, middle))
        assert near < far
        assert np.linalg.norm(place(first, name)) == pytest.approx(1.0)


@pytest.mark.parametrize("country", ["", "nowhere", None])
def test_holidays_of_an_unknown_country_are_missing(country: str | None) -> None:
    answer = moment(date(2017, 7, 4), country)
    assert answer[["local_weekday", "is_weekend"]].tolist() == [1.0, 0.0]
    assert answer[["days_to_holiday", "days_since_holiday", "days_to_payday", "season"]].isna().all()


def test_each_row_has_its_own_countrys_holidays() -> None:
    day = float((date(2017, 10, 3) - date(1970, 1, 1)).days)
    frame = pd.DataFrame(
        {"local_day": [day] * 3, "local_hour": 6.0, "country": ["US", "DE", "US"]}, index=[9, 3, 7]
    )
    answer = MOMENT.transform(frame)
    assert answer.index.tolist() == [9, 3, 7]
    assert answer["days_to_holiday"].tolist() == [6.0, 0.0, 6.0]  # Columbus Day, German Unity Day
