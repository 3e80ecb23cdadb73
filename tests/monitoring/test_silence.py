"""Small stores that fall silent are found within days; small stores' quiet days and feasts are not."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from monitoring.drift_counts import EVERYTHING, PeriodCounts, SliceCounts
from monitoring.drift_season import Season
from monitoring.silence import silences

LAST = date(2024, 3, 31)
DAYS = [LAST - timedelta(days=back) for back in range(70)]
SEASONS = {day: Season(day.weekday()) for day in DAYS}


def history(stores: int = 20, baskets: float = 9.0, seed: int = 3) -> dict[date, dict[str, SliceCounts]]:
    rng = np.random.default_rng(seed)
    told = {}
    for day in DAYS:
        counts = rng.poisson(baskets * (1.5 if day.weekday() >= 5 else 1.0), stores)
        told[day] = {f"store_id={store}": SliceCounts(int(n), {}) for store, n in enumerate(counts)}
        told[day][EVERYTHING] = SliceCounts(int(counts.sum()), {})
    return told


def silenced(store: int, days: int) -> dict[date, PeriodCounts]:
    told = history()
    for back in range(days):
        told[DAYS[back]].pop(f"store_id={store}")
    return dict(told)


def test_a_silent_store_is_found_within_two_days_and_named() -> None:
    assert silences(LAST, silenced(4, 0), SEASONS) == []
    found = silences(LAST, silenced(4, 2), SEASONS)
    assert [(one.slice, one.days, one.visits) for one in found] == [("store_id=4", 2, 0.0)]
    assert found[0].words == f"0 visits in 2 days, usually {found[0].usual:.0f}" and found[0].usual > 18


def test_longer_silence_is_surer() -> None:
    two, four = (silences(LAST, silenced(4, days), SEASONS)[0] for days in (2, 4))
    assert four.surprise > two.surprise > two.limit and four.days == 4


def test_a_day_on_which_everybody_stays_at_home_silences_no_store() -> None:
    told = history()
    for back in range(3):
        told[DAYS[back]] = {
            name: SliceCounts(counts.rows // 12, {}) for name, counts in told[DAYS[back]].items()
        }
    assert silences(LAST, told, SEASONS) == []


def test_half_a_store_is_no_silence() -> None:
    told = history(baskets=60)
    for back in range(3):
        half = told[DAYS[back]]["store_id=4"].rows // 2
        told[DAYS[back]]["store_id=4"] = SliceCounts(half, {})
    assert silences(LAST, told, SEASONS) == []


def test_without_a_past_nothing_is_told() -> None:
    told = {day: counts for day, counts in history().items() if day > LAST - timedelta(days=4)}
    assert silences(LAST, told, SEASONS) == []


@pytest.mark.parametrize("baskets", [1.0, 4.0, 15.0])
def test_chance_silences_hardly_anybody(baskets: float) -> None:
    alarms = sum(bool(silences(LAST, history(30, baskets, seed), SEASONS)) for seed in range(60))
    assert alarms <= 1
