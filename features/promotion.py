"""What is on promotion in a store, from its first instant to its last."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from duckdb import DuckDBPyConnection, DuckDBPyRelation

from features.counters import SECONDS_PER_DAY
from features.table import FeatureColumn, FeatureTable, OnDemand

LONGEST_PROMOTION_DAYS = 7.0
HISTORY_DAYS = 140
MIN_BUYERS = 10


def relevant_promotions(connection: DuckDBPyConnection, as_of: datetime) -> DuckDBPyRelation:
    """Promotions that a query of the last `HISTORY_DAYS` could meet, of items somebody buys.

    A shop announces millions of store-week promotions of items that no ranking will ever hold; keeping
    those of items with at least `MIN_BUYERS` buyers bounds the table by what sells.

    Args:
        connection: Offers the view `promotions` and the table `interactions`, known before `as_of`.
        as_of: Knowledge cut-off; promotions announced for the two weeks after it are kept.
    """
    first, last = as_of - timedelta(days=HISTORY_DAYS), as_of + timedelta(days=14)
    return connection.sql(
        f"""
        SELECT p.* FROM promotions p
        SEMI JOIN (
            SELECT item_id FROM interactions WHERE available
            GROUP BY item_id HAVING count(DISTINCT user_id) >= {MIN_BUYERS}
        ) sold USING (item_id)
        WHERE p.starts_at >= TIMESTAMPTZ '{first.isoformat()}'
          AND p.starts_at < TIMESTAMPTZ '{last.isoformat()}'
        """
    )


def _build(promotions: DuckDBPyRelation, as_of: datetime) -> DuckDBPyRelation:
    """Promotions per item and store, one row per start; those that start at or after `as_of` too.

    A promotion is announced before it starts, so knowing of it is no leak; it is joined only from its
    start on. Two that start together are one row: their kinds joined, the later end, the larger discount.
    """
    del as_of
    return promotions.query(
        "promotions",
        """
        SELECT item_id, store_id, starts_at AS event_timestamp,
               string_agg(kind, '|' ORDER BY kind) AS promo_kind,
               CAST(max(epoch(ends_at)) AS DOUBLE) AS promo_ends_epoch_seconds,
               max(discount) AS promo_discount
        FROM promotions
        WHERE item_id IS NOT NULL AND store_id IS NOT NULL AND store_id <> 'unknown'
        GROUP BY item_id, store_id, starts_at
        """,
    )


ITEM_STORE_PROMOTION = FeatureTable(
    "item_store_promotion",
    ("item_id", "store_id"),
    (
        FeatureColumn("promo_kind", "str", "kinds of the promotions that started last", "none started"),
        FeatureColumn("promo_ends_epoch_seconds", "float", "their end, UTC seconds", "none started"),
        FeatureColumn("promo_discount", "float", "largest discount, share of the price", "none, or not told"),
    ),
    "promotions",
    _build,
    ttl_days=LONGEST_PROMOTION_DAYS,
)


def _at_request(frame: pd.DataFrame) -> pd.DataFrame:
    left_days = (
        frame["promo_ends_epoch_seconds"] - frame["request_epoch_seconds"].astype("float64")
    ) / SECONDS_PER_DAY
    active = left_days > 0
    return pd.DataFrame(
        {
            "promo_active": active.astype("float64"),
            "promo_days_left": left_days.where(active),
            "promo_kind_active": frame["promo_kind"].astype(object).where(active, "none").fillna("none"),
            "promo_discount_active": frame["promo_discount"].astype("float64").where(active, np.nan),
        }
    )


PROMOTION_AT_REQUEST = OnDemand(
    "promotion_at_request",
    tables=("item_store_promotion",),
    request=("request_epoch_seconds",),
    columns=(
        FeatureColumn(
            "promo_active", "float", "1 while a promotion runs in this store, else 0", "never null"
        ),
        FeatureColumn("promo_days_left", "float", "days until it ends", "no promotion runs"),
        FeatureColumn("promo_kind_active", "str", "kinds of the running promotions; 'none'", "never null"),
        FeatureColumn(
            "promo_discount_active", "float", "discount of the running promotion", "none, or not told"
        ),
    ),
    transform=_at_request,
)
