"""When inside the day to send: the chance that a session starts soon after, at each time one could send.

The timing model says how likely a session is in each daypart; a user's hours say where inside it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.calendar import DAYPART_START_HOUR, DAYPARTS

Doubles = NDArray[np.float64]

REACH_HOURS = 4.0
"""A push works for so long: what starts later is not counted as its doing."""
STARTS = np.array([DAYPART_START_HOUR[name] for name in DAYPARTS], dtype=np.float64)
ENDS = np.append(STARTS[1:], 24.0)
SEND_HOURS: Doubles = np.arange(0.0, 24.0, 0.5)
"""Local hours at which one could send."""
SLOT_OF_SEND = np.searchsorted(STARTS, SEND_HOURS, side="right") - 1
"""Daypart code that each of SEND_HOURS lies in."""


def reach(p_engage: Doubles, profiles: Doubles, begin: Doubles, end: Doubles) -> Doubles:
    """P(a session starts in [begin, end)) of each row and window, rows x windows.

    Sessions arrive at a rate that the daypart's probability fixes and the profile spreads over its hours;
    within an hour the rate is even.

    Args:
        p_engage: P(a session starts in the daypart), rows x dayparts, each below 1.
        profiles: Share of sessions by local hour, rows x 24, all > 0.
        begin, end: Local hours in [0, 24], one a window.

    Examples:
        >>> p, even = np.full((1, 6), 0.5), np.full((1, 24), 1 / 24)
        >>> reach(p, even, np.array([0.0, 6.0]), np.array([6.0, 14.0])).round(2).tolist()
        [[0.5, 0.75]]
    """
    return chance_between(arrivals(p_engage, profiles), begin, end)


def arrivals(p_engage: Doubles, profiles: Doubles) -> Doubles:
    """Sessions expected by each full hour of the day, rows x 25: a running total from 0."""
    slot = np.searchsorted(STARTS, np.arange(24), side="right") - 1
    in_slot = np.stack([profiles[:, slot == part].sum(axis=1) for part in range(len(DAYPARTS))], axis=1)
    rate = -np.log1p(-p_engage)[:, slot] * profiles / in_slot[:, slot]
    return np.concatenate([np.zeros((len(rate), 1)), rate.cumsum(axis=1)], axis=1)


def chance_between(expected: Doubles, begin: Doubles, end: Doubles) -> Doubles:
    """P(a session starts in [begin, end)) of each row of `arrivals` and window of local hours."""
    return np.asarray(-np.expm1(_at(expected, begin) - _at(expected, end)), dtype=np.float64)


def _at(total: Doubles, hours: Doubles) -> Doubles:
    """Columns of a running total at fractional hours."""
    whole = np.minimum(hours.astype(np.int64), total.shape[1] - 2)
    part = hours - whole
    return np.asarray(total[:, whole] * (1 - part) + total[:, whole + 1] * part, dtype=np.float64)


def best_sends(chance: Doubles) -> tuple[Doubles, Doubles]:
    """(chance, local hour) of the best time to send in each daypart, rows x dayparts; ties: the earlier.

    Args:
        chance: rows x SEND_HOURS.
    """
    best, hour = np.zeros((len(chance), len(DAYPARTS))), np.zeros((len(chance), len(DAYPARTS)))
    for part in range(len(DAYPARTS)):
        options = np.flatnonzero(np.equal(SLOT_OF_SEND, part))
        place = options[chance[:, options].argmax(axis=1)]
        best[:, part], hour[:, part] = chance[np.arange(len(chance)), place], SEND_HOURS[place]
    return best, hour


def blended(p_engage: Doubles, profiles: Doubles, profile_share: float) -> Doubles:
    """P(a session starts in the daypart) when part of the say is the profile's, rows x dayparts.

    How likely the user comes at all that day stays the model's word; the profile, which knows the user's own
    weekday, only moves it between dayparts.

    Args:
        p_engage: The model's, rows x dayparts.
        profiles: rows x 24.
        profile_share: In [0, 1]; 0 keeps `p_engage`.

    Examples:
        >>> p, evening = np.full((1, 6), 0.1), np.zeros((1, 24))
        >>> evening[0, 18] = 1.0
        >>> blended(p, evening, 1.0).round(2).tolist()
        [[0.0, 0.0, 0.0, 0.0, 0.47, 0.0]]
    """
    rate = -np.log1p(-p_engage)
    edges = [slice(int(begin), int(end)) for begin, end in zip(STARTS, ENDS, strict=True)]
    in_slot = np.stack([profiles[:, hours].sum(axis=1) for hours in edges], axis=1)
    moved = (1 - profile_share) * rate + profile_share * rate.sum(axis=1, keepdims=True) * in_slot
    return np.asarray(-np.expm1(-moved), dtype=np.float64)
