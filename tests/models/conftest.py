"""Small random markets for the tests of retrieval and evaluation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.interaction_log import InteractionLog

DAY = 86_400
DAYPARTS = ("night", "morning", "midday", "afternoon", "evening", "late")


def random_interactions(seed: int = 0, n_users: int = 9, n_items: int = 14, n_days: int = 60) -> pd.DataFrame:
    """Purchases of a UTC market, one row per basket line, in shuffled order."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(n_users):
        for session, day in enumerate(np.sort(rng.integers(0, n_days, 12))):
            second = int(day) * DAY + int(rng.integers(0, DAY))
            for item in rng.choice(n_items, size=int(rng.integers(1, 6)), replace=False):
                rows.append((f"u{user}", f"i{item:02d}", second, f"s{user}-{session}", f"m{user % 3}"))
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "epoch_seconds", "session_id", "store_id"])
    hour = frame["epoch_seconds"] % DAY // 3600
    return frame.assign(
        category="c" + (frame["item_id"].str[1:].astype(int) % 4).astype(str),
        event_type="purchase",
        local_day=frame["epoch_seconds"] // DAY,
        local_weekday=(frame["epoch_seconds"] // DAY + 3) % 7,
        local_midnight_epoch_seconds=frame["epoch_seconds"] // DAY * DAY,
        daypart=pd.cut(hour, [-1, 5, 9, 13, 16, 20, 23], labels=DAYPARTS).astype(str),
    ).sample(frac=1, random_state=seed, ignore_index=True)


@pytest.fixture
def market() -> pd.DataFrame:
    """A random market of 9 users, 14 items and 60 days."""
    return random_interactions()


@pytest.fixture
def market_log(market: pd.DataFrame) -> InteractionLog:
    """The log of `market`."""
    return InteractionLog.from_frame(market)


@pytest.fixture
def market_queries(market: pd.DataFrame) -> pd.DataFrame:
    """One query per user on day 45 or later, its models fitted on day 42, and one by a stranger."""
    users = sorted(market["user_id"].unique())
    n = len(users) + 1
    return pd.DataFrame(
        {
            "query_id": np.arange(n) + 100,
            "user_id": [*users, "stranger"],
            "store_id": [f"m{place % 4}" for place in range(n)],  # m3 is a store never seen
            "daypart": [DAYPARTS[place % 6] for place in range(n)],
            "weekday": 0,
            "local_day": 45 + np.arange(n) % 4,
            "cutoff_epoch_seconds": (45 + np.arange(n) % 4) * DAY,
            "fit_epoch_seconds": 42 * DAY,
            "split": "test",
            "n_items": 3,
        }
    )
