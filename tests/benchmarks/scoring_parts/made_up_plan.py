"""A plan of any size as the planner hands it over, made of few distinct words, the same for the same seed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd

from models.plan_frames import push_id_of

PLAN_DATE = date(2026, 3, 2)
AS_OF = datetime(2026, 3, 2, 5, tzinfo=UTC)
PUBLICATION = {
    "plan_date": PLAN_DATE,
    "as_of": AS_OF,
    "model_version": "202603020500-abcd1234",
    "policy_version": "policy-0123456789ab",
}
SLOTS = np.array(["night", "morning", "midday", "afternoon", "evening", "late"], dtype=object)
ITEMS_A_PUSH = 5


@dataclass(frozen=True)
class MadeUpPlan:
    """The three frames of a plan."""

    pushes: pd.DataFrame
    items: pd.DataFrame
    suppressions: pd.DataFrame


def made_up_plan(users: int, seed: int = 7, suppressions_per_user: int = 3) -> MadeUpPlan:
    """One push a user with five items each, and three suppressions a user."""
    rng = np.random.default_rng(seed)
    ids = np.array([f"u{user:07d}" for user in range(users)], dtype=object)
    slot = rng.integers(0, 6, users)
    push_ids = [push_id_of(PLAN_DATE, user, SLOTS[of]) for user, of in zip(ids, slot, strict=True)]
    send_at = pd.Timestamp(AS_OF) + pd.to_timedelta(rng.integers(4, 19, users) * 3600, unit="s")
    words = [
        [{"code": "repurchase", "words": f"bought about every {days} days, last {days + 2} days ago"}]
        for days in range(60)
    ]
    scenes = [{"store_id": f"s{n}", "device": "unknown", "network": "unknown"} for n in range(40)]
    items = np.array([f"item-{n:05d}" for n in range(20_000)], dtype=object)
    count = users * ITEMS_A_PUSH
    of_item = rng.integers(0, len(items), count)
    pushes = pd.DataFrame(
        {
            "push_id": push_ids,
            "plan_date": PLAN_DATE,
            "user_id": ids,
            "slot": SLOTS[slot],
            "send_at": send_at,
            "expires_at": send_at + pd.Timedelta(hours=4),
            "timezone": "America/New_York",
            "scene": [scenes[n] for n in rng.integers(0, len(scenes), users)],
            "channel": "push",
            "item_id": items[of_item[::ITEMS_A_PUSH]],
            "p_engage": rng.random(users),
            "expected_value": rng.random(users),
            "propensity": 1.0,
            "reasons": [words[n] * 2 for n in rng.integers(0, len(words), users)],
            "model_version": PUBLICATION["model_version"],
            "policy_version": PUBLICATION["policy_version"],
            "experiment": None,
            "arm": None,
            "holdout": False,
        }
    )
    return MadeUpPlan(
        pushes,
        pd.DataFrame(
            {
                "push_id": np.repeat(np.array(push_ids, dtype=object), ITEMS_A_PUSH),
                "rank": np.tile(np.arange(1, ITEMS_A_PUSH + 1), users),
                "item_id": items[of_item],
                "score": rng.random(count),
                "reasons": [words[n] for n in rng.integers(0, len(words), count)],
            }
        ),
        pd.DataFrame(
            {
                "user_id": np.repeat(ids, suppressions_per_user),
                "slot": SLOTS[rng.integers(0, 6, users * suppressions_per_user)],
                "item_id": items[rng.integers(0, len(items), users * suppressions_per_user)],
                "rule": "recently_bought",
                "detail": [f"bought {n} days ago, rests {n + 3}" for n in range(suppressions_per_user)]
                * users,
            }
        ),
    )
