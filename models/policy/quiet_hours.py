"""Rule quiet_hours: no push while the user wants silence; put off within its slot, or dropped.

Local wall clock decides: every minute of the slot is read on the user's own clock, so gaps, folds and
windows over midnight need no special case.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.calendar import utc_offsets
from models.policy.params import DROP, PolicyParams
from models.policy.rule import Rule

DAY_MINUTES = 24 * 60


def minute_of_day(text: object) -> int | None:
    """Minutes after local midnight of 'HH:MM' or 'HH:MM:SS'; None when it is not a time of day.

    Examples:
        >>> minute_of_day("21:30"), minute_of_day("8:00:00"), minute_of_day("24:10"), minute_of_day(None)
        (1290, 480, None, None)
        >>> minute_of_day("24:00")  # the day's end
        1440
    """
    return _minute_of(str(text))


@lru_cache(maxsize=4_096)
def _minute_of(text: str) -> int | None:
    parts = text.strip().split(":")
    if len(parts) not in (2, 3) or not all(part.isdigit() for part in parts):
        return None
    hour, minute = int(parts[0]), int(parts[1])
    total = hour * 60 + minute
    return total if minute < 60 and total <= DAY_MINUTES else None


def in_quiet_window(minutes: NDArray[np.int64], start: int, end: int) -> NDArray[np.bool_]:
    """Whether each minute of the day lies in [start, end), which may wrap midnight; empty when equal.

    Examples:
        >>> in_quiet_window(np.array([0, 479, 480, 1259, 1260]), 1260, 480).tolist()
        [True, True, False, False, True]
    """
    if start <= end:
        return (minutes >= start) & (minutes < end)
    return (minutes >= start) | (minutes < end)


def loud_runs(opens: int, ends: int, timezone: str, quiet_start: int, quiet_end: int) -> NDArray[np.int64]:
    """(first second, end) of each unbroken run of minutes outside quiet hours in [opens, ends), in order.

    Examples:
        >>> midnight = 1512345600  # 2017-12-04 00:00 UTC
        >>> ((loud_runs(midnight, midnight + 86_400, "UTC", 21 * 60, 8 * 60) - midnight) / 3600).tolist()
        [[8.0, 21.0]]
    """
    instants = np.arange(opens, ends, 60, dtype=np.int64)
    minutes = (instants + utc_offsets(instants, timezone)) // 60 % DAY_MINUTES
    loud = ~in_quiet_window(minutes, quiet_start, quiet_end)
    edges = np.flatnonzero(np.diff(loud, prepend=False, append=False))
    return np.asarray(np.append(instants, ends)[edges].reshape(-1, 2), dtype=np.int64)


def is_outside_quiet_hours(slots: pd.DataFrame, params: PolicyParams) -> NDArray[np.bool_]:
    """Whether each slot has a time to send, and, where quiet hours drop a push, whether its best time is one.

    Examples:
        >>> facts = {"expires_epoch_seconds": [np.nan, 9.0, 9.0], "best_time_quiet": [True, True, False]}
        >>> slots = pd.DataFrame(facts)
        >>> is_outside_quiet_hours(slots, PolicyParams()).tolist()
        [False, True, True]
        >>> is_outside_quiet_hours(slots, PolicyParams(quiet_action="drop")).tolist()
        [False, False, True]
    """
    sendable = slots["expires_epoch_seconds"].notna()
    if params.quiet_action == DROP:
        sendable &= ~slots["best_time_quiet"].astype(bool)
    return np.asarray(sendable, dtype=bool)


def _words(slots: pd.DataFrame, params: PolicyParams) -> list[str]:
    columns = (slots[name] for name in ("quiet_start", "quiet_end", "slot"))
    no_time = slots["expires_epoch_seconds"].isna()
    return [
        _sentence(start, end, slot, params.min_window_minutes if none else None)
        for start, end, slot, none in zip(*columns, no_time, strict=True)
    ]


@lru_cache(maxsize=4_096)
def _sentence(start: int, end: int, slot: str, lacking_minutes: int | None) -> str:
    quiet = f"{_clock(start)}-{_clock(end)} local"
    if lacking_minutes is None:
        return f"the best time of the {slot} is quiet, {quiet}, and is not put off"
    return f"quiet {quiet} leaves less than {lacking_minutes} unbroken minutes of the {slot}"


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


QUIET_HOURS = Rule(
    "quiet_hours",
    ("slot", "quiet_start", "quiet_end", "expires_epoch_seconds", "best_time_quiet"),
    is_outside_quiet_hours,
    _words,
)
