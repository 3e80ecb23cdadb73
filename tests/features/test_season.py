"""Seasons turn with the hemisphere, and the year is a circle."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.season import SEASONS, SOUTHERN, WITHOUT_SEASONS, season_of, year_share

EPOCH = date(1970, 1, 1)
NORTH = (("winter", (12, 1, 2)), ("spring", (3, 4, 5)), ("summer", (6, 7, 8)), ("autumn", (9, 10, 11)))
days = st.dates(date(1960, 1, 1), date(2050, 12, 31))


@given(days)
def test_seasons_are_quarters_that_begin_in_december(day: date) -> None:
    number = np.array([(day - EPOCH).days])
    name = SEASONS[int(season_of(number, "DE")[0])]
    assert day.month in dict(NORTH)[name]
    south = SEASONS[int(season_of(number, "AU")[0])]
    assert SEASONS.index(south) == (SEASONS.index(name) + 2) % 4


@given(days)
def test_the_year_is_a_share_from_zero_to_below_one(day: date) -> None:
    share = year_share(np.array([(day - EPOCH).days]))[0]
    assert share == pytest.approx((day.timetuple().tm_yday - 1) / (366 if day.year % 4 == 0 else 365))
    assert 0 <= share < 1
    assert (share == 0) == ((day.month, day.day) == (1, 1))


@pytest.mark.parametrize("country", ["SG", "KE", "", "nowhere"])
def test_some_countries_have_no_seasons(country: str) -> None:
    assert np.isnan(season_of(np.array([17_000, 17_200]), country)).all()


def test_no_country_is_in_both_lists() -> None:
    assert not SOUTHERN & WITHOUT_SEASONS
