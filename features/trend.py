"""Which way item, category and store go, from the last hour to the last quarter.

Windows are exact at every instant of a table's grid. A row appears wherever something enters or leaves a
window, so grids are coarse: an hour for the few stores, a day (UTC) for the many items and categories, of
which nearly none sells more than once an hour.
"""

from __future__ import annotations

from itertools import pairwise

import pandas as pd

from features.counted_table import counted_table
from features.market import HOUR
from features.recency import trend
from features.table import FeatureColumn, FeatureTable, OnDemand

DAY = 24 * HOUR
DAY_WINDOWS = (24, 168, 720, 2_160)
HOUR_WINDOWS = (1, *DAY_WINDOWS)

ITEM_WINDOWS = counted_table(
    "item_windows",
    ("item_id",),
    "item_lately",
    of="sessions with the item",
    recency=False,
    windows_hours=DAY_WINDOWS,
    grid_seconds=DAY,
)
CATEGORY_WINDOWS = counted_table(
    "category_windows",
    ("category",),
    "category_lately",
    of="sessions with the category",
    source="category_visits",
    recency=False,
    windows_hours=DAY_WINDOWS,
    grid_seconds=DAY,
)
STORE_WINDOWS = counted_table(
    "store_windows",
    ("store_id",),
    "store_lately",
    of="sessions in the store",
    source="visits",
    recency=False,
    windows_hours=HOUR_WINDOWS,
    where="store_id <> 'unknown'",
    grid_seconds=HOUR,
)
WINDOWS: tuple[FeatureTable, ...] = (ITEM_WINDOWS, CATEGORY_WINDOWS, STORE_WINDOWS)

_SHORT = {1: "1h", 24: "1d", 168: "7d", 720: "30d"}
_OF = {"item": DAY_WINDOWS, "category": DAY_WINDOWS, "store": HOUR_WINDOWS}
_PAIRS = tuple((what, short, long) for what, hours in _OF.items() for short, long in pairwise(hours))


def _at_request(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            f"{what}_trend_{_SHORT[short]}": trend(frame, f"{what}_lately", short, long)
            for what, short, long in _PAIRS
        },
        index=frame.index,
    )


TREND = OnDemand(
    "trend",
    tables=tuple(table.name for table in WINDOWS),
    request=(),
    columns=tuple(
        FeatureColumn(
            f"{what}_trend_{_SHORT[short]}",
            "float",
            f"pace of sessions {'in' if what == 'store' else 'with'} the {what} now over before, shrunk to 1",
            "unknown or new store" if what == "store" else f"new {what}",
            "ratio",
            f"{short} over {long} hours",
        )
        for what, short, long in _PAIRS
    ),
    transform=_at_request,
)
