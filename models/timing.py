"""P(engage | user, slot, scene): will this user start a session in this part of the day? Calibrated.

Users with a history of their own are answered by gradient-boosted trees on log-loss (LightGBM), stopped and
calibrated on later days than they learn; thin users by the chain in `models.timing_fallback`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.calendar import DAYPARTS
from features.errors import KairosError, UsageError
from models.calibration import Calibrator, fit_calibrator
from models.timing_fallback import LEVELS, USER, Fallback, FallbackParams, fit_fallback, weights_of

TREES_FILE = "timing.txt"
FACTS_FILE = "timing.json"


@dataclass(frozen=True)
class TimingParams:
    """How the timing model learns; `seed` and `num_threads` fix its bits."""

    learning_rate: float = 0.05
    num_leaves: int = 15
    min_rows_in_leaf: int = 100
    max_trees: int = 600
    early_stopping_trees: int = 40
    l2: float = 1.0
    feature_share: float = 0.8
    seed: int = 17
    num_threads: int = 2
    fallback: FallbackParams = field(default_factory=FallbackParams)


class TimingModel:
    """Fitted trees, their calibration and the chain for thin users; storage loses no bit."""

    def __init__(
        self,
        trees: str,
        calibration: Calibrator,
        feature_names: Sequence[str],
        fallback: Fallback,
        num_threads: int = 2,
    ):
        """Args: `trees` in LightGBM's text format, over (daypart code, *feature_names)."""
        import lightgbm

        self.trees = trees
        self.calibration = calibration
        self.feature_names = tuple(feature_names)
        self.fallback = fallback
        self.num_threads = num_threads
        self._booster = lightgbm.Booster(model_str=trees)

    def predict(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """P(engage) of each row, whoever it is about.

        Args:
            frame: `daypart` and the features; `models.timing_fallback` says what else tells thin users apart.

        Raises:
            KairosError: A feature the model was trained on is missing.
        """
        stated = self.fallback.rates(frame)
        own = np.flatnonzero(self.levels(frame) == USER)
        matrix = _matrix(frame, self.feature_names)
        if len(own):
            stated[own] = self.calibration.apply(_raw(self._booster, matrix[own], self.num_threads))
        return stated

    def levels(self, frame: pd.DataFrame) -> NDArray[np.object_]:
        """Whose habits each row's answer rests on: the user's own, or the level the chain fell back to."""
        return self.fallback.levels(frame)

    def level_counts(self, frame: pd.DataFrame) -> dict[str, int]:
        """How many rows each level answers, nearest first; together they are all rows."""
        levels = self.levels(frame)
        return {level: int((levels == level).sum()) for level in LEVELS}

    def to_texts(self) -> dict[str, str]:
        """File name -> content, for the registry's version folder: LightGBM text and JSON, no pickle."""
        facts = {
            "feature_names": list(self.feature_names),
            "calibration": self.calibration.as_dict(),
            "fallback": self.fallback.as_dict(),
            "num_threads": self.num_threads,
        }
        return {TREES_FILE: self.trees, FACTS_FILE: json.dumps(facts, indent=1)}

    @staticmethod
    def from_texts(texts: Mapping[str, str]) -> TimingModel:
        """The model that `to_texts` wrote; its predictions are identical."""
        facts = json.loads(texts[FACTS_FILE])
        calibration = Calibrator.from_dict(facts["calibration"])
        fallback = Fallback.from_dict(facts["fallback"])
        return TimingModel(
            texts[TREES_FILE], calibration, facts["feature_names"], fallback, facts["num_threads"]
        )


def fit_timing(frame: pd.DataFrame, feature_names: Sequence[str], params: TimingParams) -> TimingModel:
    """The model fitted on `split == 'train'`, stopped and calibrated on `split == 'validation'`.

    Args:
        frame: (user_id, local_day, daypart, engaged, split, *feature_names) and, where rows were drawn
            unevenly, `weight`: how many rows of the population each stands for. Any row order gives one
            model.
        feature_names: Numeric columns, null where unknown; `daypart` is always used and need not be named.
        params: Trees, seed and threads.

    Raises:
        UsageError: A part is empty, or nobody engaged in it.
    """
    import lightgbm

    names = tuple(name for name in feature_names if name != "daypart")
    frame = frame.sort_values(["user_id", "local_day", "daypart"], ignore_index=True)
    parts = {name: frame[frame["split"] == name] for name in ("train", "validation")}
    for name, part in parts.items():
        if part["engaged"].nunique() < 2:
            raise UsageError(
                f"timing {name} part has {len(part)} rows and {int(part['engaged'].sum())} sessions, must "
                "have both outcomes; choose days with sessions."
            )
    fallback = fit_fallback(frame[frame["split"].isin(parts)], params.fallback)
    # The trees answer only users with a level of their own, so they learn and are calibrated on those;
    # where nobody has one they are never asked, and whatever there is will do.
    own = {name: part[fallback.levels(part) == USER] for name, part in parts.items()}
    if all(part["engaged"].nunique() == 2 for part in own.values()):
        parts = own
    train, validation = parts["train"], parts["validation"]
    held_out = _matrix(validation, names)
    columns = ["daypart_code", *(f"f{number}" for number in range(len(names)))]
    options = {"feature_name": columns, "categorical_feature": ["daypart_code"], "free_raw_data": False}
    learn = lightgbm.Dataset(
        _matrix(train, names), train["engaged"].to_numpy(), weight=weights_of(train), **options
    )
    judge = lightgbm.Dataset(
        held_out, validation["engaged"].to_numpy(), weight=weights_of(validation), reference=learn, **options
    )
    booster = lightgbm.train(
        _booster_params(params),
        learn,
        num_boost_round=params.max_trees,
        valid_sets=[judge],
        callbacks=[lightgbm.early_stopping(params.early_stopping_trees, verbose=False)],
    )
    # Text first: what is calibrated is exactly what will be loaded.
    trees = booster.model_to_string(num_iteration=booster.best_iteration)
    raw = _raw(lightgbm.Booster(model_str=trees), held_out, params.num_threads)
    groups = pd.factorize(validation["user_id"], sort=True)[0]
    calibration = fit_calibrator(raw, validation["engaged"], groups, weights=weights_of(validation))
    return TimingModel(trees, calibration, names, fallback, params.num_threads)


def _booster_params(params: TimingParams) -> dict[str, Any]:
    return {
        "objective": "binary",
        "metric": "binary_logloss",
        "learning_rate": params.learning_rate,
        "num_leaves": params.num_leaves,
        "min_data_in_leaf": params.min_rows_in_leaf,
        "lambda_l2": params.l2,
        "feature_fraction": params.feature_share,
        "seed": params.seed,
        "num_threads": params.num_threads,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }


def _matrix(frame: pd.DataFrame, names: Sequence[str]) -> NDArray[np.float64]:
    """(rows, 1 + features): the daypart's place in the day, then the features; nan where unknown."""
    missing = [name for name in ("daypart", *names) if name not in frame]
    if missing:
        raise KairosError(
            f"timing features {missing} are missing; join the service the model was trained on."
        )
    codes = frame["daypart"].map({name: code for code, name in enumerate(DAYPARTS)}).to_numpy(dtype=float)
    columns = [frame[name].to_numpy(dtype=float, na_value=np.nan) for name in names]
    return np.column_stack([codes, *columns])


def _raw(booster: Any, matrix: NDArray[np.float64], num_threads: int) -> NDArray[np.float64]:
    return np.asarray(booster.predict(matrix, num_threads=num_threads), dtype=np.float64)
