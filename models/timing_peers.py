"""What the timing model must beat: three plain ways to say when a user will come.

Each gives P(a session starts in the daypart) from days before the row's own, so the comparison is honest.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.calendar import DAYPARTS
from models.calibration import log_losses

PEERS = ("global_shares", "most_frequent", "smoothed_histogram")
_WINDOWS_DAYS = (60, 120, 365)
_STRENGTHS_DAYS = (7.5, 15.0, 30.0, 60.0)
_DAY_BITS = 20  # local days fit below 2**20


def timing_peers(
    sessions: pd.DataFrame, rows: pd.DataFrame, window_days: int = 60, strength_days: float = 30.0
) -> pd.DataFrame:
    """(global_shares, most_frequent, smoothed_histogram) of each row, aligned with `rows`.

    global_shares: how often anyone came in the daypart, a user-day. most_frequent: the user's daily rate in
    the daypart used most (ties: the earlier one), the population's rate of everything else in the others.
    smoothed_histogram: the user's own rate over the window, shrunk to the population's as if it had been
    seen on `strength_days` more days.

    Source: Airship's published send-time method (localised opens of 60 days, shrunk to the audience's).

    Args:
        sessions: (user_id, daypart, local_day), all history.
        rows: (user_id, daypart, local_day); only sessions before a row's day count for it.
        window_days: History that counts.
        strength_days: Weight of the population, in days.
    """
    cells = sessions[["user_id", "daypart", "local_day"]].drop_duplicates()
    users = pd.Index(cells["user_id"].unique()).sort_values()
    row_user, row_day = _codes(users, rows["user_id"]), rows["local_day"].to_numpy(dtype=np.int64)
    row_part = _codes(pd.Index(DAYPARTS), rows["daypart"])
    user, day = _codes(users, cells["user_id"]), cells["local_day"].to_numpy(dtype=np.int64)
    part = _codes(pd.Index(DAYPARTS), cells["daypart"])

    first = np.full(len(users) + 1, np.iinfo(np.int32).max, dtype=np.int64)  # last: users never seen
    np.minimum.at(first, user, day)
    days_seen = np.clip(row_day - np.maximum(row_day - window_days, first[row_user]), 0, None).astype(float)
    keys = user * len(DAYPARTS) + part
    counts = np.stack(
        [
            _counts_before(keys, day, row_user * len(DAYPARTS) + code, row_day, window_days)
            for code in range(len(DAYPARTS))
        ],
        axis=1,
    )
    everyone = np.zeros((len(rows), len(DAYPARTS)))
    for day_asked in np.unique(row_day):
        seen = (day < day_asked) & (day >= day_asked - window_days)
        began = np.maximum(first[:-1], day_asked - window_days)
        user_days = max(float(np.clip(day_asked - began, 0, None).sum()), 1.0)
        everyone[row_day == day_asked] = np.bincount(part[seen], minlength=len(DAYPARTS)) / user_days
    at = (np.arange(len(rows)), row_part)
    favourite = np.where(counts.any(axis=1), counts.argmax(axis=1), everyone.argmax(axis=1))
    shrunk = (counts + strength_days * everyone) / (days_seen[:, None] + strength_days)
    own_rate = shrunk.max(axis=1)
    others = (everyone.sum(axis=1) - everyone.max(axis=1)) / (len(DAYPARTS) - 1)
    return pd.DataFrame(
        {
            "global_shares": everyone[at],
            "most_frequent": np.where(row_part == favourite, np.maximum(own_rate, others), others),
            "smoothed_histogram": shrunk[at],
        },
        index=rows.index,
    )


def tuned_histogram(sessions: pd.DataFrame, rows: pd.DataFrame) -> dict[str, Any]:
    """The window and strength with which the smoothed histogram does best; peers are tuned as we are.

    Args:
        sessions: All history.
        rows: (user_id, daypart, local_day, engaged) of validation days, and `weight` where drawn unevenly.

    Returns:
        Keywords for `timing_peers`.
    """
    labels = rows["engaged"].to_numpy(dtype=np.int64)
    weight = rows["weight"].to_numpy(dtype=float) if "weight" in rows else None
    losses = {}
    for window_days, strength_days in product(_WINDOWS_DAYS, _STRENGTHS_DAYS):
        stated = timing_peers(sessions, rows, window_days, strength_days)["smoothed_histogram"]
        losses[window_days, strength_days] = np.average(log_losses(labels, stated), weights=weight)
    window_days, strength_days = min(losses, key=lambda key: losses[key])
    return {"window_days": window_days, "strength_days": strength_days}


def _counts_before(
    keys: NDArray[np.int64],
    days: NDArray[np.int64],
    wanted: NDArray[np.int64],
    until: NDArray[np.int64],
    window_days: int,
) -> NDArray[np.int64]:
    """How many of each wanted key's days lie in [until - window, until)."""
    marks = np.sort((keys << _DAY_BITS) | days)
    low = np.maximum(until - window_days, 0)
    found = np.searchsorted(marks, (wanted << _DAY_BITS) | until) - np.searchsorted(
        marks, (wanted << _DAY_BITS) | low
    )
    return np.where(wanted >= 0, found, 0)


def _codes(index: pd.Index, values: pd.Series) -> NDArray[np.int64]:
    return index.get_indexer(pd.Index(values.to_numpy(dtype=object))).astype(np.int64)
