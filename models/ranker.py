"""The ranker: LightGBM LambdaRank over features and retriever scores, with a calibrated purchase chance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import KairosError
from models.calibration import Calibrator, fit_calibrator
from models.training_set import RankingSet

FORMAT = 1


@dataclass(frozen=True)
class RankerParams:
    """How the ranker is fitted.

    Attributes:
        learning_rate, leaves, min_rows_per_leaf, feature_share, row_share, l2: LightGBM's, by purpose.
        max_trees: Upper bound; validation NDCG@10 decides when to stop.
        patience_trees: Trees without a better validation NDCG@10 before stopping.
        truncation: Ranks whose order LambdaRank cares about.
        threads: CPU threads.
        seed: The same seed and threads give the same model.
    """

    learning_rate: float = 0.08
    leaves: int = 31
    min_rows_per_leaf: int = 200
    feature_share: float = 0.6
    row_share: float = 0.8
    l2: float = 5.0
    max_trees: int = 600
    patience_trees: int = 40
    truncation: int = 20
    threads: int = 2
    seed: int = 20_171_204


@dataclass(frozen=True)
class Ranker:
    """A fitted ranker: scores order a query's candidates, chances say how likely each is bought.

    Attributes:
        model: LightGBM's model text, the one thing that is stored.
        features: Column names, in order.
        categories: Known values of each category column; others count as missing.
        chance: From score to the share of such candidates that were bought.
    """

    model: str
    features: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]
    chance: Calibrator

    def score(self, features: pd.DataFrame, threads: int = 2) -> NDArray[np.float64]:
        """LambdaRank scores, one per row; only their order within a query means something."""
        return np.asarray(
            self._booster().predict(self._matrix(features), num_threads=threads), dtype=np.float64
        )

    def chances(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probability that the candidate is bought on the query's occasion, for each score."""
        return self.chance.apply(scores)

    def contributions(self, features: pd.DataFrame, threads: int = 2) -> NDArray[np.float64]:
        """SHAP values, rows x (features + 1); the last column is the expected score.

        Source: Lundberg et al., "Consistent Individualized Feature Attribution for Tree Ensembles" (2018).
        """
        return np.asarray(
            self._booster().predict(self._matrix(features), pred_contrib=True, num_threads=threads),
            dtype=np.float64,
        )

    def importance(self) -> pd.DataFrame:
        """(feature, gain) with gain as a share of the total, largest first."""
        gain = self._booster().feature_importance("gain")
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
                "model": self.model,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Ranker:
        """The ranker that `to_json` wrote.

        Raises:
            KairosError: The text is another format.
        """
        stored = json.loads(text)
        if stored.get("format") != FORMAT:
            raise KairosError(
                f"ranker format == {stored.get('format')}, must be {FORMAT}; train again with this version."
            )
        return cls(
            stored["model"],
            tuple(stored["features"]),
            {name: tuple(values) for name, values in stored["categories"].items()},
            Calibrator.from_dict(stored["chance"]),
        )

    def _booster(self) -> lgb.Booster:
        return lgb.Booster(model_str=self.model)

    def _matrix(self, features: pd.DataFrame) -> NDArray[np.float32]:
        return feature_matrix(features, self.features, self.categories)


def feature_matrix(
    features: pd.DataFrame, names: tuple[str, ...], categories: Mapping[str, tuple[str, ...]]
) -> NDArray[np.float32]:
    """Rows x names as float32; a category is its position among the known values, missing if unknown."""
    matrix = np.empty((len(features), len(names)), dtype=np.float32)
    for position, name in enumerate(names):
        column = features[name]
        if name in categories:
            rows = pd.Categorical(column)
            known = pd.Index(categories[name]).get_indexer(pd.Index(rows.categories.astype("str")))
            codes = np.append(known, -1)[rows.codes].astype(np.float32)
            matrix[:, position] = np.where(codes < 0, np.nan, codes)
        else:
            matrix[:, position] = column.to_numpy(dtype=np.float32)
    return matrix


def fit_ranker(train: RankingSet, validation: RankingSet, params: RankerParams | None = None) -> Ranker:
    """A ranker fitted on `train`, stopped on and calibrated to `validation`.

    Args:
        train: Candidates with sampled negatives.
        validation: All candidates of later queries, so that the purchase chance is that of a candidate
            and not that of a sample.
        params: How to fit.

    Returns:
        A ranker over the columns of `train` that vary; it asks for no others when it scores.

    Source:
        LambdaRank: Burges, "From RankNet to LambdaRank to LambdaMART" (2010).
    """
    params = params or RankerParams()
    # What never varies tells nothing and would only cost memory: a source that knows no device, say.
    names = tuple(name for name in train.features.columns if _varies(train.features[name]))
    categories = {
        name: tuple(str(value) for value in train.features[name].cat.categories)
        for name in names
        if isinstance(train.features[name].dtype, pd.CategoricalDtype)
    }
    fitted_on = lgb.Dataset(
        feature_matrix(train.features, names, categories),
        label=train.label,
        group=train.group_sizes,
        feature_name=list(names),
        categorical_feature=[name for name in names if name in categories],
        free_raw_data=True,
    )
    held_out = feature_matrix(validation.features, names, categories)
    judged_on = lgb.Dataset(
        held_out, label=validation.label, group=validation.group_sizes, reference=fitted_on
    )
    booster = lgb.train(
        _lightgbm_params(params),
        fitted_on,
        num_boost_round=params.max_trees,
        valid_sets=[judged_on],
        callbacks=[lgb.early_stopping(params.patience_trees, verbose=False)],
    )
    scores = np.asarray(
        booster.predict(held_out, num_iteration=booster.best_iteration, num_threads=params.threads),
        dtype=np.float64,
    )
    return Ranker(
        booster.model_to_string(num_iteration=booster.best_iteration),
        names,
        categories,
        # Scores are no probabilities, so only a free-form monotone map fits them.
        fit_calibrator(scores, validation.label > 0, validation.query_id, methods=("isotonic",)),
    )


def _varies(column: pd.Series) -> bool:
    """Whether a column holds two values, or a value and a missing one."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes = column.cat.codes.to_numpy()
        return bool(len(codes)) and bool((codes != codes[0]).any())
    values = column.to_numpy(dtype=np.float32)
    known = values[~np.isnan(values)]
    if len(known) in (0, len(values)):
        return bool(len(known)) and bool((known != known[0]).any())
    return True


def _lightgbm_params(params: RankerParams) -> dict[str, Any]:
    return {
        "objective": "lambdarank",
        "metric": "ndcg",
        "eval_at": [10],
        "learning_rate": params.learning_rate,
        "num_leaves": params.leaves,
        "min_data_in_leaf": params.min_rows_per_leaf,
        "feature_fraction": params.feature_share,
        "bagging_fraction": params.row_share,
        "bagging_freq": 1,
        "lambda_l2": params.l2,
        "lambdarank_truncation_level": params.truncation,
        "num_threads": params.threads,
        "seed": params.seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
