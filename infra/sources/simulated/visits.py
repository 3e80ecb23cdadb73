"""What people do without being pushed: EVENTS rows of any days and users, whatever others are asked for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from infra.sources.simulated.baskets import WAIT_DAYS, Lines, lines_of
from infra.sources.simulated.chance import Doubles, Longs, uniforms
from infra.sources.simulated.defects import with_defects
from infra.sources.simulated.event_table import TYPE_CODE, event_table
from infra.sources.simulated.market import STORE, Market
from infra.sources.simulated.memory import PushMemory
from infra.sources.simulated.sessions import Sessions, sessions_of

_EVENTS_A_SESSION = 256
_FIRST_LINE, _A_LINE = 2, 3
_LINE_SECONDS, _CHECKOUT_SECONDS = 45, 60
_VIEWS, _CARTS, _LEAVES_CART, _SEARCHES = 0.75, 0.85, 0.08, 0.35


def visits(market: Market, users: range, days: range, memory: PushMemory) -> pa.Table:
    """EVENTS rows, and when each arrives, of these users' sessions on these of their own days.

    Args:
        market: Who and what there is.
        users: Numbers of users.
        days: Counted from the market's first one.
        memory: What pushes left behind: what they sold is not bought again at once.
    """
    sessions = sessions_of(market, users, range(days.start - WAIT_DAYS, days.stop))
    lines = lines_of(market, sessions, users, days)
    session = lines.session
    sold = memory.has_sold(market, sessions.user[session], lines.kind, sessions.instant[session])
    lines = lines.kept(~(lines.need & sold))
    now = np.flatnonzero((sessions.day >= days.start) & (sessions.day < days.stop))
    rows = pd.concat([*_arrivals(market, sessions, now, lines), *_of_lines(market, sessions, lines)])
    return with_defects(market, event_table(market, rows.sort_values("event_id", ignore_index=True)))


def order_lines(market: Market, item: Longs, discount: Doubles, chance: Doubles) -> tuple[Doubles, Doubles]:
    """(pieces, what is paid for them) of each line bought."""
    quantity = np.select([chance > 0.95, chance > 0.8], [3.0, 2.0], 1.0)
    return quantity, np.round(market.goods.price[item] * (1.0 - discount) * quantity, 2)


def _arrivals(market: Market, sessions: Sessions, now: Longs, lines: Lines) -> list[pd.DataFrame]:
    """Openings of the app or the site, and searches for the first thing that comes to mind."""
    online = now[sessions.hand[now] != STORE]
    first_kind = np.full(len(sessions), -1, dtype=np.int64)
    first_kind[lines.session[::-1]] = lines.kind[::-1]
    asks = uniforms(market.params.seed, "searches", sessions.key[online]) < _SEARCHES
    asking = online[asks & (first_kind[online] >= 0)]
    return [
        _rows(sessions, online, 0, "app_open", 0.0),
        _rows(sessions, asking, 1, "search", 12.0).assign(query=first_kind[asking]),
    ]


def _of_lines(market: Market, sessions: Sessions, lines: Lines) -> list[pd.DataFrame]:
    """Views, carts and purchases of each line."""
    seed, session = market.params.seed, lines.session
    key = sessions.key[session]
    place = pd.Series(session).groupby(session).cumcount().to_numpy()
    count = np.bincount(session, minlength=len(sessions))
    begins = 25.0 + _LINE_SECONDS * place + 20.0 * uniforms(seed, "dwells", key, lines.number)
    pays = 25.0 + _LINE_SECONDS * count[session] + _CHECKOUT_SECONDS
    online = sessions.hand[session] != STORE
    views = uniforms(seed, "views", key, lines.number) < np.where(lines.bought, _VIEWS, 1.0)
    carts = uniforms(seed, "carts", key, lines.number) < np.where(lines.bought, _CARTS, _LEAVES_CART)
    pieces = uniforms(seed, "pieces", key, lines.number)
    quantity, amount = order_lines(market, lines.item, lines.discount, pieces)
    found = []
    for step, (name, happens, seconds) in enumerate(
        (
            ("view", online & views, begins),
            ("add_to_cart", online & carts, begins + 15.0),
            ("purchase", lines.bought, pays),
        )
    ):
        number = _FIRST_LINE + _A_LINE * lines.number[happens] + step
        one = _rows(sessions, session[happens], number, name, seconds[happens])
        one["item"] = lines.item[happens]
        if name == "purchase":
            one["quantity"], one["amount"] = quantity[happens], amount[happens]
        found.append(one)
    return found


def _rows(
    sessions: Sessions, session: Longs, number: Longs | int, event_type: str, seconds: Doubles | float
) -> pd.DataFrame:
    """An event a row of `session`, so many seconds after it begins."""
    key = sessions.key[session]
    return pd.DataFrame(
        {
            "event_id": key * _EVENTS_A_SESSION + number,
            "user": sessions.user[session],
            "item": -1,
            "type": TYPE_CODE[event_type],
            "seconds": sessions.instant[session] + seconds,
            "quantity": np.nan,
            "amount": np.nan,
            "session_id": key,
            "query": -1,
            "hand": sessions.hand[session],
            "cellular": sessions.cellular[session],
            "push_id": None,
            "channel": None,
        }
    )
