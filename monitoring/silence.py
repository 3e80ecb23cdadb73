"""Slices that have fallen silent: too small for one day to tell, beyond doubt after a few.

A store with nine baskets a day rests one day by chance; not three in a row. So the visits of the newest days
are added up, for each number of days, beside what days like them had; when everybody stays at home, as on a
feast, no slice is expected to do otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from monitoring.drift_counts import EVERYTHING, PeriodCounts
from monitoring.drift_season import Season, SeasonParams, like


@dataclass(frozen=True)
class SilenceParams:
    """What silence is.

    Attributes:
        longest_days: So many days are added up at most.
        most_left: Share of the usual visits that a silent slice may still have.
        false_alarm_rate: Chance that a day without silence shows any, in whichever slice and days.
    """

    longest_days: int = 5
    most_left: float = 0.2
    false_alarm_rate: float = 0.0005


@dataclass(frozen=True)
class Silence:
    """A slice that has fallen silent.

    Attributes:
        days: Since so many days, the one that shows it best.
        visits, usual: In those days, and in days like them.
        surprise: How unlikely chance is: minus its logarithm to ten.
        limit: What `surprise` must reach.
    """

    slice: str
    days: int
    visits: float
    usual: float
    surprise: float
    limit: float

    @property
    def words(self) -> str:
        """One clause."""
        span = "1 day" if self.days == 1 else f"{self.days} days"
        return f"{self.visits:,.0f} visits in {span}, usually {self.usual:,.0f}"


def silences(
    day: date,
    history: Mapping[date, PeriodCounts],
    seasons: Mapping[date, Season],
    rows_per_visit: float = 1.0,
    season: SeasonParams | None = None,
    params: SilenceParams | None = None,
) -> list[Silence]:
    """The slices that are silent on `day`, the surest first.

    Args:
        history: Counts of `day` and of the days before it.
        seasons: Of all of them.
        rows_per_visit: Rows come together, as the lines of a basket do.
    """
    params, season = params or SilenceParams(), season or SeasonParams()
    newest = _unbroken(day, history, params.longest_days)
    before = {one: seasons[one] for one in history if one < newest[-1]}
    alike = {one: like(one, before, seasons[one], season) for one in newest}
    if not all(alike.values()):
        return []
    known = {name for days in alike.values() for one in days for name in history[one]}
    # What has no columns counts no events.
    names = sorted(name for name in known if name != EVERYTHING and "=" in name)
    limit = -float(np.log10(params.false_alarm_rate / max(len(names) * len(newest), 1)))
    found = [_silence(name, newest, alike, history, rows_per_visit, limit, params) for name in names]
    return sorted((one for one in found if one is not None), key=lambda one: (-one.surprise, one.slice))


def _unbroken(day: date, history: Mapping[date, PeriodCounts], longest: int) -> list[date]:
    """`day` and those before it, as far as each is known."""
    days = [day]
    while len(days) < longest and days[-1] - timedelta(days=1) in history:
        days.append(days[-1] - timedelta(days=1))
    return days


def _silence(
    name: str,
    newest: list[date],
    alike: Mapping[date, tuple[date, ...]],
    history: Mapping[date, PeriodCounts],
    rows_per_visit: float,
    limit: float,
    params: SilenceParams,
) -> Silence | None:
    from scipy.stats import poisson

    visits = np.array([_rows(history[one], name) for one in newest]) / rows_per_visit
    usual = np.zeros(len(newest))
    spread, freedom = 0.0, 0
    for place, one in enumerate(newest):
        past = np.array([_rows(history[other], name) for other in alike[one]]) / rows_per_visit
        all_then = np.mean([_rows(history[other], EVERYTHING) for other in alike[one]])
        at_home = min(1.0, _rows(history[one], EVERYTHING) / all_then) if all_then else 1.0
        usual[place] = past.mean() * at_home
        if past.mean() > 0:
            spread += float(((past - past.mean()) ** 2).sum() / past.mean())
            freedom += len(past) - 1
    # Visits vary more than by chance alone: so many of them count as one.
    clump = max(1.0, spread / freedom) if freedom else 1.0
    best: Silence | None = None
    for days in range(1, len(newest) + 1):
        came, expected = float(visits[:days].sum()), float(usual[:days].sum())
        if came > params.most_left * expected or expected == 0:
            continue
        surprise = -float(poisson.logcdf(np.floor(came / clump), expected / clump) / np.log(10))
        if surprise >= limit and (best is None or surprise > best.surprise):
            best = Silence(name, days, came, expected, surprise, limit)
    return best


def _rows(counts: PeriodCounts, name: str) -> float:
    return float(counts[name].rows) if name in counts else 0.0
