"""Who is too new for the timing model, and what is said of them: user -> segment -> region -> all.

A thin user's own few visits are shrunk to how often people of the same segment come; where the segment is
unknown or small, of the same region; else everybody. Nobody is ever left without a probability.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.calendar import DAYPARTS
from features.scenes import UNKNOWN
from models.vocabulary import Column, Longs

Doubles = NDArray[np.float64]

USER, SEGMENT, REGION, ALL = LEVELS = ("user", "segment", "region", "all")
GROUPS = {SEGMENT: "user_segment", REGION: "user_region"}
"""Level -> the column that names a user's group; a frame without it knows no groups."""
SESSIONS, TENURE_DAYS = "user_sessions", "user_tenure_days"
OWN_VISITS, OWN_VISITS_HALF_LIFE_DAYS = "user_daypart_rate_60d", 60.0
"""Features that tell how much of a user is known: sessions so far, days since the first, decayed visits in
the row's daypart."""
_RATIO_PRIOR_SESSIONS = 10.0


@dataclass(frozen=True)
class FallbackParams:
    """When the chain steps back.

    Attributes:
        min_sessions: Earlier sessions from which a user has a level of their own.
        min_group_sessions: Sessions from which a segment or region has one.
        prior_days: How many days of a group's rate weigh as much as what is seen; shrinks small groups to
            everybody, and thin users to their group.
    """

    min_sessions: int = 3
    min_group_sessions: int = 30
    prior_days: float = 30.0


@dataclass(frozen=True)
class Fallback:
    """Rates of each group, kept as plain numbers so that they store as JSON.

    Attributes:
        params: When the chain steps back.
        everybody: Sessions a user-day in each daypart.
        groups: Level -> group -> the same, of groups with enough sessions.
        thin_ratio: How much of their group's rate thin users show.
    """

    params: FallbackParams
    everybody: tuple[float, ...]
    groups: Mapping[str, Mapping[str, tuple[float, ...]]] = field(default_factory=dict)
    thin_ratio: float = 1.0

    def levels(self, frame: pd.DataFrame) -> NDArray[np.object_]:
        """The level of each row: USER, SEGMENT, REGION or ALL.

        Examples:
            >>> chain = Fallback(FallbackParams(), (0.1,) * 6, {"segment": {"young": (0.2,) * 6}})
            >>> columns = {"user_sessions": [9, 0, 0], "user_segment": ["young", "young", "unknown"]}
            >>> chain.levels(pd.DataFrame(columns)).tolist()
            ['user', 'segment', 'all']
        """
        found = np.full(len(frame), ALL, dtype=object)
        for level in (REGION, SEGMENT):
            found[pd.Index(_group_of(frame, level)).isin(list(self.groups.get(level, {})))] = level
        found[~_thin(frame, self.params)] = USER
        return found

    def rates(self, frame: pd.DataFrame) -> Doubles:
        """P(engage) of each row by its group and the user's own few visits; what thin users get.

        Args:
            frame: (daypart) and, where known, the group columns, SESSIONS, TENURE_DAYS and
                OWN_VISITS.

        Examples:
            >>> chain = Fallback(FallbackParams(), (0.1,) * 6, thin_ratio=0.5)
            >>> chain.rates(pd.DataFrame({"daypart": ["evening"]})).tolist()
            [0.05]
        """
        prior = self.params.prior_days
        days = decayed_days(_number(frame, TENURE_DAYS), OWN_VISITS_HALF_LIFE_DAYS)
        visits = _number(frame, OWN_VISITS)
        rate = (prior * self.thin_ratio * self.group_rates(frame) + visits) / (prior + days)
        return np.asarray(np.clip(rate, 1e-6, 1 - 1e-6), dtype=np.float64)

    def group_rates(self, frame: pd.DataFrame) -> Doubles:
        """Sessions a user-day in each row's daypart, among the nearest known group of its user."""
        part = dayparts_of(frame["daypart"])
        found = np.asarray(self.everybody, dtype=np.float64)[part]
        for level in (REGION, SEGMENT):  # the nearer level overrides
            told = self.groups.get(level, {})
            if told:
                place = pd.Index(list(told)).get_indexer(pd.Index(_group_of(frame, level)))
                rates = np.array(list(told.values()), dtype=np.float64)
                found = np.where(place >= 0, rates[place, part], found)
        return found

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values; `Fallback.from_dict` restores them exactly."""
        return asdict(self)

    @staticmethod
    def from_dict(stored: Mapping[str, Any]) -> Fallback:
        """The chain that `as_dict` described."""
        groups = {
            level: {name: tuple(rates) for name, rates in told.items()}
            for level, told in stored["groups"].items()
        }
        params = FallbackParams(**stored["params"])
        return Fallback(params, tuple(stored["everybody"]), groups, stored["thin_ratio"])


def fit_fallback(frame: pd.DataFrame, params: FallbackParams | None = None) -> Fallback:
    """The chain's rates from observed user-days.

    Args:
        frame: (daypart, engaged) and, where known, weight, the group columns and SESSIONS; one row per user,
            local day and daypart.
        params: When the chain steps back.
    """
    params = params or FallbackParams()
    part, weight = dayparts_of(frame["daypart"]), weights_of(frame)
    came = weight * frame["engaged"].to_numpy(dtype=np.float64)
    everybody = _rate_by_part(part, came, weight, np.zeros(len(DAYPARTS)), 0.0)
    groups: dict[str, dict[str, tuple[float, ...]]] = {}
    for level in (SEGMENT, REGION):
        names = pd.Series(_group_of(frame, level))
        visits = pd.Series(came).groupby(names).sum()
        large = visits.index[(visits >= params.min_group_sessions) & (visits.index != UNKNOWN)]
        groups[level] = {}
        for name in sorted(large):
            rows = (names == name).to_numpy()
            rates = _rate_by_part(part[rows], came[rows], weight[rows], everybody, params.prior_days)
            groups[level][str(name)] = tuple(float(rate) for rate in rates)
    chain = Fallback(params, tuple(float(rate) for rate in everybody), groups)
    thin = _thin(frame, params)
    expected = float((weight * chain.group_rates(frame))[thin].sum())
    ratio = (came[thin].sum() + _RATIO_PRIOR_SESSIONS) / (expected + _RATIO_PRIOR_SESSIONS)
    return replace(chain, thin_ratio=float(ratio))


def dayparts_of(values: Column) -> Longs:
    """Each daypart's place in the day, 0 = night."""
    return pd.Index(DAYPARTS).get_indexer(pd.Index(np.asarray(values, dtype=object))).astype(np.int64)


def decayed_days(days: Doubles, half_life: float) -> Doubles:
    """The sum of the weights of so many days back from now.

    Examples:
        >>> decayed_days(np.array([0.0, 1.0, 2.0]), 1.0).tolist()
        [0.0, 1.0, 1.5]
    """
    return np.asarray((1 - np.exp2(-days / half_life)) / (1 - np.exp2(-1 / half_life)), dtype=np.float64)


def _rate_by_part(part: Longs, came: Doubles, weight: Doubles, prior: Doubles, prior_days: float) -> Doubles:
    """Sessions a user-day in each daypart, as if seen `prior_days` longer at the prior's rate."""
    sessions = np.bincount(part, weights=came, minlength=len(DAYPARTS))
    days = np.bincount(part, weights=weight, minlength=len(DAYPARTS))
    return np.asarray((sessions + prior_days * prior) / np.maximum(days + prior_days, 1e-9), dtype=np.float64)


def _thin(frame: pd.DataFrame, params: FallbackParams) -> NDArray[np.bool_]:
    """Whether a user has too few sessions; a frame that does not count them knows nobody to be thin."""
    if SESSIONS not in frame:
        return np.zeros(len(frame), dtype=bool)
    return _number(frame, SESSIONS) < params.min_sessions


def weights_of(frame: pd.DataFrame) -> Doubles:
    """How many rows of the population each row stands for; 1 where the frame does not say."""
    return frame["weight"].to_numpy(dtype=np.float64) if "weight" in frame else np.ones(len(frame))


def _number(frame: pd.DataFrame, name: str) -> Doubles:
    """A column with 0 for what is unknown; all 0 where the frame has no such column."""
    if name not in frame:
        return np.zeros(len(frame))
    return np.asarray(
        np.nan_to_num(frame[name].to_numpy(dtype=np.float64, na_value=np.nan)), dtype=np.float64
    )


def _group_of(frame: pd.DataFrame, level: str) -> NDArray[np.object_]:
    column = GROUPS[level]
    if column not in frame:
        return np.full(len(frame), UNKNOWN, dtype=object)
    values = frame[column].astype(object)
    return values.where(values.notna(), UNKNOWN).to_numpy()
