"""Where things happen: a user's stores and what each store sells."""

from __future__ import annotations

import pandas as pd

from features.counted_table import counted_table
from features.recency import days_since, decayed_now, ratio, shrunk_share
from features.table import FeatureColumn, OnDemand

USER_STORE = counted_table(
    "user_store", ("user_id", "store_id"), "user_store", of="the user's sessions in the store", where="TRUE"
)
STORE_ACTIVITY = counted_table(
    "store_activity",
    ("store_id",),
    "store",
    of="sessions in the store",
    half_lives_days=(30, 90),
    where="TRUE",
)
ITEM_STORE = counted_table(
    "item_store",
    ("item_id", "store_id"),
    "item_store",
    of="sessions with the item in the store",
    half_lives_days=(30, 90),
)


def _user_scene(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "user_store_share": shrunk_share(frame["user_store_sessions"], frame["user_sessions"], 0.0, 2.0),
            "user_store_days_since_last": days_since(frame, "user_store_last_epoch_seconds"),
        }
    )


def _item_scene(frame: pd.DataFrame) -> pd.DataFrame:
    month, quarter = (decayed_now(frame, "item_store", days) for days in (30, 90))
    store_month, store_quarter = (decayed_now(frame, "store", days) for days in (30, 90))
    return pd.DataFrame(
        {
            "item_store_rate_90d": quarter,
            "item_store_share_30d": ratio(month, store_month + 20.0),
            "item_store_share_90d": ratio(quarter, store_quarter + 20.0),
            "item_store_days_since_sold": days_since(frame, "item_store_last_epoch_seconds"),
            "item_store_part_of_item": ratio(quarter, decayed_now(frame, "item", 90)),
        }
    )


USER_SCENE = OnDemand(
    "user_scene",
    tables=("user_store", "user_activity"),
    request=("request_epoch_seconds",),
    columns=(
        FeatureColumn(
            "user_store_share",
            "float",
            "part of the user's sessions in this store, shrunk to 0",
            "never null",
        ),
        FeatureColumn("user_store_days_since_last", "float", "days since the user was in this store"),
    ),
    transform=_user_scene,
)
ITEM_SCENE = OnDemand(
    "item_scene",
    tables=("item_store", "store_activity", "item_popularity"),
    request=("request_epoch_seconds",),
    columns=(
        FeatureColumn(
            "item_store_rate_90d", "float", "sessions with the item here, half-life 90 days", "never null"
        ),
        FeatureColumn(
            "item_store_share_30d",
            "float",
            "part of this store's sessions with the item, 30 days",
            "never null",
        ),
        FeatureColumn(
            "item_store_share_90d",
            "float",
            "part of this store's sessions with the item, 90 days",
            "never null",
        ),
        FeatureColumn("item_store_days_since_sold", "float", "days since the item was sold here"),
        FeatureColumn("item_store_part_of_item", "float", "part of the item's sessions that happen here"),
    ),
    transform=_item_scene,
)
