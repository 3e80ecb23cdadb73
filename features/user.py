"""How often, how recently and how much a user buys."""

from __future__ import annotations

import pandas as pd

from features.counted_table import counted_table
from features.recency import days_since, decayed_now, due, mean_gap_days, ratio
from features.table import FeatureColumn, OnDemand

USER_ACTIVITY = counted_table(
    "user_activity",
    ("user_id",),
    "user",
    of="sessions of the user",
    half_lives_days=(30,),
    totals=("weight", "amount"),
    where="TRUE",
)


def _at_request(frame: pd.DataFrame) -> pd.DataFrame:
    sessions = frame["user_sessions"]
    gap = mean_gap_days(frame, "user")
    since = days_since(frame, "user_last_epoch_seconds")
    return pd.DataFrame(
        {
            "user_rate_30d": decayed_now(frame, "user", 30),
            "user_days_since_last": since,
            "user_mean_gap_days": gap,
            "user_due": due(since, gap),
            "user_tenure_days": days_since(frame, "user_first_epoch_seconds"),
            "user_items_per_session": ratio(frame["user_weight"], sessions),
            "user_amount_per_session": ratio(frame["user_amount"], sessions),
        }
    )


USER_AT_REQUEST = OnDemand(
    "user_at_request",
    tables=("user_activity",),
    request=("request_epoch_seconds",),
    columns=(
        FeatureColumn("user_rate_30d", "float", "sessions of the user, half-life 30 days", "never null"),
        FeatureColumn("user_days_since_last", "float", "days since the user's last session"),
        FeatureColumn("user_mean_gap_days", "float", "mean days between sessions", "under two sessions"),
        FeatureColumn("user_due", "float", "days since the last session / mean gap", "under two sessions"),
        FeatureColumn("user_tenure_days", "float", "days since the user's first session"),
        FeatureColumn("user_items_per_session", "float", "mean items a session"),
        FeatureColumn("user_amount_per_session", "float", "mean spend a session, source currency"),
    ),
    transform=_at_request,
)
