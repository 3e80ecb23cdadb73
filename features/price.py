"""What an item costs these days beside its usual price: a cut that no promotion table announces."""

from __future__ import annotations

import pandas as pd

from features.counted_table import counted_table
from features.counters import Measure
from features.recency import ratio
from features.table import FeatureColumn, FeatureTable, OnDemand
from features.trend import DAY

WINDOWS_HOURS = (24, 48, 72, 168, 2_160)
_LATELY, _USUAL = WINDOWS_HOURS[:-1], WINDOWS_HOURS[-1]
_STRENGTH = 2.0
"""So many units at the usual price are mixed into what was paid lately: one odd price proves no cut."""


def _sums(name: str, prefix: str, measure: Measure, of: str) -> FeatureTable:
    return counted_table(
        name,
        ("item_id",),
        prefix,
        of=of,
        recency=False,
        windows_hours=WINDOWS_HOURS,
        where="amount > 0 AND quantity > 0",
        grid_seconds=DAY,
        measure=measure,
    )


ITEM_TAKINGS = _sums("item_takings", "item_paid", "amount", "what was paid for the item")
ITEM_UNITS = _sums("item_units", "item_sold", "quantity", "units of the item that were paid for")
PRICE_TABLES: tuple[FeatureTable, ...] = (ITEM_TAKINGS, ITEM_UNITS)


def _at_request(frame: pd.DataFrame) -> pd.DataFrame:
    usual = ratio(frame[f"item_paid_last_{_USUAL}h"], frame[f"item_sold_last_{_USUAL}h"])
    return pd.DataFrame(
        {
            f"item_price_{hours // 24}d": ratio(
                frame[f"item_paid_last_{hours}h"] + _STRENGTH * usual,
                (frame[f"item_sold_last_{hours}h"] + _STRENGTH) * usual,
            )
            for hours in _LATELY
        },
        index=frame.index,
    )


PRICE = OnDemand(
    "price",
    tables=tuple(table.name for table in PRICE_TABLES),
    request=(),
    columns=tuple(
        FeatureColumn(
            f"item_price_{hours // 24}d",
            "float",
            f"price a unit paid lately over that of {_USUAL // 24} days, as if {_STRENGTH:g} units more had "
            "cost the usual; under 1 it is cheap",
            f"not sold for {_USUAL // 24} days, or without amounts",
            "ratio",
            f"{hours} hours over {_USUAL // 24} days",
        )
        for hours in _LATELY
    ),
    transform=_at_request,
)
