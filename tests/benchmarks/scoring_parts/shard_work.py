"""What a whole scoring run does with one shard, here or in a process of its own: it imports no more."""

from __future__ import annotations

import time
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.scenes import SCENE_PARTS, UNKNOWN
from features.user_buckets import bucket_ranges
from flows.compiled_files import compiled_ranker
from flows.planned_shards import planned_shards
from flows.scored_files import write_frame
from infra.plan_content import canonical_rows
from models.compiled import CompiledRanker
from models.plan import PolicyContext, PolicyParams, build_plan
from models.price_medians import price_medians
from models.ranker import Ranker
from tests.benchmarks.scoring_parts.made_up_plan import AS_OF, PLAN_DATE, SLOTS

FEATURES = 60
ITEMS = 20_000
CATEGORIES = tuple(f"c{n}" for n in range(200))
NAMES = tuple(f"f{n}" for n in range(FEATURES))
RANKER = "ranker.json"
_ZONES = ("America/New_York", "Europe/Berlin", "Asia/Tokyo", "UTC")


def read_shard(path: Path) -> tuple[pd.DataFrame, pa.Table]:
    """(keys of the candidates, their features)."""
    table = pq.read_table(path)
    keys = table.select(["user_id", "slot", "item_id", "category", "price"]).to_pandas()
    return keys, table.select(list(NAMES))


@lru_cache(maxsize=1)
def predictor(version: Path, threads: int) -> tuple[CompiledRanker, Ranker]:
    """(the version's ranker as a run takes it, the same as it was stored), read once a process."""
    ranker = Ranker.from_json((version / RANKER).read_text(encoding="utf-8"))
    return compiled_ranker(version, ranker, 0, threads), ranker


class Laps(dict[str, float]):
    """Seconds by stage, from one call to the next."""

    def __init__(self) -> None:
        super().__init__()
        self._clock = time.perf_counter()

    def end(self, stage: str) -> None:
        """Nothing; what has passed since the last stage was this one's."""
        now = time.perf_counter()
        self[stage] = now - self._clock
        self._clock = now


def score_and_plan(number: int, folder: str, out: str, model: str) -> tuple[str, Laps]:
    """(how the shard's scores were predicted, seconds); its scores and its part of the plan lie on disk.

    Planned while the scores are at hand, as a scoring run does where nothing is on trial.
    """
    laps = Laps()
    count = len(list(Path(folder).glob("*.parquet")))
    scorer, ranker = predictor(Path(model), threads=1)
    keys, features = read_shard(_shard(folder, number))
    laps.end("read")
    keys["score"] = scorer.score(features.to_pandas(split_blocks=True), 1)
    keys["p_item"] = ranker.chances(keys["score"].to_numpy())
    del features
    laps.end("predict")
    write_frame(keys, Path(out) / f"{number}.scores.parquet")
    laps.end("write_scores")
    made = plan_of(keys)
    laps.end("plan")
    rows = canonical_rows(made, PLAN_DATE, bucket_ranges(count)[number])
    laps.end("canonical")
    planned_shards(Path(out), "bench", count).shards[number].write(rows, made.summary)
    laps.end("write_plan")
    return scorer.outcome.words, laps


def _shard(folder: str, number: int) -> Path:
    return Path(folder) / f"{number:04d}.parquet"


def plan_of(keys: pd.DataFrame) -> Any:
    """The shard's plan under policy."""
    users = keys["user_id"].astype(object).unique()
    zone = np.arange(len(users)) % len(_ZONES)
    people = pd.DataFrame({"user_id": users, "timezone": np.array(_ZONES, dtype=object)[zone]})
    people["push_consent"] = True
    scene = pd.Categorical([UNKNOWN]).take(np.zeros(len(keys), dtype=np.intp))
    scored = keys.assign(**dict.fromkeys(SCENE_PARTS, scene))
    timing = pd.DataFrame(
        {
            "user_id": np.repeat(users, len(SLOTS)),
            "slot": np.tile(SLOTS, len(users)),
            "p_engage": np.tile(np.linspace(0.1, 0.6, len(SLOTS)), len(users)),
        }
    )
    nothing = pd.DataFrame(
        {"user_id": [], "item_id": [], "last_bought_epoch_seconds": [], "mean_gap_days": []}
    )
    sent = pd.DataFrame({"user_id": [], "sent_at": pd.to_datetime([], utc=True), "channel": []})
    items, usual = catalogue()
    context = PolicyContext(AS_OF - timedelta(hours=5), items, nothing, sent, usual_prices=usual)
    return build_plan(scored, timing, people, context, PolicyParams(), PLAN_DATE, "bench")


@lru_cache(maxsize=1)
def catalogue() -> tuple[pd.DataFrame, pd.DataFrame]:
    """(every item, to be had, what items without a price are taken to cost); once a process, as in a run."""
    item = np.arange(ITEMS)
    items = pd.DataFrame({"item_id": [f"item-{n:05d}" for n in item]})
    usual = price_medians(pd.Series(prices_of(item)), pd.Series(CATEGORIES)[item % len(CATEGORIES)])
    return items.assign(available=True, stock=5.0, sensitive=False), usual


def prices_of(item: NDArray[np.int64]) -> NDArray[np.float64]:
    """What each item costs; nan of one in fifty."""
    return np.where(item % 50 == 0, np.nan, 1.0 + item % 97)
