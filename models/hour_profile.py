"""At which hour of the day a user comes, as of each row's own cut-off: decayed, by weekday, shrunk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.earlier_sessions import earlier_sessions
from models.interaction_log import InteractionLog
from models.vocabulary import Longs

Doubles = NDArray[np.float64]
HOURS = 24


@dataclass(frozen=True)
class HourProfileParams:
    """How a profile is made.

    Attributes:
        half_life_days: Days until a session's weight halves.
        weekday_weight: How much more a session on the row's own weekday counts; 0 takes all alike.
        prior_sessions: How many sessions everybody's hours weigh as much as.
    """

    half_life_days: float = 90.0
    weekday_weight: float = 2.0
    prior_sessions: float = 8.0


def hour_profiles(
    sessions: pd.DataFrame, rows: pd.DataFrame, params: HourProfileParams | None = None
) -> Doubles:
    """Each row's share of sessions by local hour, rows x 24, each row summing to 1.

    A user never seen has everybody's hours. Only sessions before a row's cut-off count for it.

    Args:
        sessions: (user_id, local_day, local_hour, epoch_seconds), all history.
        rows: (user_id, local_day, cutoff_epoch_seconds), one row a user-day.
        params: How a profile is made.

    Examples:
        >>> visit = {"user_id": "u1", "local_day": 10, "local_hour": 18, "epoch_seconds": 900_000}
        >>> row = {"user_id": "u1", "local_day": 12, "cutoff_epoch_seconds": 1_036_800}
        >>> int(hour_profiles(pd.DataFrame([visit]), pd.DataFrame([row])).argmax())
        18
    """
    params = params or HourProfileParams()
    sessions = sessions.sort_values(["user_id", "epoch_seconds", "local_hour"], ignore_index=True)
    hour = sessions["local_hour"].to_numpy(dtype=np.int64)
    counts = np.zeros((len(rows), HOURS))
    for pairs in earlier_sessions(sessions, rows):
        weight = np.exp2(-pairs.age_days / params.half_life_days)
        weight = weight * (1.0 + params.weekday_weight * (pairs.age_days % 7 == 0))
        cell = pairs.row * HOURS + hour[pairs.session]
        counts += np.bincount(cell, weights=weight, minlength=counts.size).reshape(counts.shape)
    return shrunk(counts, population_shares(sessions, rows, hour, HOURS), params.prior_sessions)


def basket_sessions(log: InteractionLog) -> pd.DataFrame:
    """Every basket of what is offered: (user_id, daypart, local_day, local_hour, epoch_seconds).

    A trip for what is never offered says nothing of when to offer something.
    """
    rows = np.flatnonzero(log.weight == log.weight.max(initial=0.0))
    _, first = np.unique(log.basket[rows], return_index=True)
    rows = rows[first]
    hour = (log.time[rows] - log.midnight[rows]) // 3600
    return pd.DataFrame(
        {
            "user_id": log.users.decode(log.user[rows]),
            "daypart": log.dayparts.decode(log.daypart[rows]),
            "local_day": log.local_day[rows].astype(np.int64),
            "local_hour": np.minimum(hour, 23).astype(np.int64),
            "epoch_seconds": log.time[rows],
        }
    )


def shrunk(counts: Doubles, prior: Doubles, strength: float) -> Doubles:
    """Shares of each row's counts, as if `strength` more had fallen as `prior` says.

    Examples:
        >>> shrunk(np.array([[1.0, 0.0]]), np.array([0.5, 0.5]), 1.0).tolist()
        [[0.75, 0.25]]
    """
    return np.asarray((counts + strength * prior) / (counts.sum(axis=1, keepdims=True) + strength))


def population_shares(sessions: pd.DataFrame, rows: pd.DataFrame, code: Longs, width: int) -> Doubles:
    """Everybody's share of each code, rows x width: sessions on local days before the row's own.

    Before anybody has come all shares are equal.

    Args:
        sessions: (local_day, epoch_seconds); `code` is one entry a session, 0 .. width - 1.
        rows: (local_day, cutoff_epoch_seconds); each local day counts what the earliest of its rows' cut-offs
            knows, so that nobody learns from a day that another zone has already begun.
    """
    earliest = rows.groupby("local_day")["cutoff_epoch_seconds"].min()
    cuts = np.unique(earliest.to_numpy(dtype=np.int64))
    since = np.searchsorted(cuts, sessions["epoch_seconds"].to_numpy(dtype=np.int64), side="right")
    counts = np.bincount(since * width + code, minlength=(len(cuts) + 1) * width).reshape(-1, width)
    known = counts.cumsum(axis=0)[:-1] + 1e-9
    at = np.searchsorted(cuts, rows["local_day"].map(earliest).to_numpy(dtype=np.int64))
    return np.asarray((known / known.sum(axis=1, keepdims=True))[at], dtype=np.float64)
