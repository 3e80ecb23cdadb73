"""Arms on plan rows: who is in none, who stays unsent, and what chance each choice had."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from features.errors import UsageError
from models.experiments.allocation import Allocation, ArmUsers, with_arms
from models.experiments.assignment import in_global_holdout
from models.experiments.split import Arm, Split
from models.plan_frames import Plan

USERS = np.array([f"u{number}" for number in range(4_000)], dtype=object)
SPRING = Split("spring", "push", 0.0, 0.4, (Arm("control", 0.5), Arm("choosy", 0.5, policy="{}")))
QUIET = Split("quiet", "push", 0.4, 0.6, (Arm("control", 0.75), Arm("silence", 0.25, is_sent=False)))
BOTH = Allocation((SPRING, QUIET), holdout_share=0.1)


def plan_of(users: np.ndarray) -> Plan:
    pushes = pd.DataFrame({"user_id": users, "plan_date": date(2026, 3, 2), "propensity": 0.8})
    pushes = pushes.assign(experiment=None, arm=None, holdout=False)
    return Plan(pushes, pd.DataFrame(), pd.DataFrame(), {"pushes": len(pushes)})


def test_every_push_says_its_arm_and_what_is_to_stay_unsent_does():
    planned = with_arms(plan_of(USERS), BOTH)
    rows = planned.pushes
    held = in_global_holdout(USERS, 0.1)
    assert (rows["arm"].eq("holdout") & rows["experiment"].isna()).to_numpy().tolist() == held.tolist()
    assert rows["holdout"].tolist() == (held | rows["arm"].eq("silence")).tolist()
    chance = {"control": (0.5, 0.75), "choosy": (0.5,), "silence": (0.25,), "holdout": (1.0,)}
    for arm, propensities in chance.items():
        found = set((rows.loc[rows["arm"] == arm, "propensity"] / 0.8).round(9))
        assert found == set(propensities), arm
    outside = rows[rows["arm"].isna()]
    assert set(outside["propensity"]) == {0.8} and not outside["holdout"].any()
    share = rows.groupby("experiment").size() / (~held).sum()
    assert share["spring"] == pytest.approx(0.4, abs=0.03) and share["quiet"] == pytest.approx(0.2, abs=0.03)
    assert planned.summary["pushes_of_spring"] == (rows["experiment"] == "spring").sum()
    assert planned.summary["pushes_unsent"] == rows["holdout"].sum()


def test_a_user_is_where_the_hash_says_whoever_else_is_asked_about():
    whole = BOTH.of(USERS)
    for part in (USERS[::-1], USERS[:7], USERS[[3, 3, 5]], USERS[:0]):
        places = pd.Index(USERS).get_indexer(part)
        pd.testing.assert_frame_equal(BOTH.of(part), whole.iloc[places].reset_index(drop=True))
    told = BOTH.assigned(USERS, "quiet").set_index("unit_id")
    assert told["arm"].to_dict() == dict(
        zip(USERS[whole["experiment"] == "quiet"], whole["arm"][whole["experiment"] == "quiet"], strict=True)
    )


def test_arms_and_the_rest_are_everybody_once():
    choosy = ArmUsers(BOTH, (("spring", "choosy"),))
    rest = ArmUsers(BOTH, (("spring", "choosy"),), is_rest=True)
    assert (choosy.holds(USERS) ^ rest.holds(USERS)).all() and not choosy.is_everyone
    frame = pd.DataFrame({"user_id": USERS, "n": np.arange(len(USERS))})
    assert len(choosy.of(frame)) + len(rest.of(frame)) == len(USERS)
    assert set(BOTH.of(choosy.of(frame)["user_id"])["arm"]) == {"choosy"}


def test_without_an_experiment_only_the_holdout_stays_unsent():
    rows = with_arms(plan_of(USERS), Allocation((), 0.1)).pushes
    assert rows["holdout"].tolist() == in_global_holdout(USERS, 0.1).tolist()
    assert rows["experiment"].isna().all() and set(rows["propensity"]) == {0.8}


def test_experiments_that_share_users_are_no_allocation():
    other = Split("other", "timing", 0.0, 1.0, SPRING.arms)
    with pytest.raises(UsageError, match="experiments spring, other share users"):
        Allocation((SPRING, other)).of(USERS)
