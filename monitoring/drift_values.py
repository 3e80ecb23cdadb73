"""The measuring itself: two columns made comparable, and Evidently's effect size of each pair."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

import numpy as np
import pandas as pd

from features.errors import KairosError

Method = Literal["wasserstein", "psi", "jensenshannon", "null_share"]
MAX_CATEGORIES = 30
_OTHER, _RARE, _NEW, _NULL = "(other)", "(rare)", "(new)", "(null)"
_TAIL = 0.01
_EVIDENTLY_LEAST_STD = 0.001  # its Wasserstein never divides by less


@dataclass(frozen=True)
class Pair:
    """Two columns ready for Evidently, under one name.

    Attributes:
        name: The column's.
        reference, current: Float without infinities, or text without nulls.
        method: What to measure.
        is_category: Whether values are categories.
        detail: How they were changed, or ''.
    """

    name: str
    reference: pd.Series
    current: pd.Series
    method: Method
    is_category: bool
    detail: str = ""


def comparable(reference: pd.Series, current: pd.Series, method: Method) -> Pair:
    """The pair as the method needs it.

    A reference with one single value has no spread to measure by: what counts then is how often the value
    is another one. Numbers that spread less than Evidently divides by are scaled up, which changes nothing
    else. For a Wasserstein distance the outer percent on each side counts as the reference's percentile:
    one outlier is no drift, a shifted body is. Categories beyond the reference's most frequent ones become
    '(rare)', values that the reference lacks '(new)', and null is a category too.

    Examples:
        >>> pair = comparable(pd.Series([1.0, 1.0]), pd.Series([1.0, 2.0]), "wasserstein")
        >>> pair.method, pair.current.tolist()
        ('jensenshannon', ['1', '(other)'])
    """
    name = str(reference.name)
    numbers = method != "jensenshannon" and all(
        pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
        for values in (reference, current)
    )
    if not numbers:
        if method == "wasserstein":  # true and false are 0 and 1
            return comparable(reference.astype("float64"), current.astype("float64"), method)
        return _categories(name, reference, current, method)
    before, now = (_finite(values) for values in (reference, current))
    if before.nunique() < 2:
        return _against_a_constant(name, before, now)
    low, high = before.quantile(_TAIL), before.quantile(1.0 - _TAIL)
    if method == "wasserstein" and low < high:
        # A distance in standard deviations would otherwise be that of a few outliers.
        before, now = before.clip(low, high), now.clip(low, high)
    spread = float(before.std(ddof=0))
    if spread < _EVIDENTLY_LEAST_STD:
        before, now = before / spread, now / spread
        return Pair(name, before, now, method, False, "shown in reference standard deviations")
    return Pair(name, before, now, method, False)


def measured(pairs: Sequence[Pair]) -> tuple[list[float], str, str]:
    """(the effect size of each pair, Evidently's page, its snapshot as JSON); all empty without pairs.

    Raises:
        KairosError: Evidently gave no number for a pair.
    """
    if not pairs:
        return [], "", ""
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    # One column a pair: the same column may be asked for twice, with other methods.
    names = _distinct_names(pairs)
    definition = DataDefinition(
        numerical_columns=[name for name, pair in zip(names, pairs, strict=True) if not pair.is_category],
        categorical_columns=[name for name, pair in zip(names, pairs, strict=True) if pair.is_category],
    )
    frames = (
        pd.concat({name: pair.current for name, pair in zip(names, pairs, strict=True)}, axis=1),
        pd.concat({name: pair.reference for name, pair in zip(names, pairs, strict=True)}, axis=1),
    )
    current, reference = (Dataset.from_pandas(frame, data_definition=definition) for frame in frames)
    metrics = [ValueDrift(column=name, method=pair.method) for name, pair in zip(names, pairs, strict=True)]
    with np.errstate(divide="ignore", invalid="ignore"):
        snapshot = Report(metrics).run(current, reference)
    values = values_of(snapshot.dict())
    lacking = [name for name in names if not isfinite(values.get(name, np.nan))]
    if lacking:
        raise KairosError(f"Evidently measured no drift for {', '.join(lacking)}; look at these columns.")
    page = str(snapshot.get_html_str(as_iframe=False))
    return [values[name] for name in names], page, snapshot_json(snapshot)


def snapshot_json(snapshot: Any) -> str:
    """An Evidently snapshot as its own UI reads it."""
    from evidently.legacy.utils import NumpyEncoder

    return json.dumps(snapshot.to_snapshot_model().dict(), cls=NumpyEncoder)


def values_of(snapshot: Mapping[str, Any]) -> dict[str, float]:
    """Column -> effect size, from a snapshot's dictionary; anything that is no ValueDrift is passed over.

    Examples:
        >>> values_of({"metrics": [{"config": {"type": "x:ValueDrift", "column": "a"}, "value": 0.5}, {}]})
        {'a': 0.5}
    """
    found = {}
    for metric in snapshot.get("metrics", ()):
        config = metric.get("config") or {}
        if not str(config.get("type", "")).endswith("ValueDrift") or "column" not in config:
            continue
        value = metric.get("value")
        if isinstance(value, Mapping):
            value = value.get("value")
        found[str(config["column"])] = float("nan") if value is None else float(value)
    return found


def _distinct_names(pairs: Sequence[Pair]) -> list[str]:
    names: list[str] = []
    for pair in pairs:
        repeated = sum(other.name == pair.name for other in pairs[: len(names)])
        names.append(f"{pair.name} ({repeated + 1})" if repeated else pair.name)
    return names


def _finite(values: pd.Series) -> pd.Series:
    numbers = pd.Series(values.to_numpy(dtype="float64", na_value=np.nan), name=values.name)
    return numbers.where(np.isfinite(numbers))


def _categories(name: str, reference: pd.Series, current: pd.Series, method: Method) -> Pair:
    before, now = (_text(values) for values in (reference, current))
    counts = before.value_counts()
    kept = sorted(counts.index, key=lambda value: (-counts[value], value))[:MAX_CATEGORIES]
    rare = now.isin(counts.index) & ~now.isin(kept)
    now = now.where(now.isin(kept), _NEW).mask(rare, _RARE)
    return Pair(name, before.where(before.isin(kept), _RARE), now, method, True)


def _against_a_constant(name: str, before: pd.Series, now: pd.Series) -> Pair:
    constant = before.dropna().iloc[0]
    label = f"{constant:g}"
    same = [
        values.dropna().eq(constant).map({True: label, False: _OTHER}).reset_index(drop=True)
        for values in (before, now)
    ]
    return Pair(name, same[0], same[1], "jensenshannon", True, f"always {label} in the reference")


def _text(values: pd.Series) -> pd.Series:
    return pd.Series(
        values.astype(object).where(values.notna(), _NULL).astype(str).to_numpy(), name=values.name
    )
