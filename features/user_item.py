"""What a user buys again, and whether it is due: per item and per category."""

from __future__ import annotations

import pandas as pd

from features.counted_table import counted_table
from features.recency import days_since, decayed_now, due, mean_gap_days, ratio
from features.table import FeatureColumn, OnDemand

USER_ITEM = counted_table(
    "user_item",
    ("user_id", "item_id"),
    "user_item",
    of="the user's sessions with the item",
    half_lives_days=(30, 90),
    totals=("quantity",),
)
USER_CATEGORY = counted_table(
    "user_category",
    ("user_id", "category"),
    "user_category",
    of="the user's sessions with the category",
    half_lives_days=(30, 90),
)


def _repeat(frame: pd.DataFrame, prefix: str) -> dict[str, pd.Series[float]]:
    since = days_since(frame, f"{prefix}_last_epoch_seconds")
    gap = mean_gap_days(frame, prefix)
    last_gap = (frame[f"{prefix}_last_epoch_seconds"] - frame[f"{prefix}_previous_epoch_seconds"]) / 86_400.0
    return {
        f"{prefix}_rate_30d": decayed_now(frame, prefix, 30),
        f"{prefix}_rate_90d": decayed_now(frame, prefix, 90),
        f"{prefix}_days_since_last": since,
        f"{prefix}_mean_gap_days": gap,
        f"{prefix}_last_gap_days": last_gap,
        f"{prefix}_due": due(since, gap),
        f"{prefix}_share": ratio(frame[f"{prefix}_sessions"], frame["user_sessions"]),
        f"{prefix}_recent_share": ratio(decayed_now(frame, prefix, 30), decayed_now(frame, "user", 30)),
    }


def _at_request(frame: pd.DataFrame) -> pd.DataFrame:
    columns = _repeat(frame, "user_item") | _repeat(frame, "user_category")
    columns["user_item_units"] = ratio(frame["user_item_quantity"], frame["user_item_sessions"])
    columns["user_item_share_of_category"] = ratio(
        columns["user_item_rate_90d"], columns["user_category_rate_90d"]
    )
    return pd.DataFrame(columns)


def _columns(prefix: str, what: str) -> tuple[FeatureColumn, ...]:
    return (
        FeatureColumn(
            f"{prefix}_rate_30d", "float", f"sessions with the {what}, half-life 30 days", "never null"
        ),
        FeatureColumn(
            f"{prefix}_rate_90d", "float", f"sessions with the {what}, half-life 90 days", "never null"
        ),
        FeatureColumn(f"{prefix}_days_since_last", "float", f"days since the user last bought the {what}"),
        FeatureColumn(
            f"{prefix}_mean_gap_days",
            "float",
            f"mean days between purchases of the {what}",
            "bought at most once",
        ),
        FeatureColumn(
            f"{prefix}_last_gap_days",
            "float",
            f"days between the last two purchases of the {what}",
            "bought at most once",
        ),
        FeatureColumn(
            f"{prefix}_due",
            "float",
            f"days since the {what} / its mean gap; about 1 is due",
            "bought at most once",
        ),
        FeatureColumn(f"{prefix}_share", "float", f"part of the user's sessions with the {what}"),
        FeatureColumn(f"{prefix}_recent_share", "float", "the same with half-life 30 days"),
    )


REPEAT_AT_REQUEST = OnDemand(
    "repeat_at_request",
    tables=("user_item", "user_category", "user_activity"),
    request=("request_epoch_seconds",),
    columns=(
        *_columns("user_item", "item"),
        *_columns("user_category", "category"),
        FeatureColumn("user_item_units", "float", "mean units of the item a session"),
        FeatureColumn("user_item_share_of_category", "float", "item's part of the user's category"),
    ),
    transform=_at_request,
)
