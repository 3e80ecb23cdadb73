"""A day's scored candidates in shards of users: each made, planned and made again by itself."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from features.user_buckets import bucket_ranges, shards_for, user_buckets
from flows.fingerprints import fingerprint_of
from flows.scored_files import ScoredFiles
from infra.settings import Settings
from models.price_medians import filled_prices, price_counts, price_medians


@dataclass(frozen=True)
class ScoredShard(ScoredFiles):
    """The scores of the users of some buckets.

    Attributes:
        buckets: Whose users.
        medians: Prices of items that have none, over all shards; None until all are scored.
    """

    buckets: range
    medians: pd.DataFrame | None = None

    def own(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows of `rows` whose user is of this shard."""
        bucket = user_buckets(rows["user_id"].to_numpy(dtype=object))
        mine = (self.buckets.start <= bucket) & (bucket < self.buckets.stop)
        return rows[mine].reset_index(drop=True)

    def read_candidates(self) -> pd.DataFrame:
        """As `ScoredFiles`; prices that are missing are filled, so that no shard judges by itself alone."""
        candidates = super().read_candidates()
        if self.medians is None or candidates.empty:
            return candidates
        prices, _ = filled_prices(candidates["price"], candidates["category"], self.medians)
        return candidates.assign(price=prices)

    def priced(self, medians: pd.DataFrame) -> ScoredShard:
        """The shard as it is planned from."""
        return replace(self, medians=medians)

    def price_counts(self) -> pd.DataFrame:
        """How often each price of each category occurs."""
        priced = self.read_columns(["price", "category"])
        return price_counts(priced["price"], priced["category"])

    def prices_missing(self) -> int:
        """Candidates whose price is filled."""
        return int(self.read_columns(["price"])["price"].isna().sum())


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

    def medians(self) -> pd.DataFrame:
        """Prices of items that have none, read a shard at a time."""
        return price_medians(shard.price_counts() for shard in self.shards)

    def write_plan(self, inputs: str, batch_id: str, summary: dict[str, int]) -> None:
        """As `ScoredFiles`, for all shards together."""
        ScoredFiles(self.candidates, self.timing).write_plan(inputs, batch_id, summary)

    def read_plan(self, inputs: str) -> dict[str, Any] | None:
        """As `ScoredFiles`, for all shards together."""
        return ScoredFiles(self.candidates, self.timing).read_plan(inputs)


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


def medians_fingerprint(medians: pd.DataFrame) -> str:
    """Changes whenever a price that a plan assumes does."""
    return fingerprint_of(medians.to_csv(index=False, float_format="%.17g"))
