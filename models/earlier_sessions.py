"""Which of a user's sessions were known at a moment: pairs of a row and each session before its cut-off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from models.vocabulary import Longs

_PAIRS_AT_ONCE = 4_000_000  # (row, earlier session) pairs in flight: about 200 MB


@dataclass(frozen=True)
class EarlierSessions:
    """Pairs of a row and one of its user's sessions before the row's cut-off.

    Attributes:
        row: Position of the row.
        session: Position of the session.
        age_days: Local days from the session to the row, >= 0.
    """

    row: Longs
    session: Longs
    age_days: Longs


def earlier_sessions(sessions: pd.DataFrame, rows: pd.DataFrame) -> Iterator[EarlierSessions]:
    """All such pairs, ordered by row, some million at a time; no row is split over two blocks.

    Args:
        sessions: (user_id, local_day, epoch_seconds), ordered by user_id and epoch_seconds.
        rows: (user_id, local_day, cutoff_epoch_seconds).
    """
    users = pd.Index(pd.unique(sessions["user_id"].to_numpy(dtype=object)))
    of_session = users.get_indexer(pd.Index(sessions["user_id"].to_numpy(dtype=object))).astype(np.int64)
    of_row = users.get_indexer(pd.Index(rows["user_id"].to_numpy(dtype=object))).astype(np.int64)
    time, day = (sessions[name].to_numpy(dtype=np.int64) for name in ("epoch_seconds", "local_day"))
    start = int(time.min(initial=0))
    span = int(time.max(initial=0)) - start + 2
    key = of_session * span + (time - start)
    until = np.clip(rows["cutoff_epoch_seconds"].to_numpy(dtype=np.int64) - start, 0, span - 1)
    begin = np.searchsorted(key, np.maximum(of_row, 0) * span)
    end = np.searchsorted(key, np.maximum(of_row, 0) * span + until)
    length = np.where(of_row < 0, 0, end - begin)
    total = np.cumsum(length)
    row_day = rows["local_day"].to_numpy(dtype=np.int64)
    first = 0
    while first < len(rows):
        done = int(total[first - 1]) if first else 0
        last = max(int(np.searchsorted(total, done + _PAIRS_AT_ONCE, side="right")), first + 1)
        size = length[first:last]
        row = np.repeat(np.arange(first, last), size)
        offset = begin[first:last] - (np.cumsum(size) - size)
        session = np.arange(len(row)) + np.repeat(offset, size)
        yield EarlierSessions(row, session, np.maximum(row_day[row] - day[session], 0))
        first = last
