"""The backtest: the same contest at one origin after another, each with models that knew nothing later.

One test period can flatter by luck; a ranker worth trusting wins at most origins, by about as much.

Source: Tashman (2000), Out-of-sample tests of forecasting accuracy: rolling-origin evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from features.errors import UsageError
from models.evaluation import EvaluationParams, EvaluationReport, evaluate
from models.queries import QuerySet
from models.vocabulary import Ints, Longs, Vocabulary

METRIC = "ndcg@10"
ENOUGH_ORIGINS = 4
_MOST_ORIGINS = 12


@dataclass(frozen=True)
class Origin:
    """A moment from which the next stretch of queries is ranked.

    Attributes:
        fit_epoch_seconds: The earliest fit instant of its queries, UTC: models know nothing at or after it.
        rows: Positions of its queries.
        queries: The queries and their truth.
    """

    fit_epoch_seconds: int
    rows: Longs
    queries: QuerySet

    @property
    def day(self) -> str:
        """The origin's date in UTC."""
        return f"{datetime.fromtimestamp(self.fit_epoch_seconds, UTC):%Y-%m-%d}"


@dataclass(frozen=True)
class Backtest:
    """What rolling origins found.

    Attributes:
        ours: Our ranking.
        origins: Each origin's day and report, by time.
    """

    ours: str
    origins: tuple[tuple[str, EvaluationReport], ...]

    def lead_over(self, baseline: str) -> dict[str, Any]:
        """How steady our lead over a baseline is.

        Returns:
            {"origins", "won": with a positive lead, "won_clearly": with an interval above 0; "mean",
            "lowest", "highest" and "spread" (standard deviation over the origins) of the lead in NDCG@10}.
        """
        leads = [report.differences[self.ours, baseline][METRIC] for _, report in self.origins]
        means = np.array([lead.mean for lead in leads])
        return {
            "origins": len(leads),
            "won": int((means > 0).sum()),
            "won_clearly": sum(lead.low > 0 for lead in leads),
            "mean": float(means.mean()),
            "lowest": float(means.min()),
            "highest": float(means.max()),
            "spread": float(means.std(ddof=1)) if len(means) > 1 else 0.0,
        }

    def to_dict(self) -> dict[str, Any]:
        """The backtest as JSON types: its origins by time and, for each baseline, how steady the lead is."""
        baselines = {base for _, report in self.origins for _, base in report.differences}
        return {
            "ours": self.ours,
            "metric": METRIC,
            "origins": [
                {
                    "origin": day,
                    "queries": report.n_queries,
                    "users": report.n_users,
                    "models": {name: asdict(found[METRIC]) for name, found in report.models.items()},
                    "leads": {
                        base: asdict(found[METRIC])
                        for (name, base), found in report.differences.items()
                        if name == self.ours
                    },
                }
                for day, report in self.origins
            ],
            "leads": {base: self.lead_over(base) for base in sorted(baselines - {self.ours})},
            "enough": len(self.origins) >= ENOUGH_ORIGINS,
        }


def rolling_origins(queries: QuerySet, at_least: int = ENOUGH_ORIGINS) -> list[Origin]:
    """The queries by the instants at which their models were fitted, by time.

    Args:
        queries: Of one split.
        at_least: Where there are fewer fit instants, the queries are cut by time into so many stretches of
            whole local days instead, as far as there are days; models are then as old as they were.

    Returns:
        At most 12 origins: neighbouring ones are joined. One whose models are refitted for it has one fit.

    Raises:
        UsageError: There is no query.
    """
    frame = queries.queries
    if not len(frame):
        raise UsageError("there are 0 queries, must be >= 1; check the split that is backtested.")
    fits = frame["fit_epoch_seconds"].to_numpy(dtype=np.int64)
    instants, stretch = np.unique(fits, return_inverse=True)
    if len(instants) < at_least:
        days, day = np.unique(frame["local_day"].to_numpy(dtype=np.int64), return_inverse=True)
        # Cut at the quantiles of the queries, but never through a day.
        middle = (np.cumsum(np.bincount(day)) - np.bincount(day) / 2) / len(frame)
        _, block = np.unique((middle * min(at_least, len(days))).astype(np.int64), return_inverse=True)
        stretch = block[day]
    n = int(stretch.max()) + 1
    if n > _MOST_ORIGINS:
        stretch = stretch * _MOST_ORIGINS // n
    return [_origin(queries, np.flatnonzero(stretch == one)) for one in np.unique(stretch)]


def backtest(
    make: Callable[[Origin], Mapping[str, Ints]],
    origins: Sequence[Origin],
    items: Vocabulary,
    ours: str,
    baselines: Sequence[str],
    params: EvaluationParams | None = None,
) -> Backtest:
    """The contest at every origin.

    Args:
        make: Fits whatever it fits on what was known at the origin and ranks the origin's queries: name ->
            item codes, queries x ranks, best first; `ours` and the baselines are among the names.
        origins: As `rolling_origins` gives them.
        items: Vocabulary of the item codes.
        ours: The ranking whose leads count.
        baselines: With whom it is compared.
        params: Resamples, confidence and seed.
    """
    compared = [name for name in baselines if name != ours]
    return Backtest(
        ours,
        tuple(
            (
                origin.day,
                evaluate(make(origin), origin.queries.queries, origin.queries.truth, items, compared, params),
            )
            for origin in origins
        ),
    )


def from_rankings(rankings: Mapping[str, Ints]) -> Callable[[Origin], Mapping[str, Ints]]:
    """A `make` for rankings that exist already, made with models refitted at each fit instant."""

    def make(origin: Origin) -> Mapping[str, Ints]:
        return {name: ranked[origin.rows] for name, ranked in rankings.items()}

    return make


def _origin(queries: QuerySet, rows: Longs) -> Origin:
    frame = queries.queries.iloc[rows].reset_index(drop=True)
    truth = queries.truth[queries.truth["query_id"].isin(pd.Index(frame["query_id"]))]
    fit = int(frame["fit_epoch_seconds"].min())
    return Origin(fit, rows.astype(np.int64), QuerySet(frame, truth.reset_index(drop=True)))
