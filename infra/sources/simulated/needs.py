"""Needs: when each household runs out of what it uses, at intervals of its own.

The k-th need of a user for a kind falls due at `(k + phase + jitter) * interval`, so any day's needs are
found without the days before it. What pushes sold satisfies a need: that is for those who ask to take off.
"""

from __future__ import annotations

import numpy as np

from infra.sources.simulated.chance import Doubles, Longs, uniforms
from infra.sources.simulated.kinds import KINDS
from infra.sources.simulated.market import Market

_JITTER = 0.3  # of an interval to either side: needs stay in order


def needs_due(
    market: Market, users: range, first: float, until: float
) -> tuple[Longs, Longs, Longs, Doubles]:
    """(user, kind, number, moment) of every need that falls due in [first, until), in local days."""
    interval = market.people.interval_days[users.start : users.stop]
    user, kind = np.nonzero(np.isfinite(interval))
    every = interval[user, kind]
    user = user + users.start
    lowest = np.floor(first / every - 2).astype(np.int64)
    count = np.ceil(until / every).astype(np.int64) - lowest + 1
    row = np.repeat(np.arange(len(user)), count)
    number = lowest[row] + np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    due = _due(market, user[row], kind[row], number)
    kept = (due >= first) & (due < until)
    row = row[kept]
    return user[row], kind[row], number[kept], due[kept]


def pressure(market: Market, user: Longs, kind: Longs, moment: Doubles) -> Doubles:
    """How much of the way to the next need has passed at each moment, 0 to 1; 0 for what is never needed.

    Examples:
        >>> from infra.sources.simulated.market import market_of
        >>> from infra.sources.simulated.params import MarketParams
        >>> market, one = market_of(MarketParams(users=10, items=100)), np.zeros(2, dtype=np.int64)
        >>> early, late = pressure(market, one, one, np.array([50.0, 50.1]))
        >>> bool(early <= late or late == 0.0)
        True
    """
    every = market.people.interval_days[user, kind]
    needed = np.isfinite(every)
    every = np.where(needed, every, 1.0)
    number = np.floor(moment / every).astype(np.int64) - 2
    before, after = np.full(len(moment), -np.inf), np.full(len(moment), np.inf)
    for step in range(4):
        due = _due(market, user, kind, number + step, every)
        before = np.where(due <= moment, np.maximum(before, due), before)
        after = np.where(due > moment, np.minimum(after, due), after)
    return np.asarray(np.where(needed, (moment - before) / (after - before), 0.0), dtype=np.float64)


def _due(market: Market, user: Longs, kind: Longs, number: Longs, every: Doubles | None = None) -> Doubles:
    seed = market.params.seed
    every = market.people.interval_days[user, kind] if every is None else every
    phase = uniforms(seed, "phase", user, kind)
    jitter = _JITTER * (2.0 * uniforms(seed, "due", user, kind, number) - 1.0)
    return np.asarray((number + phase + jitter) * every, dtype=np.float64)


def code_of(user: Longs, kind: Longs) -> Longs:
    """A number for each user and kind."""
    return user * len(KINDS) + kind
