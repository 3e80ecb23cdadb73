"""Numbers become EVENTS rows: names for users, items, scenes and kinds of events."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.contracts import EVENT_TYPES
from features.scenes import UNKNOWN
from infra.sources.simulated.chance import Flags, Longs
from infra.sources.simulated.kinds import KINDS
from infra.sources.simulated.market import PHONE, STORE, Market
from infra.sources.simulated.places import PLACES, STORES

ARRIVES = "arrives_at"
"""When a row reaches the platform: what comes later than the market's today is not told yet."""
TYPE_CODE = {name: code for code, name in enumerate(EVENT_TYPES)}
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("event_id", "user_id", "item_id", "event_type")),
        ("event_ts", pa.timestamp("us", "UTC")),
        *((name, pa.float64()) for name in ("quantity", "amount")),
        *((name, pa.string()) for name in ("session_id", "query", "device", "network", "region")),
        *((name, pa.string()) for name in ("store_id", "channel", "push_id")),
        (ARRIVES, pa.timestamp("us", "UTC")),
    ]
)
_QUERIES = pa.array([kind.path.rpartition(" > ")[2] for kind in KINDS])
_DEVICES = ("ios", "android", "desktop", "tablet", UNKNOWN)
_CHANNELS = ("app", "web", "app", "store")
_NETWORKS = ("wifi", "cellular", UNKNOWN)


def user_id(user: int) -> str:
    """A user's name.

    Examples:
        >>> user_id(42), item_id(7)
        ('u000042', 'i00007')
    """
    return f"u{user:06d}"


def item_id(item: int) -> str:
    """An item's name."""
    return f"i{item:05d}"


def numbers_of(names: pd.Series, bound: int) -> Longs:
    """The number behind each user's or item's name, -1 for a name of nobody here.

    Examples:
        >>> numbers_of(pd.Series(["u000042", "u000099", "x", None]), 50).tolist()
        [42, -1, -1, -1]
    """
    digits = names.astype("string").str.extract(r"^[ui](\d{5,6})$")[0]
    number = pd.to_numeric(digits, errors="coerce").fillna(-1).to_numpy(dtype=np.int64)
    return np.where(number < bound, number, -1)


def event_table(market: Market, rows: pd.DataFrame) -> pa.Table:
    """`SCHEMA` rows.

    Args:
        market: Whose people and goods the numbers are.
        rows: (event_id, user, item, type, seconds, quantity, amount, session_id, query, hand, cellular,
            push_id, channel), one row an event; -1 and null stand for none, and a null channel for the one of
            what is in hand.
    """
    user, hand = rows["user"].to_numpy(), rows["hand"].to_numpy()
    people, place = market.people, market.people.place[user]
    phone = np.where(people.apple[user], 0, 1)
    device = np.where(hand == PHONE, phone, hand + 1)
    network = np.where(hand == STORE, 2, rows["cellular"].to_numpy(dtype=np.int64))
    instant = pa.array(np.rint(rows["seconds"].to_numpy() * 1e6).astype(np.int64)).cast(SCHEMA.field(4).type)
    channel = pa.array(rows["channel"], pa.string(), from_pandas=True)
    columns: dict[str, Any] = {
        "event_id": _text(rows["event_id"]),
        "user_id": _named(user, [user_id(one) for one in range(len(people))]),
        "item_id": _named(rows["item"].to_numpy(), [item_id(one) for one in range(len(market.goods))]),
        "event_type": _named(rows["type"].to_numpy(), EVENT_TYPES),
        "event_ts": instant,
        "quantity": pa.array(rows["quantity"], pa.float64(), from_pandas=True),
        "amount": pa.array(rows["amount"], pa.float64(), from_pandas=True),
        "session_id": _text(rows["session_id"]),
        "query": _named(rows["query"].to_numpy(), _QUERIES),
        "device": _named(device, _DEVICES),
        "network": _named(network, _NETWORKS),
        "region": _named(place, [one.region for one in PLACES]),
        "store_id": _named(people.store[user], STORES),
        "channel": pc.coalesce(channel, _named(hand, _CHANNELS)),
        "push_id": pa.array(rows["push_id"], pa.string(), from_pandas=True),
        ARRIVES: instant,
    }
    return pa.table(columns, SCHEMA)


def known_by(table: pa.Table, seconds: float) -> Flags:
    """Whether each row happened and arrived before this instant."""
    bound = round(seconds * 1e6)
    times = [table[name].cast(pa.int64()).to_numpy() for name in ("event_ts", ARRIVES)]
    return np.asarray((times[0] < bound) & (times[1] < bound))


def _named(codes: Longs, names: Any) -> pa.Array:
    """Names by code, null below 0."""
    listed = names if isinstance(names, pa.Array) else pa.array(list(names), pa.string())
    return listed.take(pa.array(codes, pa.int64(), mask=codes < 0))


def _text(values: pd.Series) -> pa.Array:
    """Whole numbers or text as text; -1 is null."""
    if values.dtype == np.int64:
        return pa.array(values, pa.int64(), mask=values.to_numpy() < 0).cast(pa.string())
    return pa.array(values, pa.string(), from_pandas=True)
