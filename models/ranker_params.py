"""How a ranker is fitted, in words and as LightGBM's settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from features.errors import UsageError

_SMALLEST = {
    "leaves": 2,
    "max_trees": 1,
    "patience_trees": 1,
    "truncation": 1,
    "boosters": 1,
    "threads": 1,
    "pointwise_negatives": 1,
    "refits": 0,
    "pointwise_trees": 0,
}
_FEWEST_FEATURES = 40  # a tree that sees only a handful can learn no two that matter together
_OF_PAIRS = ("metric", "eval_at", "label_gain", "lambdarank_truncation_level")


@dataclass(frozen=True)
class RankerParams:
    """How the ranker is fitted.

    Attributes:
        learning_rate, leaves, min_rows_per_leaf, row_share, l2: LightGBM's, by purpose.
        feature_share: Of the columns, drawn anew for each tree; more where that were fewer than 40.
        max_trees: Upper bound; validation NDCG@10 decides when to stop.
        patience_trees: Trees without a better validation NDCG@10 before stopping.
        truncation: Ranks whose order LambdaRank cares about.
        boosters: Boosters that differ in their seed only; the ranker's score is the mean of theirs.
        refits: Boosters fitted on the judged queries too, with as many trees as those chose, which then serve
            instead: the newest weeks are worth most, and only the number of trees needed them unseen.
        pointwise_trees: Trees of a booster that learns each candidate's chance by itself (log-loss): half of
            the score where labels are targets alone, since it orders the middle of a list better than pairs
            do. 0 leaves it out.
        pointwise_rate: Its learning rate.
        pointwise_negatives: Candidates without relevance that it reads of each query.
        few_targets: Below so many targets of validation the fit is careful (see `RankerFit.ranker`).
        monotone: Whether a feature that declares a trend may only move the score that way.
        threads: CPU threads; the model does not depend on them.
        seed: The same rows, parameters and seed give the same bytes.
    """

    learning_rate: float = 0.08
    leaves: int = 31
    min_rows_per_leaf: int = 200
    feature_share: float = 0.3
    row_share: float = 0.8
    l2: float = 5.0
    max_trees: int = 600
    patience_trees: int = 60
    truncation: int = 20
    boosters: int = 1
    refits: int = 1
    pointwise_trees: int = 350
    pointwise_rate: float = 0.07
    pointwise_negatives: int = 40
    few_targets: int = 0
    monotone: bool = True
    threads: int = 2
    seed: int = 20_171_204

    def __post_init__(self) -> None:
        for name, smallest in _SMALLEST.items():
            if getattr(self, name) < smallest:
                raise UsageError(f"{name} == {getattr(self, name)}, must be >= {smallest}.")


def lightgbm_settings(
    params: RankerParams,
    names: Sequence[str],
    worths: Sequence[float],
    trends: Mapping[str, int],
    booster: int = 0,
) -> dict[str, Any]:
    """LightGBM's settings for one booster of a ranker.

    Args:
        params: How to fit.
        names: Of the features, in the matrix's order.
        worths: What each grade is worth, from grade 0, which is worth nothing.
        trends: Of the features whose meaning demands one: 1 never lowers a score when it rises, -1 never
            raises one; category columns must not be among them.
        booster: Which of the ranker's boosters; it decides the draws of rows and features.

    Examples:
        >>> settings = lightgbm_settings(RankerParams(), ["rate", "age"], [0.0, 0.4, 1.0], {"rate": 1})
        >>> settings["label_gain"], settings["monotone_constraints"]
        ([0.0, 0.4, 1.0], [1, 0])
    """
    settings: dict[str, Any] = {
        "objective": "lambdarank",
        "metric": "ndcg",
        "eval_at": [10],
        "label_gain": list(worths),
        "num_iterations": params.max_trees,
        "learning_rate": params.learning_rate,
        "num_leaves": params.leaves,
        "min_data_in_leaf": params.min_rows_per_leaf,
        "feature_fraction": max(params.feature_share, min(1.0, _FEWEST_FEATURES / max(len(names), 1))),
        "bagging_fraction": params.row_share,
        "bagging_freq": 1,
        "lambda_l2": params.l2,
        "lambdarank_truncation_level": params.truncation,
        "num_threads": params.threads,
        # Each by name: a common `seed` would also move the one that bins rows, and bins are shared.
        "data_random_seed": params.seed % 2**31,
        "feature_fraction_seed": (params.seed + booster) % 2**31,
        "bagging_seed": (params.seed + booster) % 2**31,
        # Otherwise columns are dropped by one search's smallest leaf that another's would use.
        "feature_pre_filter": False,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    constraints = [trends.get(name, 0) for name in names]
    if params.monotone and any(constraints):
        # 'basic': the stricter methods do not exist on a cluster, and one method is one model.
        settings |= {"monotone_constraints": constraints, "monotone_constraints_method": "basic"}
    return settings


def pointwise_settings(
    params: RankerParams, names: Sequence[str], trends: Mapping[str, int]
) -> dict[str, Any]:
    """LightGBM's settings for the booster that learns chances; arguments as of `lightgbm_settings`.

    Examples:
        >>> pointwise_settings(RankerParams(pointwise_trees=7), ["rate"], {})["num_iterations"]
        7
    """
    settings = lightgbm_settings(params, names, (), trends)
    return {name: value for name, value in settings.items() if name not in _OF_PAIRS} | {
        "objective": "binary",
        "num_iterations": params.pointwise_trees,
        "learning_rate": params.pointwise_rate,
    }
