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
FAVOURITES, BASKET = 9, 5
HOURS = (8, 12, 15, 18)


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
    items["category_path"] = [f"food > kind {item % 9}" for item in range(ITEMS)]
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


def small_market_events(rng: np.random.Generator) -> pd.DataFrame:
    """EVENTS rows: purchases only, one row a basket line, two baskets of five a user and week."""
    popularity = 1.0 / np.arange(2, ITEMS + 2)
    popularity /= popularity.sum()
    lines = []
    for user in range(USERS):
        favourites = rng.choice(ITEMS, FAVOURITES, replace=False, p=popularity)
        hour, store = int(rng.choice(HOURS)), int(rng.integers(STORES))
        days = rng.choice(7, BASKETS_A_WEEK, replace=False)
        for week in range(WEEKS):
            for day in days:
                moment = pd.Timestamp(FIRST_DAY + timedelta(weeks=week, days=int(day)))
                moment += pd.Timedelta(hours=hour, minutes=int(rng.integers(60)))
                known = rng.random(BASKET) < 0.8
                bought = np.where(
                    known, rng.choice(favourites, BASKET), rng.choice(ITEMS, BASKET, p=popularity)
                )
                basket = f"b{user}-{week}-{day}"
                lines += [(basket, user, item, store, moment) for item in np.unique(bought)]
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
