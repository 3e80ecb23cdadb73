"""The ranker: LightGBM LambdaRank over features and retriever scores, with a calibrated purchase chance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import KairosError
from features.tables import declared_trends
from models.boosting import Trees, grow_all
from models.calibration import Calibrator, fit_calibrator
from models.candidates.cut import Cut
from models.ranker_params import RankerParams, lightgbm_settings
from models.ranker_rows import Encoding, feature_matrix, worths_of
from models.training_set import RankingSet

__all__ = ["Ranker", "RankerParams", "fit_ranker"]

FORMAT = 2
_ONE_BOOSTER_FORMAT = 1


@dataclass(frozen=True)
class Ranker:
    """A fitted ranker: scores order a query's candidates, chances say how likely each is bought.

    Attributes:
        models: LightGBM's model texts, the one thing that is stored; the score is the mean of theirs.
        features: Column names, in order.
        categories: Known values of each category column; others count as missing.
        chance: From score to the share of such candidates that were bought.
        cut: Chooses the candidates it was fitted on and is asked about; None takes all.
    """

    models: tuple[str, ...]
    features: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]
    chance: Calibrator
    cut: Cut | None = None

    def score(self, features: pd.DataFrame, threads: int = 2) -> NDArray[np.float64]:
        """LambdaRank scores, one per row; only their order within a query means something."""
        return self._mean_of(features, threads)

    def chances(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probability that the candidate is bought on the query's occasion, for each score."""
        return self.chance.apply(scores)

    def contributions(self, features: pd.DataFrame, threads: int = 2) -> NDArray[np.float64]:
        """SHAP values, rows x (features + 1); the last column is the expected score.

        They add up to the score: those of a mean of boosters are the mean of theirs.

        Source: Lundberg et al., "Consistent Individualized Feature Attribution for Tree Ensembles" (2018).
        """
        return self._mean_of(features, threads, pred_contrib=True)

    def importance(self) -> pd.DataFrame:
        """(feature, gain) with gain as a share of the total, largest first."""
        gain = np.sum([booster.feature_importance("gain") for booster in self._boosters], axis=0)
        frame = pd.DataFrame({"feature": self.features, "gain": gain / max(gain.sum(), 1e-12)})
        return frame.sort_values(["gain", "feature"], ascending=[False, True], ignore_index=True)

    def to_json(self) -> str:
        """Everything as JSON: no pickle is ever written or read."""
        return json.dumps(
            {
                "format": FORMAT,
                "features": self.features,
                "categories": self.categories,
                "chance": self.chance.as_dict(),
                "cut": None if self.cut is None else self.cut.as_dict(),
                "models": self.models,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Ranker:
        """The ranker that `to_json` wrote.

        Raises:
            KairosError: The text is another format.
        """
        stored = json.loads(text)
        if stored.get("format") == _ONE_BOOSTER_FORMAT:  # a champion trained before must still be compared
            stored |= {"format": FORMAT, "models": [stored["model"]]}
        if stored.get("format") != FORMAT:
            raise KairosError(
                f"ranker format == {stored.get('format')}, must be {FORMAT}; train again with this version."
            )
        return cls(
            tuple(stored["models"]),
            tuple(stored["features"]),
            {name: tuple(values) for name, values in stored["categories"].items()},
            Calibrator.from_dict(stored["chance"]),
            None if stored.get("cut") is None else Cut.from_dict(stored["cut"]),
        )

    @cached_property
    def _boosters(self) -> tuple[lgb.Booster, ...]:
        return tuple(lgb.Booster(model_str=text) for text in self.models)

    def _mean_of(
        self, features: pd.DataFrame, threads: int, pred_contrib: bool = False
    ) -> NDArray[np.float64]:
        matrix = feature_matrix(features, self.features, self.categories)
        return mean_prediction(self._boosters, matrix, threads, pred_contrib)


def mean_prediction(
    boosters: tuple[lgb.Booster, ...],
    matrix: NDArray[np.float32],
    threads: int,
    pred_contrib: bool = False,
) -> NDArray[np.float64]:
    """The boosters' mean score of each row, or of their contributions to it."""
    total: NDArray[np.float64] | None = None
    for booster in boosters:
        told = np.asarray(
            booster.predict(matrix, pred_contrib=pred_contrib, num_threads=threads), dtype=np.float64
        )
        total = told if total is None else total + told
    if total is None:
        raise KairosError("ranker has 0 boosters, must have one or more; train again.")
    return total / len(boosters)


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
    params = params or RankerParams()
    encoding = Encoding.of(train.features)
    worths = worths_of(train.label, validation.label)
    allowed = numeric_trends(encoding, trends)
    settings = [
        lightgbm_settings(params, encoding.names, worths, allowed, booster)
        for booster in range(params.boosters)
    ]
    learnt, judged = encoding.rows(train, worths), encoding.rows(validation, worths)
    trees: list[Trees]
    if cluster is None:
        trees = grow_all(settings, learnt, judged, params.patience_trees)
    else:
        from models.distributed_fit import grow_on_cluster  # half a second that only a cluster's user waits

        trees = grow_on_cluster(cluster, settings, learnt, judged, params.patience_trees)
    models = tuple(one.text for one in trees)
    boosters = tuple(lgb.Booster(model_str=text) for text in models)
    scores = mean_prediction(boosters, judged.matrix, params.threads)
    return Ranker(
        models,
        encoding.names,
        encoding.categories,
        # Scores are no probabilities, so only a free-form monotone map fits them.
        fit_calibrator(scores, validation.label > 0, validation.query_id, methods=("isotonic",)),
    )


def numeric_trends(encoding: Encoding, trends: Mapping[str, int] | None) -> dict[str, int]:
    """The trends of features that are numbers; a category has no order that could rise."""
    declared = declared_trends() if trends is None else trends
    return {name: trend for name, trend in declared.items() if name not in encoding.categories}
