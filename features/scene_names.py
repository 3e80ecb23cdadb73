"""What other tables call the parts of a scene: a country is a region, a city a place in it.

Only names that plainly mean a scene are read. Any other column of few values stays out, however tempting: a
rating, a price band or a category tells what was taken, and a query that knew it would know its own answer.
"""

from __future__ import annotations

from collections.abc import Sequence

OTHER_NAMES: dict[str, tuple[str, ...]] = {
    "region": ("country", "state", "province"),
    # A place lies in a region: where a state is told beside its country, it is the finer of the two.
    "store_id": ("store", "shop_id", "shop", "branch", "city", "location", "state", "province"),
    "device": ("device_type", "platform", "operating_system", "os"),
    "network": ("network_type", "connection_type", "connection"),
    "channel": ("traffic_source", "source", "medium"),
    "weather": ("weather_condition",),
}
"""By part, the names that stand for it where a table has none of its own, the first one found."""
_ONLY_BESIDE = {"state": ("country", "city")}
"""An order has a state too: it is a place where others are told beside it."""


def scene_names(columns: Sequence[str], parts: Sequence[str]) -> dict[str, str]:
    """Which of the columns stand for parts of a scene that the table does not name: column to part.

    Args:
        columns: Of the table, as they are named there.
        parts: Of the scene, those that the table may tell.

    Examples:
        >>> scene_names(["user_id", "country", "city", "os"], ["device", "region", "store_id"])
        {'country': 'region', 'city': 'store_id', 'os': 'device'}
        >>> scene_names(["region", "country", "city"], ["region"])
        {}
        >>> scene_names(["country", "state"], ["region", "store_id"])
        {'country': 'region', 'state': 'store_id'}
        >>> scene_names(["order_id", "state"], ["region", "store_id"])
        {}
    """
    found: dict[str, str] = {}
    for part, names in OTHER_NAMES.items():
        if part in parts and part not in columns:
            told = [name for name in names if name in columns and name not in found]
            standing = next((name for name in told if _is_place(name, columns)), None)
            if standing is not None:
                found[standing] = part
    return found


def _is_place(name: str, columns: Sequence[str]) -> bool:
    return name not in _ONLY_BESIDE or any(other in columns for other in _ONLY_BESIDE[name])
