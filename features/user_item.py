"""What a user buys again, and whether it is due: per item and per category."""

from __future__ import annotations

from typing import Literal

import pandas as pd

from features.counted_table import counted_table
from features.counters import SECONDS_PER_DAY
from features.recency import days_since, decayed_now, due, mean_gap_days, ratio
from features.table import FeatureColumn, OnDemand

USER_ITEM = counted_table(
    "user_item",
    ("user_id", "item_id"),
    "user_item",
    of="the user's sessions with the item",
    visits=True,
    half_lives_days=(30, 90),
    totals=("quantity",),
    max_age_hours=72,
)
USER_CATEGORY = counted_table(
    "user_category",
    ("user_id", "category"),
    "user_category",
    of="the user's sessions with the category",
    source="category_visits",
    visits=True,
    half_lives_days=(30, 90),
    max_age_hours=72,
)


def _repeat(frame: pd.DataFrame, prefix: str) -> dict[str, pd.Series[float]]:
    since = days_since(frame, f"{prefix}_last_epoch_seconds")
    gap = mean_gap_days(frame, prefix)
    began, previous = (frame[f"{prefix}_{name}_epoch_seconds"] for name in ("began", "previous"))
    return {
        f"{prefix}_rate_30d": decayed_now(frame, prefix, 30),
        f"{prefix}_rate_90d": decayed_now(frame, prefix, 90),
        f"{prefix}_days_since_last": since,
        f"{prefix}_mean_gap_days": gap,
        f"{prefix}_last_gap_days": (began - previous) / SECONDS_PER_DAY,
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
    def column(
        name: str, meaning: str, unit: str, window: str, null_means: str, trend: Literal[-1, 0, 1] = 0
    ) -> FeatureColumn:
        return FeatureColumn(f"{prefix}_{name}", "float", meaning, null_means, unit, window, trend)

    # Of a category only usually: who has just bought one brand needs no other.
    often: Literal[0, 1] = 1 if prefix == "user_item" else 0
    once = f"new user, or bought the {what} at most once"
    never = f"new user, or never bought the {what}"
    return (
        *(
            column(
                f"rate_{days}d",
                f"the user's sessions with the {what}; 0: none yet",
                "sessions",
                f"half-life {days} days",
                "never null",
                trend=often,
            )
            for days in (30, 90)
        ),
        # No trend: what was bought yesterday is not due, what was bought a year ago is forgotten.
        column("days_since_last", f"since the user last bought the {what}", "days", "all time", never),
        column("mean_gap_days", f"mean between purchases of the {what}", "days", "all time", once),
        column("last_gap_days", f"between the last two purchases of the {what}", "days", "all time", once),
        column("due", f"time since the {what} over its mean gap; about 1 is due", "ratio", "all time", once),
        column(
            "share",
            f"part of the user's sessions with the {what}",
            "share",
            "all time",
            never,
            trend=often,
        ),
        column(
            "recent_share",
            f"part of the user's sessions with the {what}; 0: none yet",
            "share",
            "half-life 30 days",
            "new user",
            trend=often,
        ),
    )


REPEAT_AT_REQUEST = OnDemand(
    "repeat_at_request",
    tables=("user_item", "user_category", "user_activity"),
    request=("request_epoch_seconds",),
    columns=(
        *_columns("user_item", "item"),
        *_columns("user_category", "category"),
        FeatureColumn(
            "user_item_units",
            "float",
            "mean units of the item a session",
            "new user, or never bought the item",
            "units",
            "all time",
        ),
        FeatureColumn(
            "user_item_share_of_category",
            "float",
            "item's part of what the user buys of its category",
            "new user, or never bought the category",
            "share",
            "half-life 90 days",
        ),
    ),
    transform=_at_request,
)
