"""Small made-up sources in the shape of public data sets, each with the habits that a ranker can learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

_START = pd.Timestamp("2024-01-01", tz="UTC")
_WEATHER = ("sunny", "cloudy", "rainy")


def write_apps(folder: Path, *, sessions: int = 900, users: int = 60, items: int = 40, seed: int = 1) -> Path:
    """App usage: views alone, one app a session, with device and weather, no users table, no zones.

    `country`, `city` and `weather` stand where no contract column is, and must do no harm.
    """
    rng = np.random.default_rng(seed)
    user = rng.integers(0, users, sessions)
    hour = rng.choice((8, 13, 20), sessions)
    favourite = rng.integers(0, items, (users, 3))
    # Everybody has one app for the morning, one for midday, one for the evening.
    item = favourite[user, np.searchsorted((8, 13, 20), hour)]
    item = np.where(rng.random(sessions) < 0.3, rng.zipf(1.6, sessions) % items, item)
    day = rng.integers(0, 60, sessions)
    frame = pd.DataFrame(
        {
            "event_id": np.arange(sessions),
            "user_id": user,
            "item_id": item,
            "event_type": "view",
            "event_ts": _START + pd.to_timedelta(day * 24 + hour, unit="h"),
            "session_id": [f"s{number}" for number in range(sessions)],
            "device": np.where(user % 3 == 0, "tablet", "phone"),
            "region": [f"country {n % 4}" for n in user],
            "weather": rng.choice(_WEATHER, sessions),
            "city": [f"city {n % 7}" for n in user],
        }
    )
    _write(folder, "events", frame.sort_values("event_ts"))
    _write(folder, "items", pd.DataFrame({"item_id": np.arange(items)}))
    return folder


def write_films(folder: Path, *, users: int = 80, items: int = 120, days: int = 90, seed: int = 2) -> Path:
    """Film ratings: users' days without sessions or scenes, and a split that the source makes itself."""
    rng = np.random.default_rng(seed)
    genre = rng.integers(0, 6, items)
    rows = []
    for user in range(users):
        taste = rng.dirichlet(np.full(6, 0.4))
        weight = taste[genre] / (np.arange(items) + 5.0)
        film = rng.choice(items, int(rng.integers(6, 25)), replace=False, p=weight / weight.sum())
        when = np.sort(rng.integers(0, days * 4, len(film)))  # a few a day
        rows += [(f"u{user}", f"f{one}", int(moment)) for one, moment in zip(film, when, strict=True)]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "quarter"])
    frame["event_ts"] = _START + pd.to_timedelta(frame.pop("quarter") * 6, unit="h")
    frame = frame.sort_values("event_ts", ignore_index=True)
    place = np.arange(len(frame)) / len(frame)
    frame["split"] = np.select([place < 0.7, place < 0.8], ["train", "valid"], "test")
    _write(folder, "events", frame.assign(event_id=frame.index, event_type="view"))
    titles = [f"Film {number}" for number in range(items)]
    kinds = [f"genre {kind}" for kind in genre]
    listed = {"item_id": [f"f{n}" for n in range(items)], "title": titles, "category_path": kinds}
    _write(folder, "items", pd.DataFrame(listed))
    return folder


def write_shop(
    folder: Path, *, sessions: int = 1_500, users: int = 150, items: int = 80, seed: int = 3
) -> Path:
    """A web shop: views, some of them put into the cart, some of those bought; newcomers all the time."""
    rng = np.random.default_rng(seed)
    lines = []
    for session in range(sessions):
        day = 56 * session // sessions
        newest = 20 + (users - 20) * (session + 1) // sessions  # people join over time
        user = int(rng.integers(0, newest))
        seen = np.unique((rng.zipf(1.5, 5) + user * 3) % items)
        moment = _START + pd.Timedelta(days=day, hours=int(rng.integers(7, 23)), minutes=session % 60)
        for place, item in enumerate(seen):
            kinds = ("view", "add_to_cart", "purchase")[: 1 + int(rng.integers(0, 3))]
            lines += [
                (f"u{user}", f"i{item}", kind, moment + pd.Timedelta(minutes=place * 3 + step), f"s{session}")
                for step, kind in enumerate(kinds)
            ]
    frame = pd.DataFrame(lines, columns=["user_id", "item_id", "event_type", "event_ts", "session_id"])
    _write(folder, "events", frame.assign(event_id=frame.index, device="web"))
    kinds = [f"kind {n % 9}" for n in range(items)]
    listed = {"item_id": [f"i{n}" for n in range(items)], "category_path": kinds, "price": 5.0}
    _write(folder, "items", pd.DataFrame(listed))
    people = pd.DataFrame({"user_id": [f"u{n}" for n in range(users)]})
    _write(folder, "users", people.assign(timezone="Europe/Berlin", region="north"))
    return folder


def _write(folder: Path, table: str, frame: pd.DataFrame) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(folder / f"{table}.parquet", index=False)
