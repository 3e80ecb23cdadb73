"""A simulated market small enough for tests, and pushes to its people."""

from __future__ import annotations

import numpy as np
import pandas as pd

from infra.sources.simulated.days import instants
from infra.sources.simulated.event_table import item_id, user_id
from infra.sources.simulated.market import Market
from infra.sources.simulated.params import MarketParams

SMALL = MarketParams(users=240, items=120, days=56)
USERS = range(SMALL.users)


def pushes_to(
    market: Market,
    user: np.ndarray,
    item: np.ndarray,
    *,
    day: int,
    hour: int | np.ndarray = 18,
    device: str = "unknown",
    name: str = "p",
) -> pd.DataFrame:
    """A push of one item to each user at that local hour, as `answers` takes them."""
    second = np.broadcast_to(np.asarray(hour) * 3600, len(user))
    sent = instants(market.params, market.people.place[user], np.full(len(user), day), second)
    items = [item_id(int(one)) for one in item]
    return pd.DataFrame(
        {
            "push_id": [f"{name}{number}" for number in range(len(user))],
            "user_id": [user_id(int(one)) for one in user],
            "item_id": items,
            "items": [[one] for one in items],
            "send_at": pd.to_datetime(sent, unit="s", utc=True),
            "device": device,
            "channel": "app",
        }
    )
