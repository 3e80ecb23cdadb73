"""What the rules read of a user's slots: the minute to send at, its distance to other pushes, its reach."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.policy.facts import hours_to_nearest, recent_pushes
from models.policy.params import PolicyParams
from models.policy.send_options import send_options
from models.send_time import REACH_HOURS, chance_between

Doubles = NDArray[np.float64]

_KIND = ["slot", "timezone", "quiet_start", "quiet_end", "min_window_minutes"]
_NEAR_COST, _NEVER = 2.0, -3.0  # a chance lies in 0..1: rather far than likely, rather near than never
_DIGITS = 12  # of a chance: what is equal but for the last bits must not decide


def slot_facts(
    slots: pd.DataFrame,
    users: pd.DataFrame,
    sent: NDArray[np.int64],
    as_of: datetime,
    plan_date: date,
    params: PolicyParams,
    expected: Doubles | None = None,
) -> pd.DataFrame:
    """`slots` with its user's facts, when to send, and how that lies to the user's other pushes.

    A push goes at the instant from which most sessions are expected within reach, among those from `as_of`
    on that are not quiet and, where there is one, not too near to another push; the earlier of two equal
    ones, and the first of all where nothing is expected.

    Args:
        slots: (user_code, slot, ...); `user_code` is a row number of `users`.
        users: From `user_facts`.
        sent: From `push_times`.
        expected: `arrivals` of each of `users` on the day, by local hour; None where nothing is known.

    Returns:
        ... plus send_epoch_seconds and expires_epoch_seconds (nan where quiet hours leave no time; where all
        is past, the last time there was), as_of_epoch_seconds, best_time_quiet: whether one would rather
        send in quiet hours, p_reach: P(a session starts within reach of the send), nan without `expected`,
        hours_to_nearest_push (nan without any), recent_pushes.
    """
    own = users.iloc[slots["user_code"].to_numpy()].reset_index(drop=True)
    facts = pd.concat(
        [slots.reset_index(drop=True), own.drop(columns=["push_consent", "switched_off"])], axis=1
    )
    now = as_of.timestamp()
    user = facts["user_code"].to_numpy()
    times = np.full((len(facts), 3), np.nan)  # send, expires, reach
    quiet = np.zeros(len(facts), dtype=bool)
    kind = facts.groupby(_KIND, sort=False).ngroup().to_numpy()
    rows_of = (
        np.split(np.argsort(kind, kind="stable"), np.cumsum(np.bincount(kind))[:-1]) if len(kind) else []
    )
    for rows in rows_of:
        options = send_options(plan_date, *facts.loc[rows[0], _KIND])
        if len(options.send) == 0:
            continue
        if expected is None:
            chance = np.zeros((len(rows), len(options.send)))
        else:
            ends = np.minimum(options.hour + REACH_HOURS, 24.0)
            chance = chance_between(expected[user[rows]], options.hour, ends).round(_DIGITS)
        ahead, allowed = options.send >= now, ~np.isnan(options.expires)
        possible = allowed & ahead
        if possible.any():
            near = _too_near(user[rows], options.send, sent, params)
            best = np.where(possible, chance - _NEAR_COST * near, _NEVER).argmax(axis=1)
            times[rows, 2] = chance[np.arange(len(rows)), best]
            quiet[rows] = ~allowed[np.where(ahead, chance, _NEVER).argmax(axis=1)]
        elif allowed.any():
            best = np.full(len(rows), np.flatnonzero(allowed)[-1])
        else:
            quiet[rows] = True
            continue
        times[rows, 0], times[rows, 1] = options.send[best], options.expires[best]
    facts["send_epoch_seconds"], facts["expires_epoch_seconds"] = times[:, 0], times[:, 1]
    facts["p_reach"] = np.nan if expected is None else times[:, 2]
    facts["best_time_quiet"], facts["as_of_epoch_seconds"] = quiet, now
    facts["hours_to_nearest_push"] = hours_to_nearest(user, times[:, 0], sent)
    facts["recent_pushes"] = recent_pushes(user, times[:, 0], sent, params.fatigue_half_life_days)
    return facts


def _too_near(
    users: NDArray[np.int64], instants: NDArray[np.int64], sent: NDArray[np.int64], params: PolicyParams
) -> NDArray[np.bool_]:
    """Whether each of `instants` lies within the least gap of a push to each user, users x instants."""
    if len(sent) == 0:
        return np.zeros((len(users), len(instants)), dtype=bool)
    of_user, at = np.repeat(users, len(instants)), np.tile(instants.astype(np.float64), len(users))
    near = hours_to_nearest(of_user, at, sent) < params.min_gap_hours  # nan without any: far
    return np.asarray(near.reshape(len(users), len(instants)), dtype=bool)
