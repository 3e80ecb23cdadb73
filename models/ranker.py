"""The ranker as it serves: boosters whose mean orders candidates, with a calibrated purchase chance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import KairosError
from models.calibration import Calibrator
from models.candidates.cut import Cut
from models.ranker_rows import feature_matrix

FORMAT = 3
_ONE_BOOSTER_FORMAT, _EQUAL_WEIGHTS_FORMAT = 1, 2


@dataclass(frozen=True)
class Ranker:
    """A fitted ranker: scores order a query's candidates, chances say how likely each is bought.

    Attributes:
        models: LightGBM's model texts, the one thing that is stored; the score is the mean of theirs.
        weights: Of the models, where the score is their weighted sum and not their mean.
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
    weights: tuple[float, ...] = ()

    def score(self, features: pd.DataFrame, threads: int = 2) -> NDArray[np.float64]:
        """LambdaRank scores, one per row; only their order within a query means something."""
        return self._mean_of(features, threads)

    @cached_property
    def trees(self) -> int:
        """How many all its boosters have."""
        return sum(booster.num_trees() for booster in self._boosters)

    def score_matrix(self, matrix: NDArray[np.float32], threads: int = 2) -> NDArray[np.float64]:
        """The scores of rows as `feature_matrix` gives them."""
        return mean_prediction(self._boosters, matrix, threads, weights=self.weights)

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
        gains = [one.feature_importance("gain") for one in self._boosters]
        # Boosters that are averaged may have learnt by other losses, and each loss counts gain in its unit.
        weights = self.weights or [1.0 / max(gain.sum(), 1e-12) for gain in gains]
        gain = np.sum([weight * one for weight, one in zip(weights, gains, strict=True)], axis=0)
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
                "weights": self.weights,
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
        if stored.get("format") == _EQUAL_WEIGHTS_FORMAT:
            stored |= {"format": FORMAT}
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
            tuple(stored.get("weights", ())),
        )

    @cached_property
    def _boosters(self) -> tuple[lgb.Booster, ...]:
        return tuple(lgb.Booster(model_str=text) for text in self.models)

    def _mean_of(
        self, features: pd.DataFrame, threads: int, pred_contrib: bool = False
    ) -> NDArray[np.float64]:
        matrix = feature_matrix(features, self.features, self.categories)
        return mean_prediction(self._boosters, matrix, threads, pred_contrib, self.weights)


def mean_prediction(
    boosters: tuple[lgb.Booster, ...],
    matrix: NDArray[np.float32],
    threads: int,
    pred_contrib: bool = False,
    weights: Sequence[float] = (),
) -> NDArray[np.float64]:
    """The boosters' mean score of each row, or their weighted sum; or of their contributions to it."""
    total: NDArray[np.float64] | None = None
    for at, booster in enumerate(boosters):
        told = np.asarray(
            booster.predict(matrix, pred_contrib=pred_contrib, num_threads=threads), dtype=np.float64
        )
        told = told * weights[at] if weights else told
        total = told if total is None else total + told
    if total is None:
        raise KairosError("ranker has 0 boosters, must have one or more; train again.")
    return total if weights else total / len(boosters)
