"""Baskets: what is bought and looked at on each session, and which item of its kind.

A need waits for a session that suits it, by time and by what is in hand: that is what a model can learn.
Beside needs there are whims, drawn by taste, hour, hand and season.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from infra.sources.simulated.chance import Doubles, Flags, Longs, gumbels, uniforms
from infra.sources.simulated.goods import in_stock
from infra.sources.simulated.kinds import KINDS, TRAITS
from infra.sources.simulated.market import STORE, Market
from infra.sources.simulated.needs import needs_due
from infra.sources.simulated.promotions import discounts
from infra.sources.simulated.sessions import Sessions

WAIT_DAYS = 21
"""A need that no session suited for so long is met elsewhere."""
_TRIES = 4
_WHIMS = 2
_WHIM_SHARE = 0.3
_LOOKS_MORE = 1
_APPEAL, _DISCOUNT, _PRICE, _NOISE = 1.0, 8.0, 0.5, 0.9
_WHIM_DISCOUNT = 4.0


@dataclass(frozen=True)
class Lines:
    """A row an item in a session.

    Attributes:
        session: Row of the session.
        kind, item: What.
        number: Tells the lines of a session apart, wherever they come from.
        bought: Bought, not only looked at.
        need: It meets a need; else a whim.
    """

    session: Longs
    kind: Longs
    number: Longs
    bought: Flags
    need: Flags
    item: Longs
    discount: Doubles

    def __len__(self) -> int:
        return len(self.session)

    def kept(self, rows: Flags) -> Lines:
        """These rows."""
        return Lines(*(getattr(self, name)[rows] for name in Lines.__dataclass_fields__))


def lines_of(market: Market, sessions: Sessions, users: range, days: range) -> Lines:
    """What is bought and looked at on `days`; `sessions` are those of `WAIT_DAYS` more days before them."""
    off = discounts(market.params, market.goods.kind, days)
    needs = _needs_met(market, sessions, users, days)
    now = np.flatnonzero((sessions.day >= days.start) & (sessions.day < days.stop))
    session, kind, number, bought = (
        np.concatenate(parts) for parts in zip(needs, _whims(market, sessions, now, off, days), strict=True)
    )
    need = np.arange(len(session)) < len(needs[0])
    user, day = sessions.user[session], sessions.day[session]
    item, discount = _choices(market, sessions.key[session], user, day, kind, number, off, days)
    return Lines(session, kind, number, bought, need, item, discount)


def _needs_met(
    market: Market, sessions: Sessions, users: range, days: range
) -> tuple[Longs, Longs, Longs, Flags]:
    """(session, kind, number, bought) of the needs that are met on a session of these days."""
    user, kind, number, due = needs_due(market, users, days.start - WAIT_DAYS, days.stop)
    buying = np.flatnonzero(sessions.buys)
    # One number that sorts by user and time: a moment is far below a million days.
    place = sessions.user[buying] * 1e6 + sessions.moment[buying]
    first = np.searchsorted(place, user * 1e6 + due)
    met = np.full(len(user), -1, dtype=np.int64)
    waiting = np.arange(len(user))
    for attempt in range(_TRIES):
        row = first[waiting] + attempt
        there = row < len(buying)
        waiting, row = waiting[there], buying[row[there]]
        reached = (sessions.user[row] == user[waiting]) & (sessions.moment[row] < due[waiting] + WAIT_DAYS)
        waiting, row = waiting[reached], row[reached]
        chance = np.ones(len(waiting))
        if attempt < _TRIES - 1:
            by_hour, by_hand = market.fit(kind[waiting], sessions.hour[row], sessions.hand[row])
            chance = np.exp(np.minimum(by_hour + by_hand, 1.0) - 1.0)
        takes = (
            uniforms(market.params.seed, "takes", user[waiting], kind[waiting], number[waiting], attempt)
            < chance
        )
        met[waiting[takes]] = row[takes]
        waiting = waiting[~takes]
    # Two needs of a kind that meet in one session are bought at once.
    once = np.zeros(len(user), dtype=bool)
    once[np.unique(met * len(KINDS) + kind, return_index=True)[1]] = True
    now = once & (met >= 0)
    now[now] = (sessions.day[met[now]] >= days.start) & (sessions.day[met[now]] < days.stop)
    return met[now], kind[now], kind[now], np.ones(int(now.sum()), dtype=bool)


def _whims(
    market: Market, sessions: Sessions, rows: Longs, off: Doubles, days: range
) -> tuple[Longs, Longs, Longs, Flags]:
    """(session, kind, number, bought) of what nobody needed: bought on a whim, or only looked at."""
    seed, key = market.params.seed, sessions.key[rows]
    user, day = sessions.user[rows], sessions.day[rows]
    kinds = np.arange(len(KINDS))
    by_hour, by_hand = market.fit(kinds[None, :], sessions.hour[rows][:, None], sessions.hand[rows][:, None])
    lean = 1.5 * by_hour + 1.5 * by_hand + np.log(TRAITS.share) + 0.8 * market.people.taste[user]
    best = np.stack([off[:, :, market.goods.kind == one].max(axis=2) for one in kinds], axis=2)
    lean = lean + _WHIM_DISCOUNT * best[day - days.start, market.people.store[user]]
    flat = np.tile(kinds, len(rows)), np.repeat(user, len(KINDS)), np.repeat(day, len(KINDS))
    weight = np.exp(lean + market.season(*flat).reshape(lean.shape)).cumsum(axis=1)
    found = []
    for number in range(_WHIMS + _LOOKS_MORE):
        bought = np.full(len(rows), number < _WHIMS) & sessions.buys[rows]
        likely = np.where(bought, _WHIM_SHARE, np.where(sessions.hand[rows] == STORE, 0.0, 0.5))
        happens = uniforms(seed, "whim", key, number) < likely
        at = uniforms(seed, "whim of", key, number) * weight[:, -1]
        kind = np.minimum((weight < at[:, None]).sum(axis=1), len(KINDS) - 1)
        told = np.full(len(rows), len(KINDS) + number)
        found.append([one[happens] for one in (rows, kind, told, bought)])
    session, kind, number_of, bought = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return session, kind, number_of, bought


def _choices(
    market: Market,
    key: Longs,
    user: Longs,
    day: Longs,
    kind: Longs,
    number: Longs,
    off: Doubles,
    days: range,
) -> tuple[Longs, Doubles]:
    """(item, its discount) of each line: what its user likes best of the kind that day, with some chance."""
    params, goods = market.params, market.goods
    item, discount = np.empty(len(user), dtype=np.int64), np.zeros(len(user))
    for one in range(len(KINDS)):
        rows = np.flatnonzero(kind == one)
        offered = np.flatnonzero(goods.kind == one)
        who, which = user[rows][:, None], offered[None, :]
        cheaper = off[(day[rows] - days.start)[:, None], market.people.store[user[rows]][:, None], which]
        worth = (
            _APPEAL * market.appeal(who, which)
            + _DISCOUNT * cheaper
            - _PRICE * market.people.thrift[who] * np.log(goods.price[which])
            + _NOISE * gumbels(params.seed, "choice", key[rows][:, None], number[rows][:, None], which)
        )
        there = goods.sold(which, day[rows][:, None]) & in_stock(params, which, day[rows][:, None])
        # Two of each kind always last; should both have run out, the first is found after all.
        best = np.where(there, worth, -np.inf).argmax(axis=1)
        item[rows], discount[rows] = offered[best], cheaper[np.arange(len(rows)), best]
    return item, discount
