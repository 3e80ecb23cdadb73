"""Trees for ranking: encoded rows in, LightGBM model texts out; the same growth here and on a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
_OBJECTIVE = "objective="  # without it a text's prediction is the plain sum of its leaves
_SIZES = "tree_sizes="
_LEAVES = ("leaf_value=", "internal_value=")


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
        ndcg10: NDCG@10 of the judged rows with so many trees; NaN where none judged them.
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


def grow(
    settings: Mapping[str, Any],
    train: lgb.Dataset,
    judged: lgb.Dataset | None,
    patience: int,
    smooth: int = 1,
) -> Trees:
    """Trees fitted on `train`, as many as make the best NDCG@10 on `judged`.

    Args:
        settings: LightGBM's parameters; with `machines` among them this is one of several that grow the
            same trees, each from its own part of the rows.
        train, judged: From `dataset`; both may serve again. Machines of one growth judge the same rows, so
            that all stop at the same tree. None grows all trees that the settings ask for, judged by none.
        patience: Trees without a better NDCG@10 before stopping.
        smooth: Trees over whose NDCG@10 the mean is taken before the best is looked for: on few queries a
            single tree's is chance.
    """
    if judged is None:
        return _grown_blindly(settings, train)
    curve: dict[str, Any] = {}
    booster = lgb.train(
        dict(settings),
        train,
        valid_sets=[judged],
        callbacks=[lgb.early_stopping(patience, verbose=False), lgb.record_evaluation(curve)],
    )
    best = booster.best_iteration
    if smooth > 1:
        best = 1 + int(np.argmax(smoothed(np.array(curve["valid_0"]["ndcg@10"]), smooth)))
    try:
        return Trees(
            _portable(booster.model_to_string(num_iteration=best)),
            best,
            float(curve["valid_0"]["ndcg@10"][best - 1]),
        )
    finally:
        if "machines" in settings:
            booster.free_network()


def _grown_blindly(settings: Mapping[str, Any], train: lgb.Dataset) -> Trees:
    booster = lgb.train(dict(settings), train)
    try:
        return Trees(_portable(booster.model_to_string()), booster.num_trees(), float("nan"))
    finally:
        if "machines" in settings:
            booster.free_network()


def smoothed(curve: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """The mean of each value and its neighbours, `width` in all; fewer at the ends.

    Examples:
        >>> smoothed(np.array([0.0, 3.0, 0.0, 0.0]), 3).tolist()
        [1.5, 1.0, 1.0, 0.0]
    """
    window = np.ones(width)
    return (
        np.convolve(curve, window, "same")[: len(curve)]
        / np.convolve(np.ones(len(curve)), window, "same")[: len(curve)]
    )


def rescaled(trees: Trees, factor: float) -> Trees:
    """The trees with every leaf times `factor` > 0, their prediction the plain sum of leaves.

    So trees grown for another objective can stand beside these in a mean: it needs no weights.

    Source:
        LightGBM, src/boosting/gbdt_model_text.cpp: the head tells how long each tree's text is.
    """
    head, *parts = trees.text.split("\nTree=")
    last, end, tail = parts[-1].partition("end of trees")
    grown = [
        "Tree=" + "".join(_rescaled(line, factor) for line in part.splitlines(keepends=True))
        for part in (*(part + "\n" for part in parts[:-1]), last)
    ]
    sizes = _SIZES + " ".join(str(len(tree.encode())) for tree in grown)
    lines = [sizes if line.startswith(_SIZES) else line for line in head.split("\n")]
    told = "\n".join(line for line in lines if not line.startswith(_OBJECTIVE))
    return replace(trees, text=told + "\n" + "".join(grown) + end + tail)


def _rescaled(line: str, factor: float) -> str:
    for name in _LEAVES:
        if line.startswith(name):
            values = line.removeprefix(name).split()
            return name + " ".join(repr(float(value) * factor) for value in values) + "\n"
    return line


def _portable(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(_OF_THE_MACHINE))
