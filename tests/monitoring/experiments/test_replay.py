"""A replay beside the log: what is compared, what is left out and told, and what the estimates make of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.errors import RefusedError
from models.policy.exploration import soft_choice
from models.policy.params import PolicyParams
from monitoring.experiments.off_policy import off_policy_readout
from monitoring.experiments.replay import CHOICE, compared_choices


def days(rows: list[tuple]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(CHOICE))


def log(rows: list[tuple], **more) -> pd.DataFrame:
    return days(rows).assign(**{"propensity": 0.5, "reward": 0.0, "experiment": None} | more)


def test_only_days_that_both_push_once_are_compared_and_the_rest_is_told():
    logged = log(
        [
            *((1, "a", "late", "x", 0.1), (2, "a", "late", "y", 0.1), (3, "a", "late", "x", 0.1)),
            *((1, "b", "late", "x", 0.1), (1, "b", "morning", "x", 0.1), (1, "c", "late", "x", 0.1)),
        ],
        experiment=[None] * 5 + ["spring"],
    )
    replayed = days(
        [
            *((1, "a", "late", "x", 0.1), (2, "a", "late", "x", 0.1), (1, "b", "late", "x", 0.1)),
            (1, "d", "late", "x", 0.1),
        ]
    )
    choices, told = compared_choices(logged, replayed)
    assert choices.target.tolist() == [1.0, 0.0]
    assert (told.compared, told.same, told.same_slot) == (2, 1, 2)
    assert (told.only_logged, told.only_replayed, told.several, told.in_experiments) == (1, 1, 1, 1)


def test_a_log_without_chance_is_refused_and_so_is_nothing_in_common():
    rows = [(1, "a", "late", "x", 0.1), (1, "b", "late", "x", 0.1)]
    with pytest.raises(RefusedError, match="set KAIROS_EXPLORATION_SHARE above 0"):
        compared_choices(log(rows, propensity=1.0), days(rows))
    with pytest.raises(RefusedError, match="no user-day was pushed once by both"):
        compared_choices(log(rows), days([(2, "a", "late", "x", 0.1)]))


def test_the_worth_of_another_item_is_found_in_a_log_that_explores():
    """The live policy pushes y, chance sometimes x, which sells three times as often."""
    rng, params = np.random.default_rng(3), PolicyParams(exploration_share=0.4)
    users = [f"u{number}" for number in range(6_000)]
    chosen, likely = soft_choice(
        np.full(len(users), 2), np.zeros(len(users), dtype=np.int64), rng.random(len(users)), params
    )
    rate = np.where(chosen == 1, 0.3, 0.1)
    logged = log(
        [(1, user, "late", "yx"[item], 0.2) for user, item in zip(users, chosen, strict=True)],
        propensity=likely,
        reward=(rng.random(len(users)) < rate).astype(float),
    )
    choices, told = compared_choices(logged, days([(1, user, "late", "x", 0.2) for user in users]))
    found = off_policy_readout(choices)
    assert not found.warnings and told.explored == (chosen == 1).sum()
    assert found.logged == pytest.approx(0.1 + 0.2 * 0.2, abs=0.02)
    for one in found.estimates:
        assert one.low < 0.3 < one.high and one.low > found.logged, one
