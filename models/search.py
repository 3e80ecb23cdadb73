"""The search for the ranker's hyper-parameters: Optuna over rolling origins, within a time and never on test.

An origin is a week: a ranker fitted on all earlier weeks is judged on it, as a ranker in service will be. A
trial's value is the mean over origins, so that no single week's chance decides; trials that start badly end
early. The first trial is the parameters in effect, so the search never settles for worse ones by its measure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import UsageError
from models.boosting import dataset, grow
from models.ranker_fit import numeric_trends
from models.ranker_params import RankerParams, lightgbm_settings
from models.ranker_rows import Encoding, worths_of
from models.training_set import RankingSet, take_rows
from models.vocabulary import Longs

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class SearchParams:
    """How hyper-parameters are searched for.

    Attributes:
        minutes: Time for the search; 0 searches nothing. A fit that runs when time is up is finished first.
        trials: At most so many. A search that ends by them and not by time finds the same again.
        origins: Newest weeks, each judged by rankers fitted on the weeks before it.
        queries_per_origin: At most so many are judged a week, drawn evenly; their candidates stay complete.
        queries_to_fit: At most so many are fitted on for an origin, drawn evenly from the weeks before it.
        learning_rate, max_trees, patience_trees: Of the trials: coarser than the final fit's, because what
            is compared is the trees' shape. The rate itself is not searched for: lower is better and slower.
        seed: Of the draws.
    """

    minutes: float = 0.0
    trials: int = 40
    origins: int = 3
    queries_per_origin: int = 500
    queries_to_fit: int = 4_000
    learning_rate: float = 0.15
    max_trees: int = 150
    patience_trees: int = 20
    seed: int = 20_171_204

    def __post_init__(self) -> None:
        if self.minutes < 0:
            raise UsageError(f"search minutes == {self.minutes}, must be >= 0.")
        for name in ("trials", "origins", "queries_per_origin", "queries_to_fit"):
            if getattr(self, name) < 1:
                raise UsageError(f"search {name} == {getattr(self, name)}, must be >= 1.")


@dataclass(frozen=True)
class Search:
    """What a search found.

    Attributes:
        params: The best parameters, with the learning rate and bounds of those it started from.
        trials: One row a trial: number, state ('complete'; 'pruned' where it or time ended early), ndcg10
            (mean over the origins judged) and every parameter tried; the first is what was in effect.
        complete: Whether it ended by its trials, and so would find the same again.
    """

    params: RankerParams
    trials: pd.DataFrame
    complete: bool

    @property
    def words(self) -> str:
        """What came of it, in a line."""
        whole = self.trials[self.trials["state"] == "complete"]
        ended = f"{len(self.trials)} trials, ended by {'their number' if self.complete else 'time'}"
        if whole.empty:
            return f"no trial in time, parameters stay; {ended}"
        return f"NDCG@10 {whole['ndcg10'].iloc[0]:.4f} -> {whole['ndcg10'].max():.4f}; {ended}"


@dataclass(frozen=True)
class _Fold:
    """One origin, binned once for all trials."""

    train: lgb.Dataset
    judged: lgb.Dataset
    names: tuple[str, ...]
    worths: tuple[float, ...]
    trends: Mapping[str, int]


def search_ranker(
    learnt: RankingSet,
    judged: RankingSet,
    week: pd.Series[int],
    clock: Callable[[], float],
    params: RankerParams | None = None,
    search: SearchParams | None = None,
) -> Search:
    """The parameters that rank the newest weeks best when fitted on the weeks before each.

    Args:
        learnt: Rows to fit on, of any weeks: sampled negatives, graded labels.
        judged: All candidates of queries of the newest weeks, labels the targets only; none of test.
        week: Week of every query by query_id, any number that grows with time.
        clock: Seconds from any origin; read between fits.
        params: Where to start.
        search: How long, how often and on which weeks.

    Raises:
        UsageError: No judged week has an earlier one to fit on.

    Source:
        Bergstra et al., "Algorithms for Hyper-Parameter Optimization" (2011), as Optuna's TPE; rolling
        origins: Tashman, "Out-of-sample tests of forecasting accuracy" (2000).
    """
    import optuna  # a second that only a search waits

    params, search = params or RankerParams(), search or SearchParams()
    ends = clock() + 60.0 * search.minutes
    folds = [_fold(train, held) for train, held in rolling_origins(learnt, judged, week, search)]
    space = _space_around(params)
    quick = replace(params, learning_rate=search.learning_rate, max_trees=search.max_trees, boosters=1)

    def value(trial: optuna.Trial) -> float:
        tried = replace(quick, **_tried(trial, space))
        found: list[float] = []
        for number, fold in enumerate(folds):
            if clock() >= ends:
                trial.study.stop()
                trial.set_user_attr(_TIME_IS_UP, True)
                raise optuna.TrialPruned
            settings = lightgbm_settings(tried, fold.names, fold.worths, fold.trends)
            found.append(grow(settings, fold.train, fold.judged, search.patience_trees).ndcg10)
            trial.report(float(np.mean(found)), number)
            if number + 1 < len(folds) and trial.should_prune():
                raise optuna.TrialPruned
        return float(np.mean(found))

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=search.seed % 2**32, n_startup_trials=8),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4),
    )
    study.enqueue_trial({name: getattr(params, name) for name in SPACE})
    study.optimize(value, n_trials=search.trials)
    complete = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    best = max(complete, key=lambda trial: (trial.value, -trial.number), default=None)
    return Search(
        params if best is None else replace(params, **best.params),
        _trial_table(study.trials),
        not any(_TIME_IS_UP in trial.user_attrs for trial in study.trials),
    )


_TIME_IS_UP = "time is up"
"""Marks the trial that time ended."""

SPACE: Mapping[str, tuple[float, float, bool]] = {
    "leaves": (8, 128, True),
    "min_rows_per_leaf": (20, 800, True),
    "feature_share": (0.2, 1.0, False),
    "row_share": (0.5, 1.0, False),
    "l2": (0.1, 100.0, True),
    "truncation": (10, 60, True),
}
"""Lowest value, highest value and whether the scale is logarithmic, of each parameter searched for."""


def _space_around(params: RankerParams) -> dict[str, tuple[float, float, bool]]:
    """SPACE, wide enough for the parameters in effect."""
    return {
        name: (min(low, getattr(params, name)), max(high, getattr(params, name)), log)
        for name, (low, high, log) in SPACE.items()
    }


def _tried(trial: optuna.Trial, space: Mapping[str, tuple[float, float, bool]]) -> dict[str, Any]:
    return {
        name: (
            trial.suggest_int(name, int(low), int(high), log=log)
            if isinstance(getattr(RankerParams, name), int)
            else trial.suggest_float(name, low, high, log=log)
        )
        for name, (low, high, log) in space.items()
    }


def rolling_origins(
    learnt: RankingSet, judged: RankingSet, week: pd.Series[int], search: SearchParams
) -> list[tuple[RankingSet, RankingSet]]:
    """(rows to fit on, rows to judge) of each origin, oldest first; every fitted week is earlier.

    Raises:
        UsageError: No judged week has an earlier one to fit on.
    """
    learnt_week, judged_week = _weeks(learnt, week), _weeks(judged, week)
    first = learnt_week.min() if len(learnt_week) else np.inf
    origins = [origin for origin in np.unique(judged_week) if origin > first][-search.origins :]
    if not origins:
        raise UsageError(
            f"{len(np.unique(judged_week))} judged weeks have 0 weeks before them to fit on, must have one "
            "or more; train on more weeks (KAIROS_TRAIN_WEEKS) or search nothing (KAIROS_SEARCH_MINUTES=0)."
        )
    return [
        (
            take_rows(learnt, _drawn(learnt, learnt_week < origin, search.queries_to_fit, search.seed)),
            take_rows(judged, _drawn(judged, judged_week == origin, search.queries_per_origin, search.seed)),
        )
        for origin in origins
    ]


def newest_weeks(week: pd.Series[int], search: SearchParams) -> list[int]:
    """The weeks that a search judges, oldest first.

    >>> newest_weeks(pd.Series([1, 2, 2, 3, 4]), SearchParams(origins=2))
    [3, 4]
    """
    return [int(one) for one in np.unique(week.to_numpy())[-search.origins :]]


def _weeks(rows: RankingSet, week: pd.Series[int]) -> Longs:
    return np.asarray(week.reindex(pd.Index(rows.query_id)), dtype=np.int64)


def _drawn(rows: RankingSet, mask: NDArray[np.bool_], most: int, seed: int) -> Longs:
    """Positions of all rows of at most `most` of the masked queries."""
    queries = np.unique(rows.query_id[mask])
    if len(queries) > most:
        queries = np.random.default_rng(seed).choice(queries, most, replace=False)
    return np.flatnonzero(mask & np.isin(rows.query_id, queries)).astype(np.int64)


def _fold(train: RankingSet, judged: RankingSet) -> _Fold:
    encoding = Encoding.of(train.features)
    worths = worths_of(train.label, judged.label)
    fitted_on = dataset(encoding.rows(train, worths))
    return _Fold(
        fitted_on,
        dataset(encoding.rows(judged, worths), fitted_on),
        encoding.names,
        worths,
        numeric_trends(encoding, None),
    )


def _trial_table(trials: Sequence[optuna.trial.FrozenTrial]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "number": trial.number,
                "state": trial.state.name.lower(),
                "ndcg10": max(trial.intermediate_values.items())[1] if trial.intermediate_values else np.nan,
                **trial.params,
            }
            for trial in trials
        ],
        columns=["number", "state", "ndcg10", *SPACE],
    )
