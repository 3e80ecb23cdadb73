"""A small shop whose pushes are chosen as our planner chooses them, with a known worth of any other policy.

Users are of a few kinds; each kind has its own chance that a push in a slot with an item is answered, and
each user answers more or less than their kind. The live policy's choices are epsilon-soft by the planner's
own code and logged with its propensities; the challenger knows a little better which slot and item are best.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.policy.exploration import draws, soft_choice
from models.policy.params import PolicyParams
from monitoring.experiments.off_policy import LoggedChoices

_FIRST = date(2026, 3, 2)


@dataclass(frozen=True)
class Bandit:
    """The shop.

    Attributes:
        users, days: Every user gets one push a day.
        kinds, slots, items: How many of each.
        exploration: Epsilon of slot and of item.
        seed: Of the truth, which is the same in every experiment.
    """

    users: int = 1_000
    days: int = 4
    kinds: int = 5
    slots: int = 3
    items: int = 3
    exploration: float = 0.3
    seed: int = 5
    params: PolicyParams = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", PolicyParams(exploration_share=self.exploration))

    @cached_property
    def chances(self) -> NDArray[np.float64]:
        """How likely a push is answered: kinds x slots x items, 2 to 20 %."""
        rng = np.random.default_rng(self.seed)
        return rng.uniform(0.02, 0.2, (self.kinds, self.slots, self.items))

    @cached_property
    def best(self) -> NDArray[np.int64]:
        """The challenger's (slot, item) of each kind: the truly best."""
        flat = self.chances.reshape(self.kinds, -1).argmax(axis=1)
        return np.stack(np.unravel_index(flat, (self.slots, self.items)), axis=1)

    @cached_property
    def live(self) -> NDArray[np.int64]:
        """The live policy's: right in slot or item or both, by kind."""
        wrong = np.array([[0, 0], [1, 0], [0, 1]])[np.arange(self.kinds) % 3]
        return (self.best + wrong) % np.array([self.slots, self.items])

    @property
    def truth(self) -> float:
        """Answers a push under the challenger, which does not explore; kinds are equally many."""
        return float(self.chances[np.arange(self.kinds), self.best[:, 0], self.best[:, 1]].mean())

    def log(self, rng: np.random.Generator, number: int) -> LoggedChoices:
        """The choices of one experiment, with a model of rewards that was fitted on other users."""
        return _logged(self, rng, number)


def _logged(bandit: Bandit, rng: np.random.Generator, experiment: int) -> LoggedChoices:
    kind = rng.integers(bandit.kinds, size=bandit.users)
    loyalty = np.where(rng.random(bandit.users) < 0.5, 0.4, 1.6)  # mean 1, so that the truth stays
    names = [f"{experiment}-{user}" for user in range(bandit.users)]
    rows = []
    for number in range(bandit.days):
        drawn = draws(names, _FIRST + timedelta(days=number), 0)
        counts = (bandit.slots, bandit.items)
        picked = [
            soft_choice(
                np.full(bandit.users, counts[side]), bandit.live[kind, side], drawn[:, side], bandit.params
            )
            for side in (0, 1)
        ]
        rows.append((*(choice for choice, _ in picked), picked[0][1] * picked[1][1]))
    slot, item = (np.concatenate([row[side] for row in rows]) for side in (0, 1))
    propensity = np.concatenate([row[2] for row in rows])
    unit = np.tile(np.arange(bandit.users), bandit.days)
    of_kind = kind[unit]
    reward = (rng.random(len(unit)) < bandit.chances[of_kind, slot, item] * loyalty[unit]).astype(np.float64)
    best = bandit.best[of_kind]
    model = _model(bandit, (of_kind, slot, item), reward, unit)
    return LoggedChoices(
        unit=unit,
        reward=reward,
        propensity=propensity,
        target=((slot == best[:, 0]) & (item == best[:, 1])).astype(np.float64),
        foretold=model[unit % 2, of_kind, slot, item],
        foretold_target=model[unit % 2, of_kind, best[:, 0], best[:, 1]],
    )


def _model(bandit: Bandit, cell: tuple, reward: np.ndarray, unit: np.ndarray) -> NDArray[np.float64]:
    """For each half of the users the means of the other half, shrunk to its own mean."""
    shape = (2, bandit.kinds, bandit.slots, bandit.items)
    sums, counts = np.zeros(shape), np.zeros(shape)
    half = 1 - unit % 2
    np.add.at(sums, (half, *cell), reward)
    np.add.at(counts, (half, *cell), 1.0)
    mean = sums.sum(axis=(1, 2, 3)) / counts.sum(axis=(1, 2, 3))
    return (sums + 10.0 * mean[:, None, None, None]) / (counts + 10.0)
