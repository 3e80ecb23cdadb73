"""How popular an item and its category are, and which way they go."""

from __future__ import annotations

import pandas as pd

from features.counted_table import counted_table
from features.recency import days_since, decayed_now, ratio
from features.table import FeatureColumn, OnDemand

ITEM_POPULARITY = counted_table(
    "item_popularity",
    ("item_id",),
    "item",
    of="sessions with the item",
    half_lives_days=(7, 30, 90),
    totals=("quantity", "amount"),
    max_age_hours=72,
)
CATEGORY_POPULARITY = counted_table(
    "category_popularity",
    ("category",),
    "category",
    of="sessions with the category",
    source="category_visits",
    recency=False,
    half_lives_days=(7, 90),
    max_age_hours=72,
)


def _at_request(frame: pd.DataFrame) -> pd.DataFrame:
    week, month, quarter = (decayed_now(frame, "item", days) for days in (7, 30, 90))
    category_week, category_quarter = (decayed_now(frame, "category", days) for days in (7, 90))
    return pd.DataFrame(
        {
            "item_rate_7d": week,
            "item_rate_30d": month,
            "item_rate_90d": quarter,
            # Two half-lives of one steady stream stand in the ratio of the half-lives.
            "item_trend": ratio(week * 90.0, quarter * 7.0),
            "item_age_days": days_since(frame, "item_first_epoch_seconds"),
            "item_days_since_sold": days_since(frame, "item_last_epoch_seconds"),
            "item_price": ratio(frame["item_amount"], frame["item_quantity"]),
            "category_rate_90d": category_quarter,
            "category_trend": ratio(category_week * 90.0, category_quarter * 7.0),
            "item_share_of_category": ratio(quarter, category_quarter),
        }
    )


def _column(name: str, meaning: str, unit: str, window: str, null_means: str = "new item") -> FeatureColumn:
    return FeatureColumn(name, "float", meaning, null_means, unit, window)


ITEM_AT_REQUEST = OnDemand(
    "item_at_request",
    tables=("item_popularity", "category_popularity"),
    request=("request_epoch_seconds",),
    columns=(
        *(
            _column(
                f"item_rate_{days}d",
                "sessions with the item; 0: none yet",
                "sessions",
                f"half-life {days} days",
                "never null",
            )
            for days in (7, 30, 90)
        ),
        _column("item_trend", "short over long rate; 1 is steady", "ratio", "half-life 7 over 90 days"),
        _column("item_age_days", "since the item was first seen in a session", "days", "all time"),
        _column("item_days_since_sold", "since the item was last seen in a session", "days", "all time"),
        _column("item_price", "mean price paid a unit", "source currency", "all time"),
        _column(
            "category_rate_90d",
            "sessions with the category; 0: none yet",
            "sessions",
            "half-life 90 days",
            "never null",
        ),
        _column(
            "category_trend",
            "short over long rate of the category; 1 is steady",
            "ratio",
            "half-life 7 over 90 days",
            "new category",
        ),
        _column(
            "item_share_of_category",
            "item's part of its category's sessions",
            "share",
            "half-life 90 days",
            "new category",
        ),
    ),
    transform=_at_request,
)
