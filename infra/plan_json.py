"""The plan's JSON columns as canonical text: the same value is always the same bytes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def json_array(values: NDArray[np.object_]) -> pa.Array:
    """Canonical JSON of each value; what many rows share is written once."""
    place: dict[int, int] = {}
    texts: list[str | None] = []
    codes = np.empty(len(values), dtype=np.int32)
    for row, value in enumerate(values):
        code = place.get(id(value))  # the array keeps every value alive, so an id is one value's alone
        if code is None:
            code = place[id(value)] = len(texts)
            texts.append(_json_text(value))
        codes[row] = code
    return pa.array(texts, pa.string()).take(pa.array(codes))


def _json_text(value: Any) -> str | None:
    """Canonical JSON: sorted keys, no blanks, numbers plain."""
    if value is None or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list) and not value:
        return "[]"
    return _JSON_ENCODER.encode(value)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no JSON form")


_JSON_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain
)
