"""The item side of the joint plan: the best few items of each user-day and slot, and what everybody buys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.calendar import DAYPARTS
from features.scenes import SCENE_PARTS, UNKNOWN
from flows.progress import step
from flows.ranking_rows import ranking_rows
from flows.training_data import TrainingData
from flows.wiring import Stores
from models.interaction_log import InteractionLog
from models.joint_evaluation import Doubles
from models.joint_peers import popular_items
from models.queries import usual_scenes
from models.ranker import Ranker
from models.vocabulary import Ints, Longs

ITEMS = 5


@dataclass(frozen=True)
class Ranked:
    """The best ITEMS items of each user-day and slot: codes and chances, user-days x dayparts x ITEMS."""

    items: Ints
    chances: Doubles


def rank_slots(
    stores: Stores,
    data: TrainingData,
    queries: pd.DataFrame,
    rows: pd.DataFrame,
    asked: NDArray[np.bool_],
    rankers: Mapping[str, Ranker],
) -> dict[str, Ranked]:
    """Each ranker's best items of the user-days and slots asked about, in the user's usual scene."""
    day, slot = np.nonzero(asked)
    frame = slot_queries(data.log, queries, rows, day, slot)
    shape = (*asked.shape, ITEMS)
    found = {name: Ranked(np.full(shape, -1, np.int32), np.zeros(shape)) for name in rankers}
    with step("joint: items") as current:
        for part in ranking_rows(
            stores.features,
            data,
            frame,
            None,
            advance=lambda done: current.advance(done, len(frame)),
            cut=next(iter(rankers.values())).cut,  # all rankers order the same candidates
        ):
            code = data.log.items.codes(part.item_id)
            for name, ranker in rankers.items():
                score = ranker.score(part.features)
                order = np.lexsort((-score, part.query_id))
                query = part.query_id[order]
                starts = np.flatnonzero(np.r_[True, query[1:] != query[:-1]])
                rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
                best, rank = order[rank < ITEMS], rank[rank < ITEMS]
                at = (day[part.query_id[best]], slot[part.query_id[best]], rank)
                found[name].items[at] = code[best]
                found[name].chances[at] = ranker.chances(score[best])
        current.say(f"{len(frame):,} slots")
    return found


def slot_queries(
    log: InteractionLog, queries: pd.DataFrame, rows: pd.DataFrame, day: Longs, slot: Longs
) -> pd.DataFrame:
    """QUERY_COLUMNS rows for user-days and slots, asked at 00:00 in the usual scene; query_id: position."""
    cutoff = rows["cutoff_epoch_seconds"].to_numpy(dtype=np.int64)
    fit = last_fits(queries, cutoff)
    scenes = {part: np.full(len(rows), UNKNOWN, dtype=object) for part in SCENE_PARTS}
    for moment in np.unique(fit):
        mine = fit == moment
        usual = usual_scenes(log.before(int(moment))).set_index("user_id")
        for part in SCENE_PARTS:
            scenes[part][mine] = rows["user_id"][mine].map(usual[part]).fillna(UNKNOWN)
    local_day = rows["local_day"].to_numpy(dtype=np.int64)
    return pd.DataFrame(
        {
            "query_id": np.arange(len(day), dtype=np.int64),
            "user_id": rows["user_id"].to_numpy(dtype=object)[day],
            **{part: values[day] for part, values in scenes.items()},
            "daypart": np.array(DAYPARTS, dtype=object)[slot],
            "weekday": (local_day[day] + 3) % 7,
            "local_day": local_day[day],
            "cutoff_epoch_seconds": cutoff[day],
            "fit_epoch_seconds": fit[day],
            "split": "test",
            "n_items": 0,
        }
    )


def last_fits(queries: pd.DataFrame, cutoff: Longs) -> Longs:
    """The newest moment at or before each cut-off at which the test's retrievers were fitted anyway."""
    moments = np.unique(queries["fit_epoch_seconds"].to_numpy(dtype=np.int64))
    place = np.searchsorted(moments, cutoff, side="right") - 1
    return np.where(place >= 0, moments[np.maximum(place, 0)], cutoff).astype(np.int64)


def popular_rows(log: InteractionLog, queries: pd.DataFrame, rows: pd.DataFrame) -> Ints:
    """What was popular when each user-day's week began, user-days x ITEMS."""
    fit = last_fits(queries, rows["cutoff_epoch_seconds"].to_numpy(dtype=np.int64))
    items = np.full((len(rows), ITEMS), -1, dtype=np.int32)
    for moment in np.unique(fit):
        best = popular_items(log.before(int(moment)), ITEMS)
        items[fit == moment, : len(best)] = best
    return items
