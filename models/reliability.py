"""Reliability: how often what was said to happen with a chance did happen."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def reliability_curve(labels: ArrayLike, probabilities: ArrayLike, bins: int = 10) -> list[dict[str, Any]]:
    """One row a bin of about equally many rows, by rising probability; [] without rows.

    Args:
        labels: 0 or 1.
        probabilities: Stated, in [0, 1]; equal ones share a bin.
        bins: At most so many.

    Returns:
        {"stated": mean probability, "observed": share that happened, "low", "high": 95 % Wilson interval of
        it, "rows"}. The interval takes rows as independent, so it is narrow where users repeat.

    Source: Murphy and Winkler (1977); Wilson (1927).

    Examples:
        >>> [row] = reliability_curve([0, 1], [0.5, 0.5])
        >>> row["stated"], row["observed"], row["rows"]
        (0.5, 0.5, 2)
    """
    stated, happened = np.asarray(probabilities, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    if not len(stated):
        return []
    ordered = np.sort(stated)
    edges = np.unique(ordered[(np.arange(1, bins) * len(ordered)) // bins])
    place = np.searchsorted(edges, stated, side="right")
    rows = np.bincount(place)
    mean, share = np.bincount(place, stated), np.bincount(place, happened)
    return [
        {
            "stated": float(mean[one] / rows[one]),
            "observed": float(share[one] / rows[one]),
            **_wilson(float(share[one]), int(rows[one])),
            "rows": int(rows[one]),
        }
        for one in np.flatnonzero(rows)
    ]


def _wilson(hits: float, rows: int, z: float = 1.96) -> dict[str, float]:
    share = hits / rows
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    width = z / (1 + z * z / rows) * np.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    return {"low": float(max(middle - width, 0.0)), "high": float(min(middle + width, 1.0))}
