"""Rows for the timing model: user, local day and daypart with features as of that day's start."""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.market import MARKET
from features.scenes import SCENE_PARTS, UNKNOWN
from features.tables import TIMING
from flows.ranking_rows import resolved
from flows.training_data import TrainingData
from infra.feature_store import KairosFeatureStore
from models.timing_fallback import GROUPS
from models.timing_rows import timing_rows
from models.training_set import opening_hours


def with_timing_features(
    features: KairosFeatureStore, rows: pd.DataFrame, data: TrainingData
) -> pd.DataFrame:
    """`rows`, the timing service's features as of each row's cut-off and each user's segment and home region.

    Same rows in the same order.

    Args:
        features: Answers as of each row's own cut-off.
        rows: (user_id, *SCENE_PARTS, daypart, weekday, local_day, cutoff_epoch_seconds, ...).
        data: Whose scenes and country count.
    """
    rows = rows.reset_index(drop=True)
    cutoff = rows["cutoff_epoch_seconds"].to_numpy(dtype=np.int64)
    scenes = resolved(rows, data.scenes)
    asked = pd.DataFrame(
        {
            "user_id": pd.Categorical(rows["user_id"]),
            **{part: pd.Categorical(scenes[part]) for part in SCENE_PARTS},
            "market": pd.Categorical([MARKET]).take(np.zeros(len(rows), dtype=np.intp)),
            "daypart": pd.Categorical(rows["daypart"]),
            "weekday": pd.Categorical(rows["weekday"].astype("str")),
            "event_timestamp": pd.to_datetime(cutoff, unit="s", utc=True).as_unit("us"),
            "request_epoch_seconds": cutoff,
            "local_day": rows["local_day"].to_numpy(dtype=np.int64),
            "local_hour": opening_hours(rows["daypart"]),
            "country": pd.Categorical([data.country]).take(np.zeros(len(rows), dtype=np.intp)),
        }
    )
    answered = features.historical(asked, TIMING.name)
    known = data.users.drop_duplicates("user_id").set_index("user_id")
    groups = {
        column: rows["user_id"].map(known[level]).fillna(UNKNOWN) if level in known else UNKNOWN
        for level, column in GROUPS.items()
    }
    return pd.concat([rows, answered[list(TIMING.features)]], axis=1).assign(**groups)


def timing_frame(
    features: KairosFeatureStore,
    data: TrainingData,
    days_by_split: dict[str, range],
    user_days_by_split: dict[str, int],
    seed: int,
) -> pd.DataFrame:
    """The timing model's rows of all splits, with `split` and features.

    Args:
        features: Answers as of each day's start.
        data: Sessions and users.
        days_by_split: Local days of each split.
        user_days_by_split: At most so many user-days each, drawn evenly.
        seed: Of the draws.
    """
    users = everybody(data)
    parts = [
        timing_rows(data.sessions, users, days, user_days_by_split[split], seed).assign(split=split)
        for split, days in days_by_split.items()
    ]
    return with_timing_features(features, pd.concat(parts, ignore_index=True), data)


def everybody(data: TrainingData) -> pd.DataFrame:
    """(user_id, timezone) of whoever is known or has a session; the shop's zone where none is told."""
    told = data.users[["user_id", "timezone"]].astype("object")
    seen = pd.DataFrame({"user_id": pd.unique(data.sessions["user_id"])}).astype("object")
    joined = pd.concat([told, seen], ignore_index=True).drop_duplicates("user_id", ignore_index=True)
    return joined.assign(timezone=joined["timezone"].fillna(data.timezone))
