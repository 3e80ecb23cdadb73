"""Numbers that creep are found while each day still looks like the last; steady and restless ones are not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import duckdb
import numpy as np
import pandas as pd
import pytest

from monitoring.drift_bins import bins_of
from monitoring.drift_counts import PeriodCounts, counted
from monitoring.drift_season import Season, seasons_of
from monitoring.drift_watch import watch_period
from monitoring.levels import Level, LevelParams, levels

FIRST = date(2026, 3, 2)
DAYS = [FIRST + timedelta(days=n) for n in range(90)]
SEASONS = {day: Season(day.weekday()) for day in DAYS}


def rows(day: date, factor: float = 1.0) -> pd.DataFrame:
    """A day's price ratios, half of them exactly the usual price, and baskets that differ from day to day."""
    rng = np.random.default_rng(day.toordinal())
    ratio = np.where(rng.random(2_000) < 0.5, 1.0, rng.normal(1.0, 0.3, 2_000).clip(0.4, 2.0))
    paid = rng.gamma(3.0, 1.0, 2_000) * rng.lognormal(0.0, 0.25)
    return pd.DataFrame({"day": str(day), "ratio": ratio * factor, "paid": paid})


def history(factors: Mapping[date, float]) -> dict[date, PeriodCounts]:
    frame = pd.concat([rows(day, factors.get(day, 1.0)) for day in DAYS], ignore_index=True)
    with duckdb.connect() as connection:
        connection.register("rows", frame)
        told = counted(connection, "rows", BINS, (), "day")
    return {date.fromisoformat(name): counts for name, counts in told.items()}


BINS = bins_of(pd.concat([rows(day) for day in DAYS[:30]]), ["ratio", "paid"])
CALM = history({})


def moved(told: Mapping[date, PeriodCounts], day: date) -> list[Level]:
    known = {one: counts for one, counts in told.items() if one <= day}
    return [one for one in levels(day, known, SEASONS, BINS) if abs(one.shift) >= one.limit]


def test_a_creep_of_two_percent_a_day_is_found_within_five() -> None:
    begin = DAYS[60]
    crept = history({begin + timedelta(days=n): 1.02 ** (n + 1) for n in range(10)})
    found = [n for n in range(10) if any(one.column == "ratio" for one in moved(crept, DAYS[60 + n]))]
    assert found and found[0] <= 4 and found[-1] == 9
    (told,) = moved(crept, DAYS[69])
    assert told.column == "ratio" and told.shift > told.limit
    down = history({begin + timedelta(days=n): 0.98 ** (n + 1) for n in range(10)})
    assert moved(down, DAYS[69])[0].shift < 0


@pytest.mark.parametrize("place", range(50, 90, 3))
def test_nothing_moves_on_ordinary_days(place: int) -> None:
    assert moved(CALM, DAYS[place]) == []


def test_restless_numbers_have_wider_limits() -> None:
    found = {one.column: one.limit for one in levels(DAYS[-1], CALM, SEASONS, BINS)}
    assert found["ratio"] == LevelParams().least_shift < found["paid"]


def test_a_short_past_tells_no_level() -> None:
    known = {day: CALM[day] for day in DAYS[:20]}
    assert levels(DAYS[19], known, SEASONS, BINS) == []
    assert levels(DAYS[2], {day: CALM[day] for day in DAYS[:3]}, SEASONS, BINS) == []


def test_the_watch_tells_levels_but_not_on_a_feast() -> None:
    day = date(2026, 5, 25)  # Memorial Day
    told = history({day: 1.2})
    for country, found in (("", ["ratio up by 0."]), ("US", [])):
        result = watch_period(day, told[day], told, seasons_of(DAYS, country), BINS)
        words = [one.words for one in result.findings if one.method == "level" and one.verdict != "pass"]
        assert [one[: len("ratio up by 0.")] for one in words] == found
