"""How a ranker is fitted: LightGBM LambdaRank and a half that learns chances, over features and scores."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from features.tables import declared_trends
from models.boosting import Rows, Trees, dataset, grow, rescaled
from models.calibration import fit_calibrator
from models.context_columns import CONTEXT
from models.mixing import evened, share_of_first
from models.ranker import Ranker, mean_prediction
from models.ranker_params import RankerParams, lightgbm_settings, pointwise_settings
from models.ranker_rows import Encoding, stacked, thinned, worths_of
from models.training_set import RankingSet
from models.vocabulary import Ints

_TARGETS_ALONE = 2  # worths where labels are not graded: nothing and a target
_EVEN = 1e-6  # two halves whose spreads lie further apart than this were not fitted on the same question
_SMOOTH = 15  # trees over whose NDCG@10 the mean is taken where there are few targets
_ROWS_FOR_BOOSTERS = 400_000  # four boosters at a hundred thousand rows, one from four hundred thousand on

_Name = Literal["both", "drawn", "drawn_of_both"]
"""Rows that trees are grown from with none judged: of train and validation, a draw of train's, of both's."""


def fit_ranker(
    train: RankingSet,
    validation: RankingSet,
    params: RankerParams | None = None,
    cluster: str | None = None,
    trends: Mapping[str, int] | None = None,
) -> Ranker:
    """A ranker fitted on `train`, stopped on and calibrated to `validation`.

    Args:
        train: Candidates with sampled negatives; labels may be graded, and a grade is worth its label.
        validation: All candidates of later queries, so that the purchase chance is that of a candidate
            and not that of a sample; labels are the targets only.
        params: How to fit.
        cluster: Address of a Dask scheduler whose workers share the rows; None fits here.
        trends: Of features whose meaning demands one (see `FeatureColumn.trend`); those declared when None.

    Returns:
        A ranker over the columns of `train` that vary; it asks for no others when it scores.

    Source:
        LambdaRank: Burges, "From RankNet to LambdaRank to LambdaMART" (2010).
    """
    return RankerFit(train, validation, params, trends).ranker(cluster=cluster)


class RankerFit:
    """Rows, encoded and binned once, from which rankers over different columns are fitted."""

    def __init__(
        self,
        train: RankingSet,
        validation: RankingSet,
        params: RankerParams | None = None,
        trends: Mapping[str, int] | None = None,
    ) -> None:
        """Arguments as of `fit_ranker`; nothing is fitted yet."""
        self.params = params or RankerParams()
        self.encoding = Encoding.of(train.features)
        self._worths = worths_of(train.label, validation.label)
        self._trends = numeric_trends(self.encoding, trends)
        self._learnt = self.encoding.rows(train, self._worths)
        self._judged = self.encoding.rows(validation, self._worths)
        self._label, self._query = validation.label, validation.query_id
        self._grown: dict[tuple[frozenset[str], RankerParams], list[Trees]] = {}
        self._binned: dict[_Name, lgb.Dataset] = {}

    @property
    def careful(self) -> bool:
        """Whether validation holds so few targets that what it says of one ranker is half chance."""
        return bool((self._label > 0).sum() < self.params.few_targets)

    def ranker(self, hidden: Collection[str] = (), cluster: str | None = None) -> Ranker:
        """A ranker that does not see the columns `hidden`.

        It is the mean of boosters that learn from pairs and of one that learns each candidate's chance, half
        and half: they err differently. Where there is a refit, it serves alone: what was fitted without the
        judged queries only told how many trees, how far both halves spread and how likely a score is.

        Where there are few targets it is a mix of three, each a mean of several boosters: one over the
        retrievers' opinions alone, half and half with one over all columns that tell nothing of the moment;
        both together half and half with one over all. Only what validation tells for certain moves the
        halves, so that neither a context that says nothing nor a feature too many can hurt much.
        """
        shown = frozenset(self.encoding.names) - frozenset(hidden)
        if cluster is not None or not self.careful:
            return self._halved(shown, cluster)
        params, sizes = careful_params(self.params, self._learnt.grade), self._judged.group_sizes
        lasting = shown - CONTEXT
        opinions = frozenset(name for name in lasting if name.startswith("score_"))
        trees: list[Trees] = []
        weights: list[float] = []
        mixed: NDArray[np.float64] | None = None
        for columns in dict.fromkeys((opinions, lasting, shown)):
            if not columns:
                continue
            grown = self._trees(columns, params)
            score = mean_prediction(_boosters(grown), self._judged.matrix, params.threads)
            scale = evened(score, sizes)
            share = 1.0 if mixed is None else share_of_first(score * scale, mixed, self._label, sizes)
            weights = [weight * (1 - share) for weight in weights] + [scale * share / len(grown)] * len(grown)
            trees += grown
            mixed = score * scale * share + (0.0 if mixed is None else mixed * (1 - share))
            again = evened(mixed, sizes)  # two halves that disagree spread less than either
            mixed, weights = mixed * again, [weight * again for weight in weights]
        kept = [at for at, weight in enumerate(weights) if weight]
        return self._ranker([trees[at] for at in kept], tuple(weights[at] for at in kept))

    def _halved(self, shown: frozenset[str], cluster: str | None) -> Ranker:
        """The mean of both halves, as fitted last."""
        pairs = self._trees(shown, self.params, cluster)
        chances = self._chances(shown, cluster, "drawn")
        evening = self._evening(pairs, chances)
        judged = _halves(pairs, chances, evening)
        if not self.params.refits or not self._targets_alone:
            return self._ranker(judged, ())
        again = self._refitted(pairs, shown, cluster)
        chances = self._chances(shown, cluster, "drawn_of_both")
        return self._ranker(judged, (), _halves(again, chances, evening))

    def _trees(self, shown: frozenset[str], params: RankerParams, cluster: str | None = None) -> list[Trees]:
        """The boosters over these columns, grown once."""
        if (shown, params) not in self._grown:
            settings = self._settings(params, shown)
            if cluster is not None:
                from models.distributed_fit import grow_on_cluster  # half a second that only its user waits

                grown = grow_on_cluster(cluster, settings, self._learnt, self._judged, params.patience_trees)
            else:
                train, judged = self._datasets
                smooth = _SMOOTH if self.careful else 1
                grown = [grow(one, train, judged, params.patience_trees, smooth) for one in settings]
            self._grown[shown, params] = grown
        return self._grown[shown, params]

    def _refitted(self, trees: Sequence[Trees], shown: frozenset[str], cluster: str | None) -> list[Trees]:
        """Boosters fitted on all queries, the judged ones too, as large as those that were judged."""
        count = round(float(np.mean([one.count for one in trees])))
        settings = self._settings(replace(self.params, boosters=self.params.refits), shown)
        return self._grown_blindly([one | {"num_iterations": count} for one in settings], cluster, "both")

    def _chances(self, shown: frozenset[str], cluster: str | None, name: _Name) -> list[Trees]:
        """The booster that learns each candidate's chance from a draw of the rows, where one is asked."""
        if not self.params.pointwise_trees or not self._targets_alone:
            return []  # a grade is no chance
        settings = pointwise_settings(self.params, self.encoding.names, self._trends)
        return self._grown_blindly([self._seeing(settings, shown)], cluster, name)

    def _grown_blindly(self, settings: list[dict[str, Any]], cluster: str | None, name: _Name) -> list[Trees]:
        if cluster is not None:
            from models.distributed_fit import grow_on_cluster

            return grow_on_cluster(cluster, settings, self._rows(name), None, 0)
        if name not in self._binned:
            self._binned[name] = dataset(self._rows(name))
        return [grow(one, self._binned[name], None, 0) for one in settings]

    def _rows(self, name: _Name) -> Rows:
        """The rows of that name; only their bins are worth keeping."""
        if name == "drawn":
            return thinned(self._learnt, self.params.pointwise_negatives, self.params.seed)
        both = stacked(self._learnt, self._as_learnt(self._judged))
        return both if name == "both" else thinned(both, self.params.pointwise_negatives, self.params.seed)

    def _evening(self, pairs: Sequence[Trees], chances: Sequence[Trees]) -> float:
        """What to multiply chances' trees by for them to spread as the pairs' mean does; 0 if they cannot."""
        if not chances:
            return 1.0
        matrix, sizes, threads = self._judged.matrix, self._judged.group_sizes, self.params.threads
        by_pairs, by_chances = (
            evened(mean_prediction(_boosters(trees), matrix, threads), sizes)
            for trees in (pairs, [rescaled(one, 1.0) for one in chances])
        )
        factor = by_chances / by_pairs
        return factor if _EVEN < factor < 1 / _EVEN else 0.0  # one of them tells nothing apart

    @property
    def _targets_alone(self) -> bool:
        """Whether labels tell targets and nothing else; judged queries never tell grades."""
        return len(self._worths) <= _TARGETS_ALONE

    def _as_learnt(self, judged: Rows) -> Rows:
        """The judged rows, sampled as the learnt ones were."""
        most = int(np.add.reduceat(self._learnt.grade == 0, _starts(self._learnt.group_sizes)).max(initial=1))
        return thinned(judged, max(most, 1), self.params.seed)

    @cached_property
    def _datasets(self) -> tuple[lgb.Dataset, lgb.Dataset]:
        train = dataset(self._learnt)
        return train, dataset(self._judged, train)

    def _settings(self, params: RankerParams, shown: frozenset[str]) -> list[dict[str, Any]]:
        names = self.encoding.names
        settings = [
            lightgbm_settings(params, names, self._worths, self._trends, booster)
            for booster in range(params.boosters)
        ]
        return [self._seeing(one, shown) for one in settings]

    def _seeing(self, settings: dict[str, Any], shown: frozenset[str]) -> dict[str, Any]:
        """The settings under which these columns alone are split by."""
        names = self.encoding.names
        if len(shown) == len(names):
            return settings
        allowed = [at for at, name in enumerate(names) if name in shown]  # those in no constraint never are
        return settings | {"interaction_constraints": [allowed]}

    def _ranker(
        self, trees: Sequence[Trees], weights: tuple[float, ...], refitted: Sequence[Trees] = ()
    ) -> Ranker:
        # Chances are told by what has not seen validation; boosters of one size score on one scale.
        scores = mean_prediction(_boosters(trees), self._judged.matrix, self.params.threads, weights=weights)
        return Ranker(
            tuple(one.text for one in refitted or trees),
            self.encoding.names,
            self.encoding.categories,
            # Scores are no probabilities, so only a free-form monotone map fits them.
            fit_calibrator(scores, self._label > 0, self._query, methods=("isotonic",)),
            weights=weights,
        )


def careful_params(params: RankerParams, grade: Ints) -> RankerParams:
    """Parameters for few targets: smaller trees, smaller steps, and as many boosters as the rows allow.

    Examples:
        >>> few = careful_params(RankerParams(learning_rate=0.05), np.repeat([1, 0], [500, 50_000]))
        >>> few.leaves, few.min_rows_per_leaf, few.boosters
        (7, 50, 4)
    """
    targets = int((grade > 0).sum())
    return replace(
        params,
        leaves=min(params.leaves, 7 if targets < 1_000 else 15 if targets < 5_000 else 31),
        min_rows_per_leaf=int(np.clip(len(grade) // 1_000, 20, params.min_rows_per_leaf)),
        boosters=max(params.boosters, int(np.clip(_ROWS_FOR_BOOSTERS // max(len(grade), 1), 1, 4))),
    )


def _halves(pairs: Sequence[Trees], chances: Sequence[Trees], evening: float) -> list[Trees]:
    """Boosters whose mean is half the pairs' mean and half the chances', evened; pairs alone where it is all.

    However many the pairs are, so that scores of several and of one stand on one scale.
    """
    if not chances or not evening:
        return list(pairs)
    count = len(pairs) + 1
    kept = pairs if len(pairs) == 1 else [rescaled(one, count / (2 * len(pairs))) for one in pairs]
    return [*kept, *(rescaled(one, evening * count / 2) for one in chances)]


def _starts(sizes: Ints) -> NDArray[np.intp]:
    """Where each group begins."""
    return np.cumsum(sizes, dtype=np.intp) - sizes


def _boosters(trees: Sequence[Trees]) -> tuple[lgb.Booster, ...]:
    return tuple(lgb.Booster(model_str=one.text) for one in trees)


def numeric_trends(encoding: Encoding, trends: Mapping[str, int] | None) -> dict[str, int]:
    """The trends of features that are numbers; a category has no order that could rise."""
    declared = declared_trends() if trends is None else trends
    return {name: trend for name, trend in declared.items() if name not in encoding.categories}
