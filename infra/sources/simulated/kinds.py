"""The kinds of goods, with what truly moves each: its interval, price, hour, hand, week and season."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from infra.sources.simulated.chance import Doubles, Flags


class Kind(NamedTuple):
    """One kind.

    Attributes:
        path: 'a > b > c'.
        share: Of households that need it at all.
        interval_days: Between two purchases of a household that does.
        price: Of an ordinary one.
        hour, hour_pull: Local hour at which it is bought most, and how much: log-weight at that hour.
        hand: Log-weight on a phone, and the same off at a desk.
        weekend: Log-weight at weekends, and the same off on weekdays.
        month: In which it is bought most; 0: none.
        sensitive: Nothing to show on a lock screen.
    """

    path: str
    share: float
    interval_days: float
    price: float
    hour: float = 12.0
    hour_pull: float = 0.0
    hand: float = 0.0
    weekend: float = 0.0
    month: int = 0
    sensitive: bool = False


KINDS: tuple[Kind, ...] = (
    Kind("food > breakfast > bread", 0.85, 7, 2.4, 7.5, 1.0, 0.2),
    Kind("food > breakfast > cereal", 0.55, 16, 3.6, 8, 0.8),
    Kind("food > breakfast > coffee", 0.65, 18, 7.5, 7, 1.1),
    Kind("food > breakfast > jam", 0.4, 28, 3.2, 8, 0.7),
    Kind("food > fresh > fruit", 0.8, 7, 3.0, 10, 0.5),
    Kind("food > fresh > vegetables", 0.8, 7, 2.6, 17, 0.5),
    Kind("food > fresh > cheese", 0.65, 12, 4.2, 17, 0.4),
    Kind("food > fresh > meat", 0.6, 10, 8.0, 17, 0.8, 0.0, 0.2),
    Kind("food > fresh > fish", 0.35, 18, 9.5, 17, 0.7, 0.0, 0.2),
    Kind("food > dinner > pasta", 0.65, 14, 2.1, 18, 0.8),
    Kind("food > dinner > ready meals", 0.45, 10, 5.0, 18.5, 1.0, 0.3, -0.2),
    Kind("food > dinner > pizza", 0.5, 14, 4.5, 19, 1.0, 0.3, 0.3),
    Kind("food > snacks > crisps", 0.55, 12, 2.3, 21, 1.0, 0.5, 0.3),
    Kind("food > snacks > chocolate", 0.65, 12, 2.0, 15, 0.7, 0.5),
    Kind("food > snacks > ice cream", 0.45, 16, 4.0, 20, 0.9, 0.4, 0.3, 7),
    Kind("food > lunch > sandwiches", 0.35, 7, 4.2, 12, 1.3, 0.6, -0.5),
    Kind("food > lunch > salads", 0.35, 9, 5.2, 12, 1.2, 0.5, -0.4, 6),
    Kind("drinks > soft > water", 0.6, 9, 3.0, 13, 0.3),
    Kind("drinks > soft > juice", 0.5, 12, 3.2, 9, 0.6),
    Kind("drinks > soft > cola", 0.45, 11, 2.6, 20, 0.7, 0.4, 0.2),
    Kind("drinks > hot > tea", 0.4, 28, 4.0, 21, 0.6, 0.0, 0.0, 12),
    Kind("drinks > alcohol > beer", 0.4, 14, 8.5, 19, 1.1, 0.2, 0.5, 7, True),
    Kind("drinks > alcohol > wine", 0.35, 18, 9.5, 20, 1.1, -0.1, 0.5, 12, True),
    Kind("home > cleaning > laundry", 0.6, 35, 9.0, 10, 0.4, -0.3),
    Kind("home > cleaning > dishes", 0.55, 32, 5.0, 10, 0.4, -0.2),
    Kind("home > cleaning > paper", 0.7, 22, 6.5, 10, 0.3),
    Kind("home > kitchen > storage", 0.25, 90, 14.0, 20, 0.5, -0.6, 0.3),
    Kind("home > living > lamps", 0.2, 140, 39.0, 21, 0.8, -0.9, 0.4, 11),
    Kind("care > hair > shampoo", 0.6, 38, 5.5, 21, 0.5),
    Kind("care > skin > cream", 0.45, 45, 11.0, 22, 0.8, 0.2),
    Kind("care > teeth > toothpaste", 0.65, 38, 3.0, 21, 0.4),
    Kind("care > health > painkillers", 0.35, 60, 6.0, 9, 0.3, 0.0, 0.0, 2, True),
    Kind("care > health > vitamins", 0.3, 45, 12.0, 8, 0.6, -0.1, 0.0, 1),
    Kind("family > baby > nappies", 0.2, 11, 14.0, 14, 0.6, 0.4, -0.2),
    Kind("family > baby > baby food", 0.18, 8, 6.0, 14, 0.6, 0.4, -0.2),
    Kind("family > pets > dog food", 0.25, 16, 15.0, 18, 0.4),
    Kind("family > pets > cat food", 0.28, 12, 9.0, 18, 0.4),
    Kind("family > toys > games", 0.25, 75, 22.0, 20, 0.7, -0.5, 0.5, 12),
    Kind("fashion > basics > socks", 0.35, 80, 9.0, 21, 0.6, 0.2, 0.3),
    Kind("fashion > tops > shirts", 0.35, 70, 24.0, 21, 0.9, 0.3, 0.5),
    Kind("electronics > audio > headphones", 0.2, 160, 49.0, 22, 1.0, -0.8, 0.2, 11),
    Kind("electronics > power > chargers", 0.3, 120, 18.0, 11, 0.5, -0.7, -0.3),
)


class Traits:
    """The kinds' numbers as arrays, a row a kind."""

    @cached_property
    def hour_lean(self) -> Doubles:
        """Log-weight of each kind by local hour, kinds x 24; its mean over the day is 0."""
        hours = np.arange(24) + 0.5
        best = np.array([kind.hour for kind in KINDS])[:, None]
        pull = np.array([kind.hour_pull for kind in KINDS])[:, None]
        return np.asarray(pull * np.cos(2.0 * np.pi * (hours - best) / 24.0), dtype=np.float64)

    @cached_property
    def hand_lean(self) -> Doubles:
        """Log-weight of each kind on a phone; on a desktop its negative, elsewhere 0."""
        return np.array([kind.hand for kind in KINDS])

    @cached_property
    def weekend_lean(self) -> Doubles:
        """Log-weight of each kind at weekends; on weekdays its negative."""
        return np.array([kind.weekend for kind in KINDS])

    @cached_property
    def season_lean(self) -> Doubles:
        """Log-weight of each kind by month, kinds x 12."""
        month = np.array([kind.month for kind in KINDS])[:, None]
        wave = 0.4 * np.cos(2.0 * np.pi * (np.arange(1, 13) - month) / 12.0)
        return np.asarray(np.where(month > 0, wave, 0.0), dtype=np.float64)

    @cached_property
    def share(self) -> Doubles:
        """Households that need it."""
        return np.array([kind.share for kind in KINDS])

    @cached_property
    def interval_days(self) -> Doubles:
        """Between two purchases."""
        return np.array([kind.interval_days for kind in KINDS])

    @cached_property
    def sensitive(self) -> Flags:
        """Whether it is sensitive."""
        return np.array([kind.sensitive for kind in KINDS])


TRAITS = Traits()
