"""The verdict on rankings: metrics with confidence intervals over users, and paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import UsageError
from models.candidates.retriever import top_of_row
from models.metrics import (
    Doubles,
    Hits,
    average_precision_at,
    coverage_at,
    hit_rate_at,
    ndcg_at,
    recall_at,
)
from models.vocabulary import Ints, Vocabulary

METRICS = ("ndcg@10", "recall@10", "recall@20", "map@12", "hit_rate@10")
RANKS = 20


@dataclass(frozen=True)
class EvaluationParams:
    """How uncertainty is measured.

    Attributes:
        bootstraps: Resamples of the users.
        confidence: Coverage of the intervals, in (0, 1).
        seed: The same seed gives the same intervals.
    """

    bootstraps: int = 1_000
    confidence: float = 0.95
    seed: int = 20_171_204

    def __post_init__(self) -> None:
        if self.bootstraps < 1:
            raise UsageError(f"bootstraps == {self.bootstraps}, must be >= 1.")
        if not 0 < self.confidence < 1:
            raise UsageError(f"confidence == {self.confidence}, must be in (0, 1); write 0.95 for 95 %.")


@dataclass(frozen=True)
class Estimate:
    """A mean over queries with its confidence interval over users."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        """As a table prints it.

        Examples:
            >>> print(Estimate(0.2541, 0.246, 0.264))
            0.2541 [0.2460, 0.2640]
        """
        return f"{self.mean:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True)
class EvaluationReport:
    """What was measured.

    Attributes:
        models: metric -> estimate, for each ranking.
        coverage: coverage@10 of each ranking.
        differences: (ranking, baseline) -> metric -> ranking minus baseline, on the same resamples.
        n_queries, n_users: What the means are over.
        targets_per_query: Mean number of targets.
        params: How the intervals were made.
    """

    models: Mapping[str, Mapping[str, Estimate]]
    coverage: Mapping[str, float]
    differences: Mapping[tuple[str, str], Mapping[str, Estimate]]
    n_queries: int
    n_users: int
    targets_per_query: float
    params: EvaluationParams

    def frame(self) -> pd.DataFrame:
        """One row per ranking, in the order given: its name, every metric's mean, low and high, coverage."""
        rows = []
        for name, metrics in self.models.items():
            row: dict[str, Any] = {"model": name}
            for metric, estimate in metrics.items():
                row |= {metric: estimate.mean, f"{metric}_low": estimate.low, f"{metric}_high": estimate.high}
            rows.append(row | {"coverage@10": self.coverage[name]})
        return pd.DataFrame(rows)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON types."""
        return {
            "n_queries": self.n_queries,
            "n_users": self.n_users,
            "targets_per_query": self.targets_per_query,
            "params": asdict(self.params),
            "models": {
                name: {metric: asdict(estimate) for metric, estimate in metrics.items()}
                | {"coverage@10": self.coverage[name]}
                for name, metrics in self.models.items()
            },
            "differences": [
                {"model": name, "baseline": baseline}
                | {metric: asdict(estimate) for metric, estimate in metrics.items()}
                for (name, baseline), metrics in self.differences.items()
            ],
        }


def ranked_items(candidates: pd.DataFrame, score: str, queries: pd.DataFrame, items: Vocabulary) -> Ints:
    """The best RANKS items of each query as codes, queries x RANKS, best first; -1 fills short lists.

    Args:
        candidates: (query_id, item_id, score), in any order.
        score: Name of the score column; among equals the earlier row wins.
        queries: The queries in the order wanted.
        items: Vocabulary that codes item_id.
    """
    place = pd.Index(queries["query_id"]).get_indexer(pd.Index(candidates["query_id"]))
    item = items.codes(candidates["item_id"])
    values = candidates[score].to_numpy(dtype=np.float64)
    order = np.argsort(place, kind="stable")
    order = order[place[order] >= 0]
    bounds = np.searchsorted(place[order], np.arange(len(queries) + 1))
    ranked = np.full((len(queries), RANKS), -1, dtype=np.int32)
    for query in range(len(queries)):
        own = order[bounds[query] : bounds[query + 1]]
        best = own[top_of_row(values[own], RANKS)]
        ranked[query, : len(best)] = item[best]
    return ranked


def hits_of(ranked: Ints, queries: pd.DataFrame, truth: pd.DataFrame, items: Vocabulary) -> tuple[Hits, Ints]:
    """Whether each ranked item is a target, queries x ranks, and the number of targets of each query.

    Raises:
        UsageError: A query has no target, or the ranking has another number of queries.
    """
    if len(ranked) != len(queries):
        raise UsageError(f"ranking has {len(ranked)} rows, must have one per query: {len(queries)}.")
    place = pd.Index(queries["query_id"]).get_indexer(pd.Index(truth["query_id"]))
    target = place >= 0
    n_targets = np.bincount(place[target], minlength=len(queries)).astype(np.int32)
    if (n_targets == 0).any():
        raise UsageError(f"{int((n_targets == 0).sum())} queries have no target; leave them out.")
    width = np.int64(len(items))
    code = items.codes(truth["item_id"])
    wanted = place[target] * width + code[target]
    wanted = wanted[code[target] >= 0]
    asked = np.arange(len(queries), dtype=np.int64)[:, None] * width + ranked
    return np.isin(asked, wanted) & (ranked >= 0), n_targets


def query_metrics(
    ranked: Ints, queries: pd.DataFrame, truth: pd.DataFrame, items: Vocabulary
) -> pd.DataFrame:
    """METRICS of each query, one row per query in the order of `queries`."""
    hits, n_targets = hits_of(ranked, queries, truth, items)
    values = (
        ndcg_at(hits, n_targets, 10),
        recall_at(hits, n_targets, 10),
        recall_at(hits, n_targets, 20),
        average_precision_at(hits, n_targets, 12),
        hit_rate_at(hits, 10),
    )
    return pd.DataFrame(dict(zip(METRICS, values, strict=True)))


def evaluate(
    rankings: Mapping[str, Ints],
    queries: pd.DataFrame,
    truth: pd.DataFrame,
    items: Vocabulary,
    baselines: Sequence[str] = (),
    params: EvaluationParams | None = None,
) -> EvaluationReport:
    """The metrics of each ranking with intervals from resampling users, and differences to baselines.

    Args:
        rankings: Name -> item codes, queries x ranks, best first, -1 for nothing.
        queries: (query_id, user_id), in the rankings' row order.
        truth: (query_id, item_id); targets that no ranking holds count as missed.
        items: Vocabulary of the item codes; its length is the catalogue for coverage.
        baselines: Names of rankings that every other is compared with, on the same resamples.
        params: Resamples, confidence and seed.

    Raises:
        UsageError: A baseline is not among the rankings, or shapes disagree.

    Source:
        Efron and Tibshirani (1993), An introduction to the bootstrap; users are the sampling unit because
        one user's baskets are not independent.
    """
    params = params or EvaluationParams()
    missing = [name for name in baselines if name not in rankings]
    if missing:
        raise UsageError(f"baseline {missing[0]!r} is not among the rankings: {', '.join(rankings)}.")
    measured = {name: query_metrics(ranked, queries, truth, items) for name, ranked in rankings.items()}
    user, users = pd.factorize(queries["user_id"], sort=True)
    counts, sums = _per_user(user, len(users), measured)
    draws = _resamples(len(users), params)
    size = draws @ counts
    drawn = {name: (draws @ sums[name]) / size[:, None] for name in rankings}
    means = {name: measured[name].to_numpy().mean(axis=0) for name in rankings}
    pairs = [(name, base) for base in baselines for name in rankings if name != base]
    return EvaluationReport(
        models={name: _estimates(means[name], drawn[name], params) for name in rankings},
        coverage={name: coverage_at(ranked, len(items)) for name, ranked in rankings.items()},
        differences={
            (name, base): _estimates(means[name] - means[base], drawn[name] - drawn[base], params)
            for name, base in pairs
        },
        n_queries=len(queries),
        n_users=len(users),
        targets_per_query=float(truth["query_id"].isin(queries["query_id"]).sum() / len(queries)),
        params=params,
    )


def _per_user(
    user: NDArray[np.intp], n_users: int, measured: Mapping[str, pd.DataFrame]
) -> tuple[Doubles, dict[str, Doubles]]:
    """Queries of each user, and for each ranking the sum of each metric over the user's queries."""
    counts = np.bincount(user, minlength=n_users).astype(np.float64)
    sums = {
        name: metrics.groupby(user).sum().reindex(range(n_users)).to_numpy(dtype=np.float64)
        for name, metrics in measured.items()
    }
    return counts, sums


def _resamples(n_users: int, params: EvaluationParams) -> Doubles:
    """How often each user is drawn, bootstraps x users."""
    rng = np.random.default_rng(params.seed)
    return rng.multinomial(n_users, np.full(n_users, 1 / n_users), size=params.bootstraps).astype(np.float64)


def _estimates(mean: Doubles, drawn: Doubles, params: EvaluationParams) -> dict[str, Estimate]:
    """Percentile intervals, one estimate per metric."""
    tail = (1 - params.confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    return {
        metric: Estimate(float(mean[column]), float(low[column]), float(high[column]))
        for column, metric in enumerate(METRICS)
    }
