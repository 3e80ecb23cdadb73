"""Paydays follow each country's convention, whatever its weekends and holidays."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.calendar import public_holidays, weekend_of
from features.payday import PAYDAYS, WORKING_DAY_OF_MONTH, payday_distance, paydays

COUNTRIES = ("US", "DE", "JP", "BR", "AE", "IL", "SE", "GB", "ZA", "IN")
EPOCH = date(1970, 1, 1)
days = st.dates(date(2002, 1, 1), date(2034, 12, 31)).map(lambda day: (day - EPOCH).days)


def in_year(country: str, year: int) -> list[date]:
    found = [EPOCH + timedelta(days=int(day)) for day in paydays(country, year, year)]
    return [day for day in found if day.year == year]


def works(day: date, country: str) -> bool:
    holidays = public_holidays(country, day.year - 1, day.year + 1)
    return day.weekday() not in weekend_of(country) and (day - EPOCH).days not in holidays


@pytest.mark.parametrize(
    ("country", "year", "expected"),
    [
        ("US", 2017, [(1, 13), (1, 31), (2, 15), (2, 28)]),  # 15 January 2017 is a Sunday
        ("DE", 2017, [(1, 31), (2, 28), (3, 31), (4, 28)]),  # 30 April 2017 is a Sunday
        ("JP", 2017, [(1, 25), (2, 24), (3, 24), (4, 25)]),
        ("BR", 2017, [(1, 6), (2, 7), (3, 7), (4, 7)]),
    ],
)
def test_the_years_first_paydays(country, year, expected) -> None:
    assert [(day.month, day.day) for day in in_year(country, year)][:4] == expected


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(COUNTRIES), st.integers(2002, 2034))
def test_everybody_is_paid_every_month_on_a_working_day(country: str, year: int) -> None:
    found = in_year(country, year)
    a_month = len(PAYDAYS.get(country, (31,)))
    assert len(found) in range(12 * a_month - 1, 12 * a_month + 2)
    for day in found:
        assert works(day, country)
    if country not in PAYDAYS and country not in WORKING_DAY_OF_MONTH:
        for day in found:  # nobody works between payday and the month's end
            later = day + timedelta(days=1)
            while later.month == day.month:
                assert not works(later, country)
                later += timedelta(days=1)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(COUNTRIES), st.lists(days, min_size=1, max_size=20))
def test_distances_meet_at_paydays(country: str, asked: list[int]) -> None:
    to_next, since_last = payday_distance(np.array(asked), country)
    for day, ahead, behind in zip(asked, to_next, since_last, strict=True):
        year = (EPOCH + timedelta(days=day)).year
        marks = paydays(country, year - 1, year + 1)
        assert day + ahead in marks and day - behind in marks
        assert not ((marks > day - behind) & (marks < day + ahead) & (marks != day)).any()
        assert (ahead == 0) == (behind == 0)
        assert 0 <= ahead <= 40 and 0 <= behind <= 40


@pytest.mark.parametrize("country", ["", "nowhere", "unknown"])
def test_an_unknown_country_has_no_payday(country: str) -> None:
    for distance in payday_distance(np.array([17_000, 17_001]), country):
        assert np.isnan(distance).all()
    assert [len(distance) for distance in payday_distance(np.zeros(0, dtype=np.int64), "US")] == [0, 0]
