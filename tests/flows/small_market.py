"""A small shop with habits: each user has a daypart, a store and some favourites, so a ranker can learn."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

FIRST_DAY = date(2024, 1, 1)  # a Monday
WEEKS = 12
AS_OF = FIRST_DAY + timedelta(weeks=WEEKS)
ZONES = ("America/New_York", "Europe/Berlin")
USERS, ITEMS, STORES = 260, 90, 5
BASKETS_A_WEEK = 2
FAVOURITES, BASKET = 12, 5
HOURS = (8, 12, 18)
KINDS = 9


def write_small_market(folder: Path, seed: int = 7) -> Path:
    """`folder`, now a source of four tables (`parquet:FOLDER`); the same seed writes the same rows."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "events").mkdir(exist_ok=True)
    events = small_market_events(rng)
    events.to_parquet(folder / "events" / "part-0.parquet", index=False)
    users = pd.DataFrame({"user_id": [f"u{user:03d}" for user in range(USERS)]})
    users["timezone"] = [ZONES[user % 2] for user in range(USERS)]
    users["push_consent"] = [user % 10 != 0 for user in range(USERS)]
    users.to_parquet(folder / "users.parquet", index=False)
    items = pd.DataFrame({"item_id": [f"i{item:02d}" for item in range(ITEMS)]})
    items["title"] = [f"Article {item}" for item in range(ITEMS)]
    items["category_path"] = [f"food > kind {item % KINDS}" for item in range(ITEMS)]
    items["price"] = np.round(rng.uniform(0.5, 9.5, ITEMS), 2)
    items.to_parquet(folder / "items.parquet", index=False)
    starts = [FIRST_DAY + timedelta(weeks=int(week)) for week in rng.integers(0, WEEKS + 1, 150)]
    promotions = pd.DataFrame({"promotion_id": [f"p{number}" for number in range(len(starts))]})
    promotions["item_id"] = [f"i{item:02d}" for item in rng.integers(0, ITEMS, len(starts))]
    promotions["store_id"] = [f"s{store}" for store in rng.integers(0, STORES, len(starts))]
    promotions["starts_at"] = pd.to_datetime(starts, utc=True)
    promotions["ends_at"] = promotions["starts_at"] + pd.Timedelta(days=7)
    promotions["kind"] = "display"
    promotions.to_parquet(folder / "promotions.parquet", index=False)
    return folder


def market_settings(home: Path, market: Path) -> dict[str, str]:
    """The environment of a home that learns from the small market."""
    return {"KAIROS_HOME": str(home), "KAIROS_SOURCE": f"parquet:{market}", "KAIROS_MIN_ITEM_USERS": "5"}


def small_market_events(rng: np.random.Generator) -> pd.DataFrame:
    """EVENTS rows: purchases only, one row a basket line.

    Everybody shops up to twice a week, and what they buy depends on the hour: mornings, middays and evenings
    have kinds of their own. That is what a model that knows the time can learn and a plain frequency cannot.
    """
    popularity = 1.0 / np.arange(4, ITEMS + 4)
    of_hour = [np.flatnonzero(np.arange(ITEMS) % KINDS % len(HOURS) == part) for part in range(len(HOURS))]
    lines = []
    for user in range(USERS):
        taste = popularity * rng.exponential(size=ITEMS)
        favourites = [rng.choice(own, FAVOURITES, p=taste[own] / taste[own].sum()) for own in of_hour]
        usual, store = int(rng.integers(len(HOURS))), int(rng.integers(STORES))
        days = rng.choice(7, BASKETS_A_WEEK, replace=False)
        for week in range(WEEKS):
            for day in days[rng.random(BASKETS_A_WEEK) < 0.85]:
                part = usual if rng.random() < 0.6 else int(rng.integers(len(HOURS)))
                moment = pd.Timestamp(FIRST_DAY + timedelta(weeks=week, days=int(day)))
                moment += pd.Timedelta(hours=HOURS[part], minutes=int(rng.integers(60)))
                known = rng.random(BASKET) < 0.8
                other = rng.choice(ITEMS, BASKET, p=popularity / popularity.sum())
                basket = f"b{user}-{week}-{day}"
                bought = np.unique(np.where(known, rng.choice(favourites[part], BASKET), other))
                lines += [(basket, user, item, store, moment) for item in bought]
    frame = pd.DataFrame(lines, columns=["session_id", "user", "item", "store", "local"])
    zone = frame["user"] % 2
    moments = [
        frame.loc[zone == number, "local"].dt.tz_localize(name).dt.tz_convert("UTC")
        for number, name in enumerate(ZONES)
    ]
    item_ids = frame["item"].map("i{:02d}".format)
    return pd.DataFrame(
        {
            "event_id": frame["session_id"] + ":" + item_ids,
            "user_id": frame["user"].map("u{:03d}".format),
            "item_id": item_ids,
            "event_type": "purchase",
            "event_ts": pd.concat(moments).sort_index().astype("datetime64[us, UTC]"),
            "quantity": 1.0,
            "amount": np.round(1.0 + (frame["item"] % 7) * 0.5, 2),
            "session_id": frame["session_id"],
            "store_id": frame["store"].map("s{}".format),
            "channel": "store",
        }
    )
