"""Sessions: who comes when, from where, with what in hand, and whether to buy or to look."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from infra.sources.simulated.chance import Doubles, Flags, Longs, drawn, uniforms
from infra.sources.simulated.days import busyness, instants, is_off
from infra.sources.simulated.market import STORE, Market, leisure

A_DAY = 2
"""Sessions that a user can have in a day."""
_BEFORE = 64  # days that may be asked for before the first one
_STORES_OPEN = (9, 20)


@dataclass(frozen=True)
class Sessions:
    """A row a session, arrays of one length, by user and time.

    Attributes:
        user: Number of the user.
        day: Of the user's own calendar, counted from the market's first one.
        number: 0 or 1 within the day: not in order of time.
        second: Of the local day.
        day_off: Whether the user works that day.
        hand: PHONE, DESKTOP, TABLET or STORE.
        cellular: On a mobile network.
        buys: Means to buy.
        instant: UTC epoch seconds at which it begins.
    """

    user: Longs
    day: Longs
    number: Longs
    second: Longs
    day_off: Flags
    hand: Longs
    cellular: Flags
    buys: Flags
    instant: Longs

    def __len__(self) -> int:
        return len(self.user)

    @property
    def hour(self) -> Longs:
        """Local hour."""
        return self.second // 3600

    @property
    def moment(self) -> Doubles:
        """Local days since the market's first midnight."""
        return np.asarray(self.day + self.second / 86_400.0, dtype=np.float64)

    @property
    def key(self) -> Longs:
        """A number for each session, no two alike."""
        return (self.user << 13 | self.day + _BEFORE) * A_DAY + self.number


def sessions_of(market: Market, users: range, days: range) -> Sessions:
    """The sessions of these users on these of their own days, whatever others are asked for."""
    params, people, seed = market.params, market.people, market.params.seed
    whole = np.arange(users.start, users.stop), np.arange(days.start, days.stop), np.arange(A_DAY)
    user, day, number = (one.ravel() for one in np.meshgrid(*whole, indexing="ij"))
    here = day >= people.signup_day[user]
    user, day, number = user[here], day[here], number[here]
    place = people.place[user]
    expected = people.visits_a_day[user] * busyness(params, place, day) / A_DAY
    comes = uniforms(seed, "comes", user, day, number) < 1.0 - np.exp(-expected)
    user, day, number, place = user[comes], day[comes], number[comes], place[comes]
    off = is_off(params, place, day)
    hour = drawn(people.rhythm[user, off.astype(np.int64)], uniforms(seed, "hour", user, day, number))
    second = hour * 3600 + (uniforms(seed, "second", user, day, number) * 3600).astype(np.int64)
    hand = drawn(people.in_hand(user, hour, off), uniforms(seed, "hand", user, day, number))
    goes = uniforms(seed, "goes", user, day, number) < people.in_store[user]
    hand = np.where(goes & (hour >= _STORES_OPEN[0]) & (hour < _STORES_OPEN[1]), STORE, hand)
    moving = ~off & (((hour >= 6) & (hour < 9)) | ((hour >= 16) & (hour < 19)))
    cellular = uniforms(seed, "network", user, day, number) < np.where(moving, 0.75, 0.2)
    means = params.buys * np.exp(0.35 * (leisure(hour, off) - 1.0))
    buys = (hand == STORE) | (uniforms(seed, "buys", user, day, number) < means)
    found = Sessions(
        user, day, number, second, off, hand, cellular, buys, instants(params, place, day, second)
    )
    return taken(found, np.lexsort((number, second, day, user)))


def taken(sessions: Sessions, rows: Longs | Flags) -> Sessions:
    """These rows of the sessions."""
    return Sessions(*(getattr(sessions, name)[rows] for name in Sessions.__dataclass_fields__))
