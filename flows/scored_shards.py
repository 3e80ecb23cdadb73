"""A day's scored candidates in shards of users: each made, planned and made again by itself."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from features.user_buckets import bucket_ranges, shards_for, user_buckets
from flows.scored_files import KEYS, ScoredFiles
from infra.settings import Settings

if TYPE_CHECKING:
    from flows.day_scores import DayScores


@dataclass(frozen=True)
class ScoredShard(ScoredFiles):
    """The scores of the users of some buckets.

    Attributes:
        buckets: Whose users.
    """

    buckets: range

    def own(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows of `rows` whose user is of this shard."""
        bucket = user_buckets(rows["user_id"].to_numpy(dtype=object))
        mine = (self.buckets.start <= bucket) & (bucket < self.buckets.stop)
        return rows[mine].reset_index(drop=True)


@dataclass(frozen=True)
class FreshShard(ScoredShard):
    """A shard that was scored this moment: what lies on disk by now need not be read again.

    Attributes:
        scores: What was written.
    """

    scores: DayScores

    def read_candidates(self) -> pd.DataFrame:
        """As `ScoredFiles`."""
        return self.scores.candidates[list(KEYS)]

    def read_timing(self) -> pd.DataFrame:
        """As `ScoredFiles`."""
        return self.scores.timing


@dataclass(frozen=True)
class ScoredShards:
    """All shards of one model's scores for one day.

    Attributes:
        stem: What the files' names begin with, the same for any number of shards.
        shards: In order of their buckets.
    """

    folder: Path
    stem: str
    shards: tuple[ScoredShard, ...]

    @property
    def exist(self) -> bool:
        """Whether every shard's scores are complete."""
        return all(shard.exist for shard in self.shards)

    @property
    def missing(self) -> list[int]:
        """Numbers of the shards that are still to be scored."""
        return [number for number, shard in enumerate(self.shards) if not shard.exist]

    @property
    def rows(self) -> int:
        """How many candidates there are."""
        return sum(shard.rows for shard in self.shards)

    @property
    def candidates(self) -> Path:
        """Names the scores; a file of this name exists where there is one shard."""
        return self.folder / f"{self.stem}.candidates.parquet"

    @property
    def timing(self) -> Path:
        """As `candidates`."""
        return self.folder / f"{self.stem}.timing.parquet"

    def read_columns(self, columns: list[str], users: Collection[str] | None = None) -> pd.DataFrame:
        """These columns of every candidate, or of those of `users`."""
        return pd.concat([shard.read_columns(columns, users) for shard in self.shards], ignore_index=True)

    def read_timing(self) -> pd.DataFrame:
        """(user_id, slot, p_engage, *SCENE_PARTS) of every user and slot."""
        return pd.concat([shard.read_timing() for shard in self.shards], ignore_index=True)

    def remove_unfinished(self) -> None:
        """Nothing; what killed runs left half written is gone. Only for whoever alone writes the home."""
        for path in self.folder.glob(f"{self.stem}.*.partial"):
            path.unlink(missing_ok=True)

    def write_plan(self, inputs: str, batch_id: str, summary: dict[str, int]) -> None:
        """As `ScoredFiles`, for all shards together."""
        ScoredFiles(self.candidates, self.timing).write_plan(inputs, batch_id, summary)

    def read_plan(self, inputs: str) -> dict[str, Any] | None:
        """As `ScoredFiles`, for all shards together."""
        return ScoredFiles(self.candidates, self.timing).read_plan(inputs)


def remove_scores(folder: Path, before: date) -> None:
    """Nothing; no model's scores for plan dates before this one are left under `folder`."""
    for path in folder.glob("*/[0-9]*"):
        if path.name[:10] < before.isoformat():
            path.unlink(missing_ok=True)


def scored_shards(
    settings: Settings, version: str, plan_date: date, as_of: datetime, inputs: str, users: int
) -> ScoredShards:
    """Where this model's scores of so many users for this day, as known at `as_of`, belong."""
    folder = settings.home / "scored" / version
    stem = f"{plan_date.isoformat()}-{as_of:%Y%m%dT%H%M}-{inputs}"
    count = shards_for(users, settings.users_per_shard)
    shards = []
    for number, buckets in enumerate(bucket_ranges(count)):
        own = stem if count == 1 else f"{stem}.{number:04d}-of-{count:04d}"
        shards.append(
            ScoredShard(folder / f"{own}.candidates.parquet", folder / f"{own}.timing.parquet", buckets)
        )
    return ScoredShards(folder, stem, tuple(shards))
