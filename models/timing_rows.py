"""What the timing model learns from: did the user start a session in this part of this day?"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.calendar import DAYPARTS, local_midnight
from features.scenes import PASSING_PARTS, SCENE_PARTS, UNKNOWN

TIMING_COLUMNS = (
    "user_id",
    *SCENE_PARTS,
    "daypart",
    "weekday",
    "local_day",
    "cutoff_epoch_seconds",
    "engaged",
)
_EPOCH = date(1970, 1, 1)


def timing_rows(
    sessions: pd.DataFrame,
    users: pd.DataFrame,
    days: Iterable[int],
    max_user_days: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """One row per user, local day and daypart, with and without a session, in that order.

    A user's days count from the day after the first session on: earlier ones are not observed, and the first
    day is known only because something happened. Row order of the inputs is irrelevant.

    Args:
        sessions: (user_id, daypart, local_day, epoch_seconds, scene parts), one row a session; an absent
            part is 'unknown'.
        users: (user_id, timezone), IANA zone of each user.
        days: Local days, in days since 1970-01-01.
        max_user_days: Sample so many user-days at most, evenly; None keeps all.
        seed: Of the sample.

    Returns:
        (user_id, *SCENE_PARTS, daypart, weekday 0 = Monday, local_day, cutoff_epoch_seconds, engaged 0 or 1).
        The cut-off is 00:00 local of the day; the scene is that of the user's last session before it.

    Examples:
        >>> visit = {"user_id": "u1", "store_id": "s1", "daypart": "evening"}
        >>> visits = pd.DataFrame([{**visit, "local_day": day, "epoch_seconds": 0} for day in (10, 12)])
        >>> rows = timing_rows(visits, pd.DataFrame({"user_id": ["u1"], "timezone": ["UTC"]}), [10, 11, 12])
        >>> len(rows), rows.loc[rows["engaged"] == 1, ["daypart", "local_day"]].to_numpy().tolist()
        (12, [['evening', 12]])
    """
    distinct = np.unique(np.fromiter(days, dtype=np.int64))
    grid = with_last_scene(_user_days(sessions, users, distinct, max_user_days, seed), sessions)
    grid["cutoff_epoch_seconds"] = _midnights(grid)
    grid["weekday"] = (grid["local_day"] + 3) % 7  # 1970-01-01 was a Thursday
    rows = grid.loc[grid.index.repeat(len(DAYPARTS))].reset_index(drop=True)
    rows["daypart"] = np.tile(np.array(DAYPARTS, dtype=object), len(grid))
    started = pd.MultiIndex.from_frame(sessions[["user_id", "local_day", "daypart"]])
    asked = pd.MultiIndex.from_frame(rows[["user_id", "local_day", "daypart"]])
    rows["engaged"] = asked.isin(started).astype(np.int64)
    return rows[list(TIMING_COLUMNS)]


def _user_days(
    sessions: pd.DataFrame,
    users: pd.DataFrame,
    days: NDArray[np.int64],
    most: int | None,
    seed: int,
) -> pd.DataFrame:
    """(user_id, timezone, local_day) of every observed user-day, or a draw of them, by user and day."""
    first = sessions.groupby("user_id")["local_day"].min()
    known = (
        users[["user_id", "timezone"]].drop_duplicates("user_id").sort_values("user_id", ignore_index=True)
    )
    known = known[known["user_id"].isin(first.index)].reset_index(drop=True)
    start = known["user_id"].map(first).to_numpy(dtype=np.int64)
    user, day = np.nonzero(days[None, :] > start[:, None])
    if most is not None and len(user) > most:
        kept = np.sort(np.random.default_rng(seed).choice(len(user), most, replace=False))
        user, day = user[kept], day[kept]
    return known.iloc[user].assign(local_day=days[day]).reset_index(drop=True)


def with_last_scene(grid: pd.DataFrame, sessions: pd.DataFrame) -> pd.DataFrame:
    """`grid` with the scene parts of each user's last session before the row's day, but those that pass.

    Args:
        grid: (user_id, local_day, ...).
        sessions: As in `timing_rows`.
    """
    told = [part for part in SCENE_PARTS if part in sessions and part not in PASSING_PARTS]
    last = sessions.sort_values(["user_id", "local_day", "epoch_seconds", *told])
    last = last.drop_duplicates(["user_id", "local_day"], keep="last")
    joined = pd.merge_asof(
        grid.reset_index(drop=True).reset_index().sort_values("local_day", kind="stable"),
        last[["user_id", "local_day", *told]].sort_values("local_day", kind="stable"),
        on="local_day",
        by="user_id",
        allow_exact_matches=False,
    )
    joined = joined.sort_values("index").drop(columns="index").reset_index(drop=True)
    for part in SCENE_PARTS:
        known = joined[part].astype(object) if part in told else pd.Series(None, joined.index, dtype=object)
        joined[part] = known.where(known.notna(), UNKNOWN)
    return joined


def _midnights(grid: pd.DataFrame) -> pd.Series:
    pairs = grid[["timezone", "local_day"]].drop_duplicates()
    starts = [
        int(local_midnight(_EPOCH + timedelta(days=int(day)), zone).timestamp())
        for zone, day in zip(pairs["timezone"], pairs["local_day"], strict=True)
    ]
    return grid[["timezone", "local_day"]].merge(pairs.assign(start=starts), how="left")["start"]
