"""A ranker of the usual size on made-up candidates: counts, recencies with holes, shares, categories."""

from __future__ import annotations

import numpy as np
import pandas as pd

from models.ranker import Ranker
from models.ranker_fit import fit_ranker
from models.ranker_params import RankerParams
from models.training_set import RankingSet
from models.vocabulary import Floats

COUNTS, RECENCIES, SHARES = 40, 40, 42
CATEGORIES = {f"category_{size}": size for size in (4, 6, 7, 12, 24, 60, 115, 200)}
_CANDIDATES = 40


def candidates(rows: int, seed: int) -> pd.DataFrame:
    """So many candidates' features: 122 numbers and 8 categories."""
    rng = np.random.default_rng(seed)
    taste = rng.normal(size=rows).astype(np.float32)
    columns: dict[str, object] = {}
    for n in range(COUNTS):
        columns[f"count_{n}"] = rng.poisson(np.exp(0.5 * taste + n / COUNTS)).astype(np.float32)
    for n in range(RECENCIES):
        hours = rng.gamma(2.0, 50.0, rows).astype(np.float32) / (1 + np.exp(taste))
        columns[f"recency_{n}"] = np.where(rng.random(rows) < 0.6 * n / RECENCIES, np.float32(np.nan), hours)
    for n in range(SHARES):
        share = rng.random(rows, dtype=np.float32) * (1 / (1 + np.exp(-taste)))
        columns[f"share_{n}"] = np.where(rng.random(rows) < 0.2, np.float32(0), share).astype(np.float32)
    for name, size in CATEGORIES.items():
        codes = (rng.random(rows) ** 2 * size).astype(np.int64)
        codes[rng.random(rows) < 0.03] = -1
        columns[name] = pd.Categorical.from_codes(codes, [f"v{value}" for value in range(size)])
    return pd.DataFrame(columns, copy=False)


def relevance(features: pd.DataFrame, seed: int) -> Floats:
    """Who is bought: many weak causes of every kind, so that every column is asked of."""
    rng = np.random.default_rng(seed)
    weights = np.random.default_rng(1)
    value = np.full(len(features), -3.2)
    for name in features:
        column = features[name]
        if name in CATEGORIES:
            codes = column.cat.codes.to_numpy()
            value += np.append(weights.normal(0, 0.35, CATEGORIES[name]), 0)[codes]
        else:
            told = np.nan_to_num(column.to_numpy(dtype=float), nan=120.0)
            value += weights.normal(0, 0.25) * np.tanh((told - told.mean()) / (told.std() + 1e-9))
    return (rng.random(len(features)) < 1 / (1 + np.exp(-value))).astype(np.float32)


def fitted_ranker(seed: int, trees: int = 300, queries: int = 1_500, boosters: int = 1) -> Ranker:
    """LambdaRank with up to so many trees of 31 leaves, some features held to a trend."""
    sets = []
    for number, count in enumerate((queries, queries // 3)):
        features = candidates(count * _CANDIDATES, seed + number)
        sets.append(
            RankingSet(
                features,
                relevance(features, seed + number),
                np.repeat(np.arange(count), _CANDIDATES),
                pd.Series(np.arange(len(features)).astype(str)),
            )
        )
    params = RankerParams(
        max_trees=trees, patience_trees=trees, min_rows_per_leaf=50, boosters=boosters, learning_rate=0.05
    )
    return fit_ranker(*sets, params, trends={"count_3": 1, "recency_2": -1})
