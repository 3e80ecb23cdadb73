"""What the rules read of a user's slots: the minute to send at, its distance to other pushes, its reach."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.calendar import DAYPARTS
from models.policy.columns import Columns, Level, columns_of
from models.policy.facts import hours_to_nearest, recent_pushes
from models.policy.params import PolicyParams
from models.policy.send_options import send_options
from models.send_time import REACH_HOURS, chance_between

Doubles = NDArray[np.float64]
Longs = NDArray[np.int64]

_KIND = ["timezone", "quiet_start", "quiet_end", "min_window_minutes"]
_NEAR_COST, _NEVER = 2.0, -3.0  # a chance lies in 0..1: rather far than likely, rather near than never
_DIGITS = 12  # of a chance: what is equal but for the last bits must not decide


def slot_facts(
    user_code: Longs,
    slot_order: Longs,
    users: pd.DataFrame,
    sent: Longs,
    as_of: datetime,
    plan_date: date,
    params: PolicyParams,
    expected: Doubles | None = None,
) -> Columns:
    """The slots with their users' facts, when to send, and how that lies to the user's other pushes.

    A push goes at the instant from which most sessions are expected within reach, among those from `as_of`
    on that are not quiet and, where there is one, not too near to another push; the earlier of two equal
    ones, and the first of all where nothing is expected.

    Args:
        user_code, slot_order: Of each slot its row number in `users` and its place in `DAYPARTS`.
        users: From `user_facts`.
        sent: From `push_times`.
        expected: `arrivals` of each of `users` on the day, by local hour; None where nothing is known.

    Returns:
        (user_code, slot_order, slot, send_epoch_seconds and expires_epoch_seconds (nan where quiet hours
        leave no time; where all is past, the last time there was), as_of_epoch_seconds, best_time_quiet:
        whether one would rather send in quiet hours, p_reach: P(a session starts within reach of the send),
        nan without `expected`, hours_to_nearest_push (nan without any), recent_pushes), beside the user's.
    """
    now = as_of.timestamp()
    times = np.full((len(user_code), 3), np.nan)  # send, expires, reach
    quiet = np.zeros(len(user_code), dtype=bool)
    for rows in _rows_of_each_kind(users, user_code, slot_order):
        zone, *minutes = users[_KIND].iloc[user_code[rows[0]]].tolist()
        options = send_options(plan_date, DAYPARTS[slot_order[rows[0]]], zone, *minutes)
        if len(options.send) == 0:
            continue
        own = user_code[rows]
        if expected is None:
            chance = np.zeros((len(rows), len(options.send)))
        else:
            ends = np.minimum(options.hour + REACH_HOURS, 24.0)
            chance = chance_between(expected[own], options.hour, ends).round(_DIGITS)
        ahead, allowed = options.send >= now, ~np.isnan(options.expires)
        possible = allowed & ahead
        if possible.any():
            near = _too_near(own, options.send, sent, params)
            best = np.where(possible, chance - _NEAR_COST * near, _NEVER).argmax(axis=1)
            times[rows, 2] = chance[np.arange(len(rows)), best]
            quiet[rows] = ~allowed[np.where(ahead, chance, _NEVER).argmax(axis=1)]
        elif allowed.any():
            best = np.full(len(rows), np.flatnonzero(allowed)[-1])
        else:
            quiet[rows] = True
            continue
        times[rows, 0], times[rows, 1] = options.send[best], options.expires[best]
    return Columns(
        len(user_code),
        {
            "user_code": user_code,
            "slot_order": slot_order,
            "send_epoch_seconds": times[:, 0],
            "expires_epoch_seconds": times[:, 1],
            "p_reach": np.full(len(user_code), np.nan) if expected is None else times[:, 2],
            "best_time_quiet": quiet,
            "as_of_epoch_seconds": np.full(len(user_code), now),
            "hours_to_nearest_push": hours_to_nearest(user_code, times[:, 0], sent),
            "recent_pushes": recent_pushes(user_code, times[:, 0], sent, params.fatigue_half_life_days),
        },
        (
            Level(slot_order, {"slot": np.array(DAYPARTS, dtype=object)}),
            Level(user_code, columns_of(users)),
        ),
    )


def _rows_of_each_kind(users: pd.DataFrame, user_code: Longs, slot_order: Longs) -> list[Longs]:
    """Rows that share their daypart, zone and quiet hours, and with them the instants to choose from."""
    if len(user_code) == 0:
        return []
    of_user = users.groupby(_KIND, sort=False).ngroup().to_numpy().astype(np.int64)
    kind = of_user[user_code] * len(DAYPARTS) + slot_order
    order = np.argsort(kind, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(kind[order])) + 1)


def _too_near(users: Longs, instants: Longs, sent: Longs, params: PolicyParams) -> NDArray[np.bool_]:
    """Whether each of `instants` lies within the least gap of a push to each user, users x instants."""
    if len(sent) == 0:
        return np.zeros((len(users), len(instants)), dtype=bool)
    of_user, at = np.repeat(users, len(instants)), np.tile(instants.astype(np.float64), len(users))
    near = hours_to_nearest(of_user, at, sent) < params.min_gap_hours  # nan without any: far
    return np.asarray(near.reshape(len(users), len(instants)), dtype=bool)
