"""The whole shop: what every share falls back on when nothing nearer is known."""

from __future__ import annotations

from features.counted_table import counted_table

MARKET = "all"
"""The one value of the key `market`."""
HOUR = 3_600


MARKET_ACTIVITY = counted_table(
    "market_activity",
    ("market",),
    "market",
    of="sessions of everybody",
    source="visits",
    recency=False,
    half_lives_days=(90,),
    grid_seconds=HOUR,
)
DAYPART_ACTIVITY = counted_table(
    "daypart_activity",
    ("daypart",),
    "daypart",
    of="everybody's sessions in the daypart",
    source="visits",
    recency=False,
    grid_seconds=HOUR,
)
WEEKDAY_ACTIVITY = counted_table(
    "weekday_activity",
    ("weekday",),
    "weekday",
    of="everybody's sessions on the weekday",
    source="visits",
    recency=False,
    grid_seconds=HOUR,
)
