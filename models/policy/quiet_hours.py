"""Rule quiet_hours: a slot goes when no long enough run of its minutes lies outside the user's quiet window.

Local wall clock decides: every minute of the slot is read on the user's own clock, so gaps, folds and
windows over midnight need no special case.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.calendar import slot_ends_at, slot_send_at, utc_offsets
from models.policy.params import PolicyParams
from models.policy.rule import Rule

DAY_MINUTES = 24 * 60


def minute_of_day(text: object) -> int | None:
    """Minutes after local midnight of 'HH:MM' or 'HH:MM:SS'; None when it is not a time of day.

    Examples:
        >>> minute_of_day("21:30"), minute_of_day("8:00:00"), minute_of_day("24:10"), minute_of_day(None)
        (1290, 480, None, None)
    """
    parts = str(text).strip().split(":")
    if len(parts) not in (2, 3) or not all(part.isdigit() for part in parts):
        return None
    hour, minute = int(parts[0]), int(parts[1])
    return hour * 60 + minute if hour < 24 and minute < 60 else None


def in_quiet_window(minutes: NDArray[np.int64], start: int, end: int) -> NDArray[np.bool_]:
    """Whether each minute of the day lies in [start, end), which may wrap midnight; empty when equal.

    Examples:
        >>> in_quiet_window(np.array([0, 479, 480, 1259, 1260]), 1260, 480).tolist()
        [True, True, False, False, True]
    """
    if start <= end:
        return (minutes >= start) & (minutes < end)
    return (minutes >= start) | (minutes < end)


def send_window(
    plan_date: date, slot: str, timezone: str, quiet_start: int, quiet_end: int, min_window_minutes: int
) -> tuple[int, int] | None:
    """(epoch second to send at, epoch second to expire at): the slot's first long enough run without quiet.

    The run ends before its first quiet minute or with the slot; None when none lasts `min_window_minutes`.

    Examples:
        >>> send, ends = send_window(date(2017, 12, 4), "morning", "America/New_York", 21 * 60, 8 * 60, 30)
        >>> pd.Timestamp(send, unit="s", tz="America/New_York").isoformat(), ends - send
        ('2017-12-04T08:00:00-05:00', 7200)
        >>> send_window(date(2017, 12, 4), "late", "America/New_York", 21 * 60, 8 * 60, 30) is None
        True
    """
    opens = int(slot_send_at(plan_date, slot, timezone).timestamp())
    ends = int(slot_ends_at(plan_date, slot, timezone).timestamp())
    instants = np.arange(opens, ends, 60, dtype=np.int64)
    minutes = (instants + utc_offsets(instants, timezone)) // 60 % DAY_MINUTES
    loud = ~in_quiet_window(minutes, quiet_start, quiet_end)
    edges = np.flatnonzero(np.diff(loud, prepend=False, append=False))
    bounds = np.append(instants, ends)[edges].reshape(-1, 2)  # one row a run: its first second, its end
    lasting = bounds[bounds[:, 1] - bounds[:, 0] >= min_window_minutes * 60]
    return (int(lasting[0, 0]), int(lasting[0, 1])) if len(lasting) else None


def is_outside_quiet_hours(slots: pd.DataFrame, params: PolicyParams) -> NDArray[np.bool_]:
    """Whether each slot has a send window, and a long enough one."""
    left = slots["expires_epoch_seconds"] - slots["send_epoch_seconds"]  # nan without a send window
    return np.asarray(left >= params.min_window_minutes * 60, dtype=bool)


def _words(slots: pd.DataFrame, params: PolicyParams) -> list[str]:
    return [
        f"quiet {start // 60:02d}:{start % 60:02d}-{end // 60:02d}:{end % 60:02d} local leaves less than "
        f"{params.min_window_minutes} unbroken minutes of the {slot}"
        for start, end, slot in zip(slots["quiet_start"], slots["quiet_end"], slots["slot"], strict=True)
    ]


QUIET_HOURS = Rule(
    "quiet_hours",
    ("slot", "quiet_start", "quiet_end", "send_epoch_seconds", "expires_epoch_seconds"),
    is_outside_quiet_hours,
    _words,
)
