"""Where a user is at home, as far as the tables tell: country, and a zone where none was given."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

OWN, BY_PLACE, DEFAULT = ZONE_SOURCES = ("own", "place", "default")
"""Who told a user's time zone: the users table, the region or country by a setting, nobody."""


def countries(locale: pd.Series, region: pd.Series) -> pd.Series:
    """ISO country by row: the locale's territory, else the region's where it reads like one; '' unknown.

    Examples:
        >>> countries(pd.Series(["en_US", "de", None]), pd.Series(["x", "DE-BY", "north"])).tolist()
        ['US', 'DE', '']
    """
    of_locale = _extracted(locale, r"[_-]([A-Z]{2})$")
    return of_locale.fillna(_extracted(region, r"^([A-Z]{2})(?:$|[-_ ])")).fillna("").astype("object")


def _extracted(texts: pd.Series, pattern: str) -> pd.Series:
    """What the pattern finds in each text, looked for once a distinct one."""
    codes, distinct = pd.factorize(texts.to_numpy(dtype=object), use_na_sentinel=True)
    found = pd.Series(distinct, dtype="string").str.extract(pattern)[0]
    return pd.Series(found.reindex(codes).array, index=texts.index)


def zones_of(
    told: pd.Series, locale: pd.Series, region: pd.Series, by_place: Mapping[str, str], default: str
) -> tuple[pd.Series, pd.Series]:
    """(time zone, who told it) by row: the user's own, else the region's, else the country's, else `default`.

    Args:
        told: Zones of the users table; null where none.
        locale: Such as 'en_US'.
        region: As the users table spells it.
        by_place: Zone by region or ISO country.
        default: Zone of all others.

    Examples:
        >>> none = pd.Series([None, None, None, "UTC"], dtype=object)
        >>> places = pd.Series(["north", "south", "south", "north"])
        >>> locales = pd.Series(["x", "de_AT", "x", "x"])
        >>> by_place = {"north": "Asia/Tokyo", "AT": "Europe/Vienna"}
        >>> zone, source = zones_of(none, locales, places, by_place, "Europe/Paris")
        >>> zone.tolist(), source.tolist()
        (['Asia/Tokyo', 'Europe/Vienna', 'Europe/Paris', 'UTC'], ['place', 'place', 'default', 'own'])
    """
    own = told.notna()
    if own.all():
        return told, pd.Series(OWN, index=told.index, dtype=object)
    placed = region.astype("object").map(by_place)
    if by_place:
        placed = placed.fillna(countries(locale, region).map(by_place))
    zone = told.astype("object").where(own, placed.fillna(default))
    source = np.select([own.to_numpy(), placed.notna().to_numpy()], [OWN, BY_PLACE], DEFAULT)
    return zone, pd.Series(source, index=told.index, dtype=object)
