"""The request's own day, worked out by hand."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from features.moment import MOMENT


def moment(day: date, country: str | None) -> list[float]:
    local_day = (day - date(1970, 1, 1)).days
    answer = MOMENT.transform(pd.DataFrame({"local_day": [float(local_day)], "country": [country]}))
    return answer[["local_weekday", "is_weekend", "days_to_holiday", "days_since_holiday"]].iloc[0].tolist()


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
    assert moment(day, country) == expected


@pytest.mark.parametrize("country", ["", "nowhere", None])
def test_holidays_of_an_unknown_country_are_missing(country: str | None) -> None:
    answer = moment(date(2017, 7, 4), country)
    assert answer[:2] == [1.0, 0.0]
    assert np.isnan(answer[2:]).all()


def test_each_row_has_its_own_countrys_holidays() -> None:
    day = float((date(2017, 10, 3) - date(1970, 1, 1)).days)
    frame = pd.DataFrame({"local_day": [day] * 3, "country": ["US", "DE", "US"]}, index=[9, 3, 7])
    answer = MOMENT.transform(frame)
    assert answer.index.tolist() == [9, 3, 7]
    assert answer["days_to_holiday"].tolist() == [6.0, 0.0, 6.0]  # Columbus Day, German Unity Day
