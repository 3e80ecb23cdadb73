"""Season and place in the year: what the calendar says about the weather, by the country's hemisphere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.calendar import is_known_country

SEASONS = ("winter", "spring", "summer", "autumn")
_SOUTHERN = "AR AU BW CL LS MZ NA NZ PY SZ UY ZA ZW"
SOUTHERN = frozenset(_SOUTHERN.split(" "))
"""Countries whose people live south of the tropics' calm belt: their seasons are half a year away."""
_TROPICAL = (
    "AO BB BF BI BJ BN BO BR BZ CD CF CG CI CM CO CR CV DJ DM DO EC ET FJ GA GD GH GM GN GQ GT GW GY HN "
    "HT ID JM KE KH KI KM KN KY LA LC LK LR MG MH ML MQ MU MV MW MY NE NG NI NR PA PE PF PG PH PR PW RW "
    "SB SC SG SL SN SO SR SS ST SV TD TG TH TL TO TT TV TZ UG VC VE VI VN VU WS YT ZM"
)
WITHOUT_SEASONS = frozenset(_TROPICAL.split(" "))
"""Countries mostly within the tropics, which tell wet from dry, not summer from winter."""

_MONTHS_TO_SEASON = np.array([0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 0])


def season_of(days: NDArray[np.int64], country: str) -> NDArray[np.float64]:
    """The meteorological season as its place in `SEASONS`; nan for a country unknown or without seasons.

    Args:
        days: Local days, in days since 1970-01-01.
        country: ISO 3166 code such as 'US'.

    Examples:
        >>> season_of(np.array([17_166, 17_348]), "US").tolist()  # 2016-12-31, 2017-07-01
        [0.0, 2.0]
        >>> season_of(np.array([17_166]), "AU").tolist(), season_of(np.array([17_166]), "SG").tolist()
        ([2.0], [nan])
    """
    days = np.asarray(days, dtype=np.int64)
    if country in WITHOUT_SEASONS or not is_known_country(country):
        return np.full(len(days), np.nan)
    month = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
    shift = 2 if country in SOUTHERN else 0
    return ((_MONTHS_TO_SEASON[month] + shift) % len(SEASONS)).astype(np.float64)


def year_share(days: NDArray[np.int64]) -> NDArray[np.float64]:
    """How much of its year each local day lies behind, 0 on 1 January, below 1 on 31 December.

    Examples:
        >>> year_share(np.array([17_167, 17_531])).round(4).tolist()  # 2017-01-01, 2017-12-31
        [0.0, 0.9973]
    """
    dates = np.asarray(days, dtype=np.int64).astype("datetime64[D]")
    year = dates.astype("datetime64[Y]")
    first = year.astype("datetime64[D]")
    length = (year + 1).astype("datetime64[D]") - first
    return np.asarray((dates - first) / length, dtype=np.float64)
