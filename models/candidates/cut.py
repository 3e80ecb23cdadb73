"""The cut: of all that retrievers propose, the few hundred candidates likeliest to be bought, by one vote.

Budgets a retriever cannot see that three weak opinions are worth more than one strong one; a small model
over all opinions can. It is the first stage of two: the ranker, with every feature, only reads what is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import UsageError
from models.quick_trees import QuickTrees
from models.training_set import SamplingParams, labels_of, sample_negatives
from models.vocabulary import Floats, Ints, Longs


@dataclass(frozen=True)
class CutParams:
    """How the cut is learnt.

    Attributes:
        keep: Candidates left a query.
        queries: Past occasions that teach, the newest ones; fewer where there are fewer.
        negatives_per_query: Candidates not bought that are read of each; they weigh for all there are.
        trees, leaves, learning_rate, l2, min_rows_per_leaf: LightGBM's.
        threads: CPU threads; the model does not depend on them.
        seed: The same seed gives the same bytes.
    """

    keep: int = 200
    queries: int = 5_000
    negatives_per_query: int = 100
    trees: int = 300
    leaves: int = 31
    learning_rate: float = 0.08
    l2: float = 5.0
    min_rows_per_leaf: int = 100
    threads: int = 2
    seed: int = 20_171_204

    def __post_init__(self) -> None:
        for name in ("keep", "queries", "negatives_per_query", "trees"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} == {getattr(self, name)}, must be >= 1.")


@dataclass(frozen=True)
class Cut:
    """A fitted cut.

    Attributes:
        keep: Candidates left a query.
        scores: The retrievers' columns that it reads, in order.
        model: LightGBM's model text.
    """

    keep: int
    scores: tuple[str, ...]
    model: str

    def kept(self, query: Ints | Longs, scores: Mapping[str, Floats]) -> NDArray[np.intp]:
        """Positions of the candidates to keep, ascending; among equals the earlier one stays.

        Args:
            query: Query of each candidate, a query's candidates together.
            scores: One column a retriever, without the prefix.
        """
        if not len(query):
            return np.zeros(0, dtype=np.intp)
        starts = np.flatnonzero(np.append(True, query[1:] != query[:-1]))
        sizes = np.diff(np.append(starts, len(query)))
        if (sizes <= self.keep).all():
            return np.arange(len(query))
        missing = [name for name in self.scores if name not in scores]
        if missing:
            raise UsageError(f"retriever {missing[0]!r} is missing, the cut was learnt with it; train again.")
        matrix = np.column_stack([scores[name] for name in self.scores])
        likely = self._trees.scores(matrix)
        order = np.lexsort((-likely, np.repeat(np.arange(len(starts)), sizes)))
        rank = np.arange(len(query)) - np.repeat(starts, sizes)
        return np.sort(order[rank < self.keep])

    def left(self, pool: pd.DataFrame) -> pd.DataFrame:
        """The candidates to keep of a frame such as `fit_cut` reads, in its order."""
        names = [name for name in pool.columns if name.startswith("score_")]
        scores = {name.removeprefix("score_"): pool[name].to_numpy(dtype=np.float32) for name in names}
        kept = self.kept(pool["query_id"].to_numpy(dtype=np.int64), scores)
        return pool.iloc[kept].reset_index(drop=True)

    @cached_property
    def _trees(self) -> QuickTrees:
        return QuickTrees(self.model)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values; `Cut.from_dict` restores them exactly."""
        return asdict(self)

    @staticmethod
    def from_dict(stored: Mapping[str, Any]) -> Cut:
        """The cut that `as_dict` described."""
        return Cut(stored["keep"], tuple(stored["scores"]), stored["model"])


def lessons(queries: pd.DataFrame, params: CutParams) -> pd.DataFrame:
    """The queries that teach the cut: the newest, since tastes and shelves change; in their own order."""
    newest = queries.sort_values(["cutoff_epoch_seconds", "query_id"], kind="stable").tail(params.queries)
    return queries.loc[np.sort(newest.index)].reset_index(drop=True)


def fit_cut(
    pools: Iterable[pd.DataFrame], truth: pd.DataFrame, params: CutParams | None = None
) -> Cut | None:
    """The cut that past occasions teach; None where nobody bought a candidate or all were bought.

    Args:
        pools: Uncut candidates of past queries: (query_id, item_id, score_<retriever>...).
        truth: (query_id, item_id, relevance).
        params: How to learn.

    Source:
        A first stage learnt on the opinions of candidate generators: Covington, Adams and Sargin (2016),
        Deep neural networks for YouTube recommendations, RecSys; here a pointwise gradient-boosted model.
    """
    params = params or CutParams()
    sampling = SamplingParams(params.negatives_per_query, params.seed)
    matrices, labels, weights = [], [], []
    names: tuple[str, ...] = ()
    for pool in pools:
        names = tuple(name for name in pool.columns if name.startswith("score_"))
        bought = labels_of(pool, truth) > 0
        query = pool["query_id"].to_numpy(dtype=np.int64)
        rows = sample_negatives(query, bought.astype(np.float32), sampling)
        weights.append(_weights(query, bought, rows))
        matrices.append(np.column_stack([pool[name].to_numpy(dtype=np.float32)[rows] for name in names]))
        labels.append(bought[rows])
    if not labels or len(np.unique(np.concatenate(labels))) < 2:
        return None
    booster = lgb.train(
        _settings(params),
        lgb.Dataset(
            np.concatenate(matrices),
            np.concatenate(labels).astype(np.float64),
            weight=np.concatenate(weights),
        ),
        num_boost_round=params.trees,
    )
    return Cut(params.keep, tuple(name.removeprefix("score_") for name in names), booster.model_to_string())


def _weights(
    query: NDArray[np.int64], bought: NDArray[np.bool_], rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """1 for what was bought; a sampled negative stands for all its query's negatives."""
    _, place = np.unique(query, return_inverse=True)
    there = np.bincount(place, weights=~bought)
    drawn = np.bincount(place[rows], weights=~bought[rows], minlength=len(there))
    share = there / np.maximum(drawn, 1)
    return np.where(bought[rows], 1.0, share[place[rows]])


def _settings(params: CutParams) -> dict[str, Any]:
    return {
        "objective": "binary",
        "learning_rate": params.learning_rate,
        "num_leaves": params.leaves,
        "min_data_in_leaf": params.min_rows_per_leaf,
        "feature_fraction": 0.7,
        "lambda_l2": params.l2,
        "num_threads": params.threads,
        "seed": params.seed % 2**31,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
