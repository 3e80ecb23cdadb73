"""A small shop's events with everything the feature tables need, for tests of the feature store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import duckdb
import numpy as np
import pandas as pd

from features.calendar import local_times
from features.market import MARKET
from features.promotion import relevant_promotions
from features.tables import FEATURE_TABLES
from features.visits import create_visits
from infra.feature_store import KairosFeatureStore

START = datetime(2017, 2, 1, tzinfo=UTC)
AS_OF = datetime(2017, 5, 1, 4, tzinfo=UTC)
ZONES = ("America/New_York", "Europe/Berlin")
USERS, ITEMS, STORES = 30, 40, 4


def shop(days: int = 120) -> duckdb.DuckDBPyConnection:
    """A connection with the views events, users, items and promotions; the same on every call."""
    rng = np.random.default_rng(7)
    count = days * 40
    seconds = np.sort(rng.integers(0, days * 86_400, count))
    events = pd.DataFrame(
        {
            "event_id": [f"e{n}" for n in range(count)],
            "user_id": [f"u{n}" for n in rng.integers(0, USERS, count)],
            "item_id": [f"i{n}" for n in rng.zipf(1.4, count) % ITEMS],
            "event_type": rng.choice(["purchase", "purchase", "view", "add_to_cart"], count),
            "event_ts": pd.to_datetime(START) + pd.to_timedelta(seconds, unit="s"),
            "quantity": rng.integers(0, 4, count).astype(float),
            "amount": rng.integers(1, 900, count) / 100.0,
            "session_id": "set below",
            "store_id": [f"store{n}" for n in rng.integers(0, STORES, count)],
            "region": "unknown",
            "device": rng.choice(["ios", "android", "unknown"], count),
            "network": rng.choice(["wifi", "4g", "unknown"], count),
            "channel": rng.choice(["app", "web", "unknown"], count),
            "weather": rng.choice(["rain", "sun", "unknown"], count),
        }
    )
    # No session runs over a whole hour: one that is still open at a cut-off counts only when it ends.
    events["session_id"] = events["user_id"] + "@" + pd.Series(seconds // 3600).astype(str)
    # Two regions, told by half of the events only.
    told = rng.random(count) < 0.5
    events["region"] = np.where(
        told, "region" + (events["store_id"].str[5:].astype(int) % 2).astype(str), "unknown"
    )
    pushed = events.iloc[::50].assign(item_id=None, event_type="push_sent")
    pushed["event_type"] = np.where(np.arange(len(pushed)) % 3 == 0, "push_opened", "push_sent")
    pushed["event_id"] = "p" + pushed["event_id"]
    events = pd.concat([events, pushed], ignore_index=True)
    users = pd.DataFrame({"user_id": [f"u{n}" for n in range(USERS)]})
    users["timezone"] = [ZONES[n % 2] for n in range(USERS)]
    items = pd.DataFrame({"item_id": [f"i{n}" for n in range(ITEMS)]})
    items["category_path"] = [f"food > kind {n % 6}" for n in range(ITEMS)]
    items["available"] = [n != 5 for n in range(ITEMS)]
    starts = [START + timedelta(days=int(n)) for n in rng.integers(0, days, 200)]
    promotions = pd.DataFrame(
        {
            "item_id": [f"i{n}" for n in rng.integers(0, ITEMS, 200)],
            "category_path": None,
            "region": np.where(np.arange(200) % 5 == 0, "region1", "unknown"),
            "store_id": [f"store{n}" if n < STORES else None for n in rng.integers(0, STORES + 1, 200)],
            "starts_at": starts,
            "ends_at": [start + timedelta(days=7) for start in starts],
            "kind": rng.choice(["display", "mailer"], 200),
            "discount": np.where(rng.random(200) < 0.5, np.nan, 0.2),
        }
    )
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    for name, frame in {"events": events, "users": users, "items": items, "promotions": promotions}.items():
        con.register(f"{name}_frame", frame)
        con.execute(f"CREATE TABLE {name} AS SELECT * FROM {name}_frame")
    return con


def write_tables(store: KairosFeatureStore, con: duckdb.DuckDBPyConnection, as_of: datetime) -> None:
    """Every feature table as of `as_of`."""
    relations = {**create_visits(con), "promotions": relevant_promotions(con, as_of)}
    for table in FEATURE_TABLES:
        store.write_table(table, table.build(relations[table.source], as_of))


def entity_frame(instants: list[datetime], rows: int = 400) -> pd.DataFrame:
    """Requests at random among `instants`: known, unknown and repeated keys, in no order."""
    rng = np.random.default_rng(11)
    at = pd.to_datetime(rng.choice(instants, rows), utc=True).astype("datetime64[us, UTC]")
    item = rng.integers(0, ITEMS + 3, rows)
    local = local_times(pd.Series(at), pd.Series(rng.choice(ZONES, rows)))
    return pd.DataFrame(
        {
            "user_id": [f"u{n}" for n in rng.integers(0, USERS + 3, rows)],
            "item_id": [f"i{n}" for n in item],
            "category": [f"food > kind {n % 6}" for n in item],
            "store_id": [f"store{n}" for n in rng.integers(0, STORES + 1, rows)],
            "region": rng.choice(["region0", "region1", "region2", "unknown"], rows),
            "device": rng.choice(["ios", "android", "palm", "unknown"], rows),
            "network": rng.choice(["wifi", "4g", "5g", "unknown"], rows),
            "channel": rng.choice(["app", "web", "fax", "unknown"], rows),
            "weather": rng.choice(["rain", "sun", "hail", "unknown"], rows),
            "market": MARKET,
            "daypart": local["daypart"].to_numpy(),
            "weekday": local["local_weekday"].astype(str).to_numpy(),
            "event_timestamp": at,
            "request_epoch_seconds": at.view("int64") // 1_000_000,
            "local_day": local["local_day"].to_numpy().astype("int64"),
            "local_hour": local["local_hour"].to_numpy().astype("int64"),
            "country": rng.choice(["US", "DE", "unknown"], rows),
        }
    )
