"""What pushes left behind: who was pushed when, who has left, what was sold. It is read off events alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from infra.sources.simulated.chance import Doubles, Flags, Longs
from infra.sources.simulated.days import whole_seconds
from infra.sources.simulated.event_table import numbers_of
from infra.sources.simulated.kinds import KINDS
from infra.sources.simulated.market import Market
from infra.sources.simulated.needs import code_of
from infra.sources.simulated.params import MOST_USERS

_DAY = 86_400.0
_APART = 10**10  # seconds: farther than any two instants


@dataclass(frozen=True)
class PushMemory:
    """Arrays of what happened, each sorted by whom it concerns and when.

    Attributes:
        pushed: user * `_APART` + instant of each push delivered.
        left: Instant at which each user opted out or complained, inf for those who have not.
        sold: code of user and kind * `_APART` + instant of each purchase that a push caused.
    """

    pushed: Longs
    left: Doubles
    sold: Longs

    @classmethod
    def empty(cls, market: Market) -> PushMemory:
        """Nobody was pushed yet."""
        nothing = np.zeros(0, dtype=np.int64)
        return cls(nothing, np.full(len(market.people), np.inf), nothing)

    def with_events(self, market: Market, events: pd.DataFrame) -> PushMemory:
        """This, and what EVENTS rows with a push_id tell."""
        told = events[events["push_id"].notna()].drop_duplicates("event_id")
        user = numbers_of(told["user_id"], len(market.people))
        seconds = whole_seconds(told["event_ts"])
        kind_of_event = told["event_type"].to_numpy(dtype=object)
        known = user >= 0
        delivered = known & (kind_of_event == "push_delivered")
        gone = known & np.isin(kind_of_event, ("opt_out", "complaint"))
        left = self.left.copy()
        np.minimum.at(left, user[gone], seconds[gone])
        item = numbers_of(told["item_id"], len(market.goods))
        bought = known & (item >= 0) & (kind_of_event == "purchase")
        code = code_of(user[bought], market.goods.kind[item[bought]])
        return PushMemory(
            np.sort(np.concatenate([self.pushed, user[delivered] * _APART + seconds[delivered]])),
            left,
            np.sort(np.concatenate([self.sold, code * _APART + seconds[bought]])),
        )

    def has_left(self, user: Longs, seconds: Longs) -> Flags:
        """Whether each user had opted out or complained by then."""
        return np.asarray(self.left[user] <= seconds, dtype=bool)

    def recent(self, market: Market, user: Longs, seconds: Longs) -> Doubles:
        """Pushes of late: each counts half after `fatigue_half_life_days`."""
        half_life = market.params.truth.fatigue_half_life_days * _DAY
        first = np.searchsorted(self.pushed, user * _APART)
        last = np.searchsorted(self.pushed, user * _APART + seconds)
        total = np.zeros(len(user))
        for back in range(int((last - first).max(initial=0))):
            place = last - 1 - back
            there = place >= first
            age = (user * _APART + seconds)[there] - self.pushed[place[there]]
            total[there] += 0.5 ** (age / half_life)
            if (age > 20 * half_life).all():
                break
        return total

    def has_sold(self, market: Market, user: Longs, kind: Longs, seconds: Longs) -> Flags:
        """Whether a push sold each kind to each user so lately that it is not needed yet."""
        if len(self.sold) == 0:
            return np.zeros(len(user), dtype=bool)
        code = code_of(user, kind) * _APART
        place = np.searchsorted(self.sold, code + seconds) - 1
        last = self.sold[np.maximum(place, 0)]
        same = (place >= 0) & (last >= code)
        every = market.people.interval_days[user, kind]
        rests = market.params.truth.satisfied_share * np.where(np.isfinite(every), every, 0.0) * _DAY
        return np.asarray(same & (code + seconds - last < rests), dtype=bool)


assert len(KINDS) * MOST_USERS * _APART < 2**63
