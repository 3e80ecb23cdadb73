"""Levels of numbers that creep: too little for one day's shape to tell, plain beside how steady they were.

The shape of prices differs from day to day with what is bought; their mean beside the usual price of the same
items hardly moves. So the mean of each number is watched by itself, with a limit from that number's own past.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from monitoring.drift_bins import ColumnBins
from monitoring.drift_counts import EVERYTHING, PeriodCounts, together
from monitoring.drift_distance import shift
from monitoring.drift_season import Season, SeasonParams, like


@dataclass(frozen=True)
class LevelParams:
    """What a moved level is.

    Attributes:
        least_shift: Smaller ones are nobody's concern, in the reference's standard deviations.
        least_days: So many days of the past must have been measured for a limit of one's own.
        false_alarm_rate: Chance that a day on which nothing moved shows any level that did.
    """

    least_shift: float = 0.15
    least_days: int = 21
    false_alarm_rate: float = 0.0005


@dataclass(frozen=True)
class Level:
    """Where the mean of a number is.

    Attributes:
        shift: From the mean of days alike, in their standard deviations.
        limit: What the size of `shift` must reach.
    """

    column: str
    shift: float
    limit: float


def levels(
    day: date,
    history: Mapping[date, PeriodCounts],
    seasons: Mapping[date, Season],
    bins: Sequence[ColumnBins],
    season: SeasonParams | None = None,
    params: LevelParams | None = None,
) -> list[Level]:
    """The level of every number of all rows whose past is long enough, on `day`.

    Each past day is measured beside the days that it was like, as `day` is; those shifts are taken for a
    normal sample around none, and the limit is a prediction bound for one more (Hahn, Meeker, Statistical
    Intervals, 1991).

    Args:
        history: Counts of `day` and of the days before it.
        seasons: Of all of them.
    """
    from scipy.stats import t as student

    params, season = params or LevelParams(), season or SeasonParams()
    known = {one: seasons[one] for one in history if one < day}
    past: list[dict[str, float]] = []
    for one in [day, *sorted(known, reverse=True)[: season.oldest_days]]:
        alike = like(one, known, seasons[one], season)
        if len(alike) >= season.least:
            past.append(_shifts(history[one], [history[other] for other in alike], bins))
        elif one == day:
            return []
    now, *before = past
    rate = params.false_alarm_rate / max(len(now), 1)
    found = []
    for column, moved in now.items():
        usual = np.array([shifts[column] for shifts in before if column in shifts])
        if len(usual) >= params.least_days:
            own = float(np.sqrt((usual**2).mean() * (1 + 1 / len(usual))))
            limit = max(params.least_shift, own * float(student.ppf(1 - rate / 2, len(usual))))
            found.append(Level(column, moved, limit))
    return found


def _shifts(
    counts: PeriodCounts, others: Sequence[PeriodCounts], bins: Sequence[ColumnBins]
) -> dict[str, float]:
    now, usual = counts.get(EVERYTHING), together(others, [EVERYTHING]).get(EVERYTHING)
    if now is None or usual is None:
        return {}
    return {
        one.column: shift(one, usual.columns[one.column], now.columns[one.column])
        for one in bins
        if one.is_number
        and one.column in now.columns
        and one.column in usual.columns
        and now.columns[one.column][:-1].sum()
        and usual.columns[one.column][:-1].sum()
    }
