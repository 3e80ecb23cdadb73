"""Who plans for whom: the champion for everybody, or for all but the users of a challenger in canary."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from features.user_parts import EVERYONE, UserPart
from flows.scored_shards import ScoredShard
from infra.rollout_store import Rollout


@dataclass(frozen=True)
class Planner:
    """A model version and its users.

    Attributes:
        plans_for: Whose pushes it chooses.
        scores: Whose candidates it scores: more than it plans for where somebody else's plan may fail.
    """

    version: str
    plans_for: UserPart = EVERYONE
    scores: UserPart = EVERYONE


def planners_of(champion: str, rollout: Rollout | None) -> tuple[Planner, ...]:
    """The champion, and the challenger that is in canary beside it.

    Examples:
        >>> planners_of("m1", None)[0].plans_for.is_everyone
        True
    """
    if rollout is None or rollout.stage != "canary" or rollout.champion != champion:
        return (Planner(champion),)
    canary = trial_users(rollout)
    rest = UserPart(canary.salt, canary.high, 1.0)
    return Planner(champion, rest), Planner(rollout.version, canary, canary)


def trial_users(rollout: Rollout) -> UserPart:
    """On whom the challenger proves itself: a stage of a larger share has the users of a smaller one too."""
    return UserPart(rollout.version, 0.0, rollout.now.share)


@dataclass(frozen=True)
class PartOfShard(ScoredShard):
    """The scores of those users of a shard who are of a part."""

    part: UserPart = EVERYONE

    def own(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows of `rows` whose user is of this shard and of the part."""
        return self.part.of(super().own(rows))

    def read_candidates(self) -> pd.DataFrame:
        """As `ScoredShard`, of the part."""
        return self.part.of(super().read_candidates())

    def read_timing(self) -> pd.DataFrame:
        """As `ScoredShard`, of the part."""
        return self.part.of(super().read_timing())


def part_of(shard: ScoredShard, part: UserPart) -> ScoredShard:
    """The shard as one planner plans from it."""
    if part.is_everyone:
        return shard
    return PartOfShard(shard.candidates, shard.timing, shard.buckets, shard.medians, part)
