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
    source="visits",
    visits=True,
    half_lives_days=(7, 30, 90),
    totals=("weight", "amount"),
    max_age_hours=72,
)


def _at_request(frame: pd.DataFrame) -> pd.DataFrame:
    sessions = frame["user_sessions"]
    gap = mean_gap_days(frame, "user")
    since = days_since(frame, "user_last_epoch_seconds")
    week, quarter = decayed_now(frame, "user", 7), decayed_now(frame, "user", 90)
    return pd.DataFrame(
        {
            "user_rate_7d": week,
            "user_rate_30d": decayed_now(frame, "user", 30),
            "user_rate_90d": quarter,
            # Two half-lives of one steady stream stand in the ratio of the half-lives.
            "user_trend": ratio(week * 90.0, quarter * 7.0),
            "user_days_since_last": since,
            "user_mean_gap_days": gap,
            "user_due": due(since, gap),
            "user_tenure_days": days_since(frame, "user_first_epoch_seconds"),
            "user_items_per_session": ratio(frame["user_weight"], sessions),
            "user_amount_per_session": ratio(frame["user_amount"], sessions),
        }
    )


def _column(name: str, meaning: str, unit: str, window: str, null_means: str = "new user") -> FeatureColumn:
    return FeatureColumn(name, "float", meaning, null_means, unit, window)


USER_AT_REQUEST = OnDemand(
    "user_at_request",
    tables=("user_activity",),
    request=("request_epoch_seconds",),
    columns=(
        *(
            _column(
                f"user_rate_{days}d",
                "sessions of the user; 0: none yet",
                "sessions",
                f"half-life {days} days",
                "never null",
            )
            for days in (7, 30, 90)
        ),
        _column("user_trend", "short over long rate; 1 is steady", "ratio", "half-life 7 over 90 days"),
        _column("user_days_since_last", "since the user's last session", "days", "all time"),
        _column("user_mean_gap_days", "mean between sessions", "days", "all time", "under two sessions"),
        _column(
            "user_due",
            "time since the last session over the mean gap; about 1 is due",
            "ratio",
            "all time",
            "under two sessions",
        ),
        _column("user_tenure_days", "since the user's first session", "days", "all time"),
        _column("user_items_per_session", "mean items a session", "items", "all time"),
        _column("user_amount_per_session", "mean spend a session", "source currency", "all time"),
    ),
    transform=_at_request,
)
