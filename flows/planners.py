"""Who plans for whom: the champion, beside it a challenger in canary, or what arms of experiments ask for."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from features.user_parts import EVERYONE, UserPart, Users
from flows.scored_shards import ScoredShard
from infra.rollout_store import Rollout
from models.experiments.allocation import Allocation, ArmUsers
from models.experiments.split import Arm


@dataclass(frozen=True)
class Planner:
    """A model version and its users, and what it plans otherwise than settings say.

    Attributes:
        plans_for: Whose pushes it chooses.
        scores: Whose candidates it scores: more than it plans for where somebody else's plan may fail.
        policy: (name, value) of policy that differs.
        slots: Parts of the day it may push in, whose candidates it then scores apart; `USUAL` stands for each
            user's most frequent one; none: all.
        allocation: The experiments that run, the same for all of a day's planners; None if there are none.
    """

    version: str
    plans_for: Users = EVERYONE
    scores: Users = EVERYONE
    policy: tuple[tuple[str, Any], ...] = ()
    slots: tuple[str, ...] = ()
    allocation: Allocation | None = None


def planners_of(
    champion: str, rollout: Rollout | None, allocation: Allocation | None = None
) -> tuple[Planner, ...]:
    """The champion, and beside it the challenger that is in canary, or whatever running experiments compare.

    Examples:
        >>> planners_of("m1", None)[0].plans_for.is_everyone
        True
    """
    if allocation is not None and allocation.splits:
        return _arm_planners(champion, allocation)
    if rollout is None or rollout.stage != "canary" or rollout.champion != champion:
        return (Planner(champion, allocation=allocation),)
    canary = trial_users(rollout)
    rest = UserPart(canary.salt, canary.high, 1.0)
    return (
        Planner(champion, rest, allocation=allocation),
        Planner(rollout.version, canary, canary, allocation=allocation),
    )


def _arm_planners(champion: str, allocation: Allocation) -> tuple[Planner, ...]:
    """The champion for all but the users of arms that plan otherwise; one more for each way they do."""
    ways: dict[Planner, list[tuple[str, str]]] = {}
    for split in allocation.splits:
        for arm in split.arms:
            ways.setdefault(arm_planner(champion, arm), []).append((split.name, arm.name))
    ways.pop(Planner(champion), None)
    apart = tuple(arm for arms in ways.values() for arm in arms)
    rest: Users = ArmUsers(allocation, apart, is_rest=True) if apart else EVERYONE
    planners = [Planner(champion, rest, allocation=allocation)]
    for way, arms in ways.items():
        users = ArmUsers(allocation, tuple(arms))
        scores = EVERYONE if way.version == champion and not way.slots else users
        planners.append(replace(way, plans_for=users, scores=scores, allocation=allocation))
    return tuple(planners)


def arm_planner(champion: str, arm: Arm) -> Planner:
    """Who plans as the arm asks, whoever for."""
    return Planner(
        arm.model_version or champion,
        policy=tuple(json.loads(arm.policy or "{}").items()),
        slots=tuple(arm.timing.split(",")) if arm.timing else (),
    )


def experiments_of(planner: Planner) -> tuple[str, ...]:
    """The experiments of whose arms the planner is."""
    users = planner.plans_for
    named = users.arms if isinstance(users, ArmUsers) and not users.is_rest else ()
    return tuple(dict.fromkeys(experiment for experiment, _ in named))


def trial_users(rollout: Rollout) -> UserPart:
    """On whom the challenger proves itself: a stage of a larger share has the users of a smaller one too."""
    return UserPart(rollout.version, 0.0, rollout.now.share)


@dataclass(frozen=True)
class PartOfShard(ScoredShard):
    """The scores of those users of a shard who are of a part."""

    part: Users = EVERYONE

    def own(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows of `rows` whose user is of this shard and of the part."""
        return self.part.of(super().own(rows))

    def read_candidates(self) -> pd.DataFrame:
        """As `ScoredShard`, of the part."""
        return self.part.of(super().read_candidates())

    def read_timing(self) -> pd.DataFrame:
        """As `ScoredShard`, of the part."""
        return self.part.of(super().read_timing())


def part_of(shard: ScoredShard, part: Users) -> ScoredShard:
    """The shard as one planner plans from it."""
    if part.is_everyone:
        return shard
    return PartOfShard(shard.candidates, shard.timing, shard.buckets, part)
