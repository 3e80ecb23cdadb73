"""Controlled exploration: now and then a choice falls by chance, and how likely it was is on record.

Every choice is epsilon-soft: with probability `exploration_share` it falls evenly on one of the options that
policy allows (the best among them), else on the best. What was chosen has the probability that is logged, so
that outcomes can be weighed by its inverse: nothing that policy stops is ever tried.

Source: Horvitz and Thompson (1952); Sutton and Barto (2018), section 2.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray

from models.policy.params import PolicyParams

Doubles = NDArray[np.float64]


def draws(users: Sequence[str], plan_date: date, push_of_day: int) -> Doubles:
    """Two numbers in [0, 1) a user, for slot and item: the same for the same user, date and push of the day.

    Examples:
        >>> first, again = (draws(["u1"], date(2017, 12, 4), 0) for _ in range(2))
        >>> bool((first == again).all()), bool((first == draws(["u1"], date(2017, 12, 5), 0)).any())
        (True, False)
    """
    drawn = np.empty((len(users), 2), dtype=np.uint64)
    for row, user in enumerate(users):
        seed = f"kairos|explore|{plan_date.isoformat()}|{push_of_day}|{user}".encode()
        drawn[row] = np.frombuffer(hashlib.sha256(seed).digest()[:16], dtype="<u8")
    return np.asarray((drawn >> np.uint64(11)) / 2.0**53, dtype=np.float64)


def soft_choice(
    options: NDArray[np.int64], best: NDArray[np.int64], draw: Doubles, params: PolicyParams
) -> tuple[NDArray[np.int64], Doubles]:
    """(what each row chooses, how likely that choice was).

    Args:
        options: How many each row has, at least 1; they are 0 .. options - 1.
        best: The best of them.
        draw: In [0, 1).

    Examples:
        >>> params = PolicyParams(exploration_share=0.5)
        >>> tried = soft_choice(np.array([2, 2, 2]), np.array([1, 1, 1]), np.array([0.1, 0.4, 0.9]), params)
        >>> [part.tolist() for part in tried]
        [[0, 1, 1], [0.25, 0.75, 0.75]]
    """
    share = params.exploration_share
    by_chance = draw < share
    even = np.divide(draw, share, out=np.zeros_like(draw), where=by_chance)  # what is drawn lies below share
    place = np.minimum(even * options, options - 1).astype(np.int64)
    chosen = np.where(by_chance, place, best)
    likely = share / options + np.where(chosen == best, 1.0 - share, 0.0)
    return chosen, likely
