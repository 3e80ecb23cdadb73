"""Users of a canary are those whom chance chose, whoever planned for them, from its first push on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd

from flows.guardrails import since_canary
from flows.planners import trial_users
from infra.rollout_store import Rollout

BEGAN = datetime(2026, 3, 2, tzinfo=UTC)
ROLLOUT = Rollout(1, "m2", "m1", "canary=3d@0.5", "canary", BEGAN, BEGAN, None, None, "")


def pushes(hours: list[int], versions: list[str], users: list[str]) -> pd.DataFrame:
    sent_at = [pd.Timestamp(BEGAN + timedelta(hours=hour)) for hour in hours]
    return pd.DataFrame({"user_id": users, "sent_at": sent_at, "model_version": versions})


def test_users_are_told_apart_by_chance_and_nothing_before_the_canary_counts() -> None:
    users = [f"u{number}" for number in range(200)]
    ours = trial_users(ROLLOUT).holds(users)
    before = pushes([1] * 200, ["m1"] * 200, users)
    first = pushes([24], ["m2"], [users[ours.argmax()]])
    after = pushes([25] * 200, ["m1"] * 200, users)  # the champion planned for all that night
    found = since_canary(pd.concat([before, first, after], ignore_index=True), ROLLOUT)
    assert len(found) == 201
    assert set(found.loc[found["model_version"] == "m2", "user_id"]) == {
        user for user, mine in zip(users, ours, strict=True) if mine
    }


def test_a_canary_that_has_sent_nothing_tells_nothing() -> None:
    assert since_canary(pushes([1], ["m1"], ["u1"]), ROLLOUT).empty
