"""Timing and the joint decision, measured: the model beside its peers, then one push a user-day."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from features.tables import TIMING
from flows.timing_frame import timing_frame
from flows.training_data import TrainingData
from flows.training_plan import TrainingPlan
from flows.wiring import Stores
from models.queries import QuerySet
from models.ranker import Ranker
from models.reliability import reliability_curve
from models.timing import TimingModel, fit_timing
from models.timing_evaluation import evaluate_timing
from models.timing_peers import PEERS, timing_peers, tuned_histogram
from tests.benchmarks.accuracy.joint_part import measure_joint

OURS = "Kairos"
HISTOGRAM = PEERS[-1]
USER_DAYS = {"train": 30_000, "validation": 10_000, "test": 20_000}
_SHARES = (0.7, 0.8)  # of the sessions, where the queries' parts do not follow each other in time


def measure(
    stores: Stores, data: TrainingData, queries: QuerySet, plan: TrainingPlan, ranked: Mapping[str, Ranker]
) -> dict[str, Any]:
    """{"timing": ..., "joint": ...} of the test days, as JSON types.

    Args:
        stores: Whose features answer.
        data: The history.
        queries: Tell which days train, validate and test.
        plan: How the timing model learns.
        ranked: Fitted rankers: 'all' and 'context_free', the item side of our plan and of the peer's.
    """
    days = days_of_splits(queries.queries, data.sessions)
    model, timing = measure_timing(stores, data, days, plan)
    return {"timing": timing, "joint": measure_joint(stores, data, queries, days, model, ranked)}


def measure_timing(
    stores: Stores, data: TrainingData, days: Mapping[str, range], plan: TrainingPlan
) -> tuple[TimingModel, dict[str, Any]]:
    """(the fitted model, its table beside the peers; their histogram is tuned on the validation days)."""
    frame = timing_frame(stores.features, data, dict(days), USER_DAYS, plan.timing.seed)
    model = fit_timing(frame, TIMING.features, plan.timing)
    validation, test = (
        frame[frame["split"] == split].reset_index(drop=True) for split in ("validation", "test")
    )
    tuned = tuned_histogram(data.sessions, validation)
    test[OURS] = model.predict(test)
    judged = pd.concat([test, timing_peers(data.sessions, test, **tuned)], axis=1)
    table = evaluate_timing(judged, OURS, PEERS, plan.evaluation.bootstraps, plan.evaluation.seed)
    histogram = table[table["model"] == HISTOGRAM].iloc[0]
    curves = {name: reliability_curve(judged["engaged"], judged[name]) for name in (OURS, HISTOGRAM)}
    return model, {
        "logloss_ratio": float(histogram["log_loss_ratio"]),
        "logloss_ratio_low": float(histogram["ratio_low"]),
        "logloss_ratio_high": float(histogram["ratio_high"]),
        "ece": float(table["ece"].iloc[0]),
        "peer": "the user's smoothed histogram",
        "peer_tuned": tuned,
        "calibration": model.calibration.method,
        "levels": model.level_counts(test.drop_duplicates(["user_id", "local_day"])),
        "levels_by": "test user-days",
        "table": table.to_dict("records"),
        "reliability": curves,
    }


def days_of_splits(queries: pd.DataFrame, sessions: pd.DataFrame) -> dict[str, range]:
    """Local days of each split, one after the other; the last one ends with its last query.

    Where queries are not split by time (a source that splits by user, say), days are: 70/10/20 by sessions.
    """
    bounds = queries.groupby("split")["local_day"].agg(["min", "max"])
    begins = [
        int(bounds.loc[split, "min"]) for split in ("train", "validation", "test") if split in bounds.index
    ]
    end = int(queries["local_day"].max()) + 1
    if len(begins) < 3 or not begins[0] < begins[1] < begins[2]:
        known = np.sort(sessions["local_day"].to_numpy(dtype=np.int64))
        begins = [int(known[0]), *(int(known[int(share * len(known))]) for share in _SHARES)]
        end = int(known[-1]) + 1
    edges = [*begins, end]
    return {split: range(edges[i], edges[i + 1]) for i, split in enumerate(("train", "validation", "test"))}
