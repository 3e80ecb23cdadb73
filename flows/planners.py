"""Who plans for whom: the champion, beside it a challenger in canary, or what arms of experiments ask for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pandas as pd

from features.user_parts import EVERYONE, UserPart, Users
from flows.scored_shards import ScoredShard
from infra.rollout_store import Rollout
from models.experiments.allocation import Allocation, ArmUsers


@dataclass(frozen=True)
class Planner:
    """A model version and its users, and what it plans otherwise than settings say.

    Attributes:
        plans_for: Whose pushes it chooses.
        scores: Whose candidates it scores: more than it plans for where somebody else's plan may fail.
        policy: (name, value) of policy that differs.
        slots: Parts of the day it may push in; none: all.
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
    ways: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for split in allocation.splits:
        for arm in split.arms:
            way = (arm.model_version or champion, arm.policy or "{}", arm.timing or "")
            ways.setdefault(way, []).append((split.name, arm.name))
    ways.pop((champion, "{}", ""), None)
    apart = tuple(arm for arms in ways.values() for arm in arms)
    rest: Users = ArmUsers(allocation, apart, is_rest=True) if apart else EVERYONE
    planners = [Planner(champion, rest, allocation=allocation)]
    for (version, policy, timing), arms in ways.items():
        users = ArmUsers(allocation, tuple(arms))
        planners.append(
            Planner(
                version,
                users,
                EVERYONE if version == champion else users,
                tuple(json.loads(policy).items()),
                tuple(timing.split(",")) if timing else (),
                allocation,
            )
        )
    return tuple(planners)


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
