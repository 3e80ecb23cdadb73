"""Small push plans for tests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd

PLAN_DATE = date(2017, 12, 4)
PUBLICATION = {
    "plan_date": PLAN_DATE,
    "as_of": datetime(2017, 12, 4, 5, tzinfo=UTC),
    "model_version": "model-1",
    "policy_version": "policy-1",
}


@dataclass(frozen=True)
class Plan:
    """The three frames of a plan."""

    pushes: pd.DataFrame
    items: pd.DataFrame
    suppressions: pd.DataFrame


def small_plan(users: int = 20, score: float = 0.5, suppressions: int = 30) -> Plan:
    """A plan of one push a user with two items each; another `score` is another plan."""
    send_at = pd.Timestamp("2017-12-04T15:00Z")
    ids = np.arange(users)
    pushes = pd.DataFrame(
        {
            "push_id": [f"push-{i}" for i in ids],
            "plan_date": PLAN_DATE,
            "user_id": [f"user-{i}" for i in ids],
            "slot": "midday",
            "send_at": send_at,
            "expires_at": send_at + pd.Timedelta(hours=4),
            "timezone": "America/New_York",
            "scene": [{"store_id": str(i % 3), "device": "unknown"} for i in ids],
            "channel": "push",
            "item_id": [f"item-{i % 7}" for i in ids],
            "p_engage": np.linspace(0.1, 0.9, users),
            "expected_value": score,
            "propensity": 1.0,
            "reasons": [[{"code": "repurchase", "words": 'bought "often",\nand lately'}] for _ in ids],
            "model_version": "model-1",
            "policy_version": "policy-1",
            "experiment": None,
            "arm": None,
            "holdout": False,
        }
    )
    items = pd.DataFrame(
        {
            "push_id": np.repeat(pushes["push_id"].to_numpy(), 2),
            "rank": np.tile([1, 2], users),
            "item_id": [f"item-{i % 7}" for i in range(2 * users)],
            "score": score,
            "reasons": [[] for _ in range(2 * users)],
        }
    )
    stopped = np.arange(suppressions)
    slots = np.array(["night", "evening", None], dtype=object)
    return Plan(
        pushes,
        items,
        pd.DataFrame(
            {
                "user_id": [f"user-{i % users if users else i}" for i in stopped],
                "slot": slots[stopped % 3],
                "item_id": [None if i % 2 else f"item-{i}" for i in stopped],
                "rule": "below_value",
                "detail": [f"expected value 0.00{i}" for i in stopped],
            }
        ),
    )
