"""Trees for ranking: encoded rows in, LightGBM model texts out; the same growth here and on a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from models.vocabulary import Ints

_OF_THE_MACHINE = (
    "[num_threads:",
    "[machines:",
    "[num_machines:",
    "[local_listen_port:",
    "[time_out:",
    "[machine_list_filename:",
)
"""Lines of a model text that tell where it was grown: nothing about the model, and never the same twice."""


@dataclass(frozen=True)
class Rows:
    """Rows as LightGBM reads them, a query's rows together.

    Attributes:
        matrix: float32, rows x names; a category is a code, missing is NaN.
        grade: Of each row, 0 for no relevance; what a grade is worth is a setting (`label_gain`).
        group_sizes: Rows of each query, in order.
        names: Of the matrix's columns.
        categorical: Those of the names whose columns hold codes.
    """

    matrix: NDArray[np.float32]
    grade: Ints
    group_sizes: Ints
    names: tuple[str, ...]
    categorical: tuple[str, ...]


@dataclass(frozen=True)
class Trees:
    """One grown booster.

    Attributes:
        text: LightGBM's model text up to the best tree, without what tells of the machine.
        count: Trees in it.
        ndcg10: NDCG@10 of the judged rows with so many trees.
    """

    text: str
    count: int
    ndcg10: float


def dataset(rows: Rows, reference: lgb.Dataset | None = None) -> lgb.Dataset:
    """The rows for LightGBM, binned when first used; judged rows take the bins of `reference`."""
    return lgb.Dataset(
        rows.matrix,
        label=rows.grade,
        group=rows.group_sizes,
        feature_name=list(rows.names),
        categorical_feature=list(rows.categorical),
        reference=reference,
        free_raw_data=True,
    )


def grow(settings: Mapping[str, Any], train: lgb.Dataset, judged: lgb.Dataset, patience: int) -> Trees:
    """Trees fitted on `train`, as many as make the best NDCG@10 on `judged`.

    Args:
        settings: LightGBM's parameters; with `machines` among them this is one of several that grow the
            same trees, each from its own part of the rows.
        train, judged: From `dataset`; both may serve again. Machines of one growth judge the same rows, so
            that all stop at the same tree.
        patience: Trees without a better NDCG@10 before stopping.
    """
    booster = lgb.train(
        dict(settings),
        train,
        valid_sets=[judged],
        callbacks=[lgb.early_stopping(patience, verbose=False)],
    )
    try:
        return Trees(
            _portable(booster.model_to_string(num_iteration=booster.best_iteration)),
            booster.best_iteration,
            float(booster.best_score["valid_0"]["ndcg@10"]),
        )
    finally:
        if "machines" in settings:
            booster.free_network()


def grow_all(settings: Sequence[Mapping[str, Any]], train: Rows, judged: Rows, patience: int) -> list[Trees]:
    """One booster for each of `settings`, which differ in seeds only; rows are binned once."""
    fitted_on = dataset(train)
    judged_on = dataset(judged, fitted_on)
    return [grow(one, fitted_on, judged_on, patience) for one in settings]


def _portable(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(_OF_THE_MACHINE))
