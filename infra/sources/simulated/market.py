"""The market itself: its parameters with the people and goods that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from infra.sources.simulated.chance import Doubles, Flags, Longs
from infra.sources.simulated.days import is_off, month
from infra.sources.simulated.goods import Goods, liking, make_goods
from infra.sources.simulated.kinds import TRAITS
from infra.sources.simulated.params import MarketParams
from infra.sources.simulated.people import People, make_people

PHONE, DESKTOP, TABLET, STORE = range(4)
_HAND = np.array([1.0, -1.0, 0.0, 0.0])  # of a kind's lean, by what is in hand


@dataclass(frozen=True)
class Market:
    """Everything that is the same on every day."""

    params: MarketParams
    people: People
    goods: Goods

    def fit(self, kind: Longs, hour: Longs, hand: Longs) -> tuple[Doubles, Doubles]:
        """(log-weight of each kind at its hour, with what is in hand): what time and scene do to demand."""
        return TRAITS.hour_lean[kind, hour], TRAITS.hand_lean[kind] * _HAND[hand]

    def season(self, kind: Longs, user: Longs, day: Longs) -> Doubles:
        """Log-weight of each kind on each day where the user lives: weekend, month."""
        off = is_off(self.params, self.people.place[user], day)
        weekend = TRAITS.weekend_lean[kind] * np.where(off, 1.0, -0.4)
        return np.asarray(weekend + TRAITS.season_lean[kind, month(self.params, day) - 1], dtype=np.float64)

    def appeal(self, user: Longs, item: Longs) -> Doubles:
        """How much each user likes each item, about standard normal: its kind, its quality, itself."""
        kind = self.goods.kind[item]
        own = liking(self.params, user, item)
        taste = self.people.taste[user, kind]
        return np.asarray(0.7 * taste + 0.4 * self.goods.quality[item] + 0.6 * own, dtype=np.float64)


@lru_cache(maxsize=4)
def market_of(params: MarketParams) -> Market:
    """The market of these parameters, made once a process."""
    return Market(params, make_people(params), make_goods(params))


def leisure(hour: Longs, day_off: Flags) -> Doubles:
    """How much at leisure people are, -1 to 1: evenings and days off buy, commutes only look.

    Examples:
        >>> leisure(np.array([8, 20]), np.array([False, False])).round(1).tolist()
        [-1.0, 1.0]
    """
    wave = np.cos(2.0 * np.pi * (hour - 20.0) / 24.0)
    return np.asarray(np.where(day_off, 0.4 + 0.6 * wave, wave), dtype=np.float64)
