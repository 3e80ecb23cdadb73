"""The plain plan that the joint decision must beat, tuned on validation as ours is: the favourite daypart."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.calendar import DAYPARTS
from models.earlier_sessions import earlier_sessions
from models.hour_profile import population_shares
from models.interaction_log import InteractionLog
from models.send_time import REACH_HOURS, SEND_HOURS, SLOT_OF_SEND
from models.timing_fallback import dayparts_of
from models.vocabulary import Ints, Longs

Doubles = NDArray[np.float64]


def favourite_dayparts(sessions: pd.DataFrame, rows: pd.DataFrame, half_life_days: float = np.inf) -> Longs:
    """The daypart each user has come in most often before the row's cut-off, as a code.

    Ties go to the earlier one; a user never seen gets everybody's favourite.

    Args:
        sessions: (user_id, daypart, local_day, epoch_seconds), all history.
        rows: (user_id, local_day, cutoff_epoch_seconds).
        half_life_days: Days until a session's weight halves; infinite counts all alike.
    """
    sessions = sessions.sort_values(["user_id", "epoch_seconds", "daypart"], ignore_index=True)
    part = dayparts_of(sessions["daypart"])
    counts = np.zeros((len(rows), len(DAYPARTS)))
    for pairs in earlier_sessions(sessions, rows):
        cell = pairs.row * len(DAYPARTS) + part[pairs.session]
        weight = np.exp2(-pairs.age_days / half_life_days)
        counts += np.bincount(cell, weights=weight, minlength=counts.size).reshape(counts.shape)
    everybody = population_shares(sessions, rows, part, len(DAYPARTS))
    favourite = np.where(counts.any(axis=1), counts.argmax(axis=1), everybody.argmax(axis=1))
    return np.asarray(favourite, dtype=np.int64)


def reached(send_hour: Doubles, user_day: Longs, hour: Doubles) -> NDArray[np.bool_]:
    """Whether a basket starts in the REACH_HOURS after the push, one entry a user-day.

    Args:
        send_hour: Local hour of each user-day's push.
        user_day, hour: Of each basket.
    """
    found = np.zeros(len(send_hour), dtype=bool)
    sent = send_hour[user_day]
    found[user_day[(sent <= hour) & (hour < sent + REACH_HOURS)]] = True
    return found


def best_fixed_sends(slot: Longs, user_day: Longs, hour: Doubles) -> Doubles:
    """For each daypart the hour at which pushes in it would have reached most; ties: the earlier.

    Args:
        slot: Daypart of each validation user-day's push.
        user_day, hour: Of each basket.
    """
    best = np.zeros(len(DAYPARTS))
    for part in range(len(DAYPARTS)):
        asked = slot == part
        options = SEND_HOURS[np.flatnonzero(np.equal(SLOT_OF_SEND, part))]
        shares = [(reached(np.full(len(slot), option), user_day, hour) & asked).sum() for option in options]
        best[part] = options[int(np.argmax(shares))]
    return best


def popular_items(log: InteractionLog, count: int, half_life_days: float = 30.0) -> Ints:
    """Codes of what everybody bought most lately, best first."""
    weight = np.bincount(
        log.item, weights=log.weight * np.exp2(-log.age_days / half_life_days), minlength=log.n_items
    )
    return np.argsort(-weight, kind="stable")[:count].astype(np.int32)
