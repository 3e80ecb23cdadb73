"""A small shop in DuckDB, for the tests of feature tables."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import duckdb
import numpy as np
import pandas as pd
import pytest

START = datetime(2017, 3, 1, tzinfo=UTC)
EVENT_DEFAULTS = {
    "item_id": "i0",
    "event_type": "purchase",
    "quantity": 1.0,
    "amount": 1.0,
    "session_id": None,
    "store_id": "unknown",
    "region": "unknown",
    "device": "unknown",
    "network": "unknown",
    "channel": "unknown",
    "weather": "unknown",
}
NO_USERS = pd.DataFrame({"user_id": ["nobody"], "timezone": ["UTC"]})
NO_ITEMS = pd.DataFrame({"item_id": ["nothing"], "category_path": ["none"], "available": [True]})
NO_PROMOTIONS = pd.DataFrame(
    {
        "item_id": ["nothing"],
        "category_path": ["none"],
        "region": ["nowhere"],
        "store_id": ["nowhere"],
        "starts_at": [START],
        "ends_at": [START],
        "kind": ["none"],
        "discount": [0.0],
    }
).iloc[:0]

OpenShop = Callable[..., duckdb.DuckDBPyConnection]


@pytest.fixture(scope="session")
def open_shop() -> OpenShop:
    """Opens a connection with the views events, users, items and promotions over the frames given."""

    def opened(
        events: pd.DataFrame,
        users: pd.DataFrame = NO_USERS,
        items: pd.DataFrame = NO_ITEMS,
        promotions: pd.DataFrame = NO_PROMOTIONS,
    ) -> duckdb.DuckDBPyConnection:
        filled = events.assign(
            event_id=[f"e{n}" for n in range(len(events))],
            **{name: value for name, value in EVENT_DEFAULTS.items() if name not in events},
        )
        filled["session_id"] = filled["session_id"].astype("string")
        frames = {"events": filled, "users": users, "items": items, "promotions": promotions}
        connection = duckdb.connect()
        connection.execute("SET TimeZone = 'UTC'")
        for name, frame in frames.items():
            connection.register(f"{name}_frame", frame)
            connection.execute(f"CREATE TABLE {name} AS SELECT * FROM {name}_frame")
        return connection

    return opened


@pytest.fixture
def random_shop() -> dict[str, pd.DataFrame]:
    """Forty days with long sessions, events without session, views, hidden and unknown items."""
    return _random_shop()


@pytest.fixture(scope="session")
def told_shop() -> dict[str, pd.DataFrame]:
    """The random shop with scenes, pushes and promotions of every kind; nobody changes these frames."""
    shop = _random_shop()
    rng = np.random.default_rng(5)
    events, promotions = shop["events"], shop["promotions"]
    count = len(events)
    events["region"] = np.where(rng.random(count) < 0.3, "unknown", "r" + events["store_id"].str[1:])
    for part, values in {
        "device": ["ios", "android", "unknown"],
        "network": ["wifi", "cellular", "unknown"],
        "channel": ["app", "web", "unknown"],
        "weather": ["rain", "sun", "unknown"],
    }.items():
        events[part] = rng.choice(values, count)
    pushes = events.iloc[::4].assign(session_id=None)
    pushes["event_type"] = rng.choice(["push_sent", "push_opened", "push_dismissed"], len(pushes))
    shop["events"] = pd.concat([events, pushes], ignore_index=True)
    scope = np.arange(len(promotions)) % 4  # of a store, a region, everywhere, a category
    text = promotions.astype({"item_id": object, "store_id": object})
    text["region"] = np.where(scope == 1, "r1", None)
    text["category_path"] = np.where(scope == 3, "kind 2", None)
    text.loc[scope > 0, "store_id"] = None
    text.loc[scope == 3, "item_id"] = None
    shop["promotions"] = text
    return shop


def _random_shop() -> dict[str, pd.DataFrame]:
    """Forty days with long sessions, events without session, views, hidden and unknown items."""
    rng = np.random.default_rng(3)
    count = 1_500
    second = np.sort(rng.integers(0, 40 * 86_400, count))
    user = rng.integers(0, 12, count)
    events = pd.DataFrame(
        {
            "user_id": [f"u{n}" for n in user],
            "item_id": [f"i{n}" for n in rng.integers(0, 15, count)],
            "event_type": rng.choice(["purchase", "view", "add_to_cart", "search"], count),
            "event_ts": pd.to_datetime(START) + pd.to_timedelta(second, unit="s"),
            "quantity": rng.integers(0, 4, count).astype(float),
            "amount": rng.integers(1, 900, count) / 100.0,
            # A session of five hours spans the grid's hours; every fifth event tells none.
            "session_id": np.where(
                second % 5 == 0, None, [f"{u}@{s // 18_000}" for u, s in zip(user, second, strict=True)]
            ),
            "store_id": [f"s{n}" for n in rng.integers(0, 3, count)],
        }
    )
    users = pd.DataFrame({"user_id": [f"u{n}" for n in range(12)]})
    users["timezone"] = [("America/New_York", "Europe/Berlin", "unknown")[n % 3] for n in range(12)]
    items = pd.DataFrame({"item_id": [f"i{n}" for n in range(14)]})  # i14 is not in the catalogue
    items["category_path"] = [f"kind {n % 4}" for n in range(14)]
    items["available"] = [n != 5 for n in range(14)]
    starts = pd.to_datetime(START) + pd.to_timedelta(rng.integers(0, 50, 90), unit="D")
    promotions = pd.DataFrame(
        {
            "item_id": [f"i{n}" for n in rng.integers(0, 15, 90)],
            "store_id": rng.choice(["s0", "s1", "s2", "unknown"], 90),
            "starts_at": starts,
            "ends_at": starts + pd.Timedelta(days=7),
            "kind": rng.choice(["display", "mailer"], 90),
            "discount": np.where(rng.random(90) < 0.5, np.nan, 0.2),
        }
    )
    return {"events": events, "users": users, "items": items, "promotions": promotions}
