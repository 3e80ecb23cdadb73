"""What was paid beside what the item usually costs: 0.8 is a fifth cheaper."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.vocabulary import Floats, Ints

USUAL_DAYS = 90
_LEAST_SALES = 3


def relative_prices(item: Ints, local_day: Ints, price: NDArray[np.float64]) -> Floats:
    """Each price over the item's mean price of the 90 days before its day; NaN after under three sales.

    Means are geometric. Only earlier days count, so that a price never depends on what came after it.

    Args:
        item: Item codes.
        local_day: Days since 1970-01-01.
        price: A unit's; NaN or not positive is not told.

    Examples:
        >>> day = np.array([1, 2, 3, 4], dtype=np.int32)
        >>> relative_prices(np.zeros(4, np.int32), day, np.array([2.0, 2.0, 2.0, 1.0])).round(3).tolist()
        [nan, nan, nan, 0.5]
    """
    found = np.full(len(item), np.nan, dtype=np.float32)
    told = np.flatnonzero(np.nan_to_num(price) > 0)
    if not len(told):
        return found
    day = local_day[told].astype(np.int64)
    day -= day.min()
    span = day.max() + 1
    key = item[told].astype(np.int64) * (span + USUAL_DAYS) + day + USUAL_DAYS  # no window meets another item
    order = np.argsort(key, kind="stable")
    level = np.log(price[told])
    before = np.concatenate([[0.0], np.cumsum(level[order])])
    first = np.searchsorted(key[order], key - USUAL_DAYS, side="left")
    last = np.searchsorted(key[order], key, side="left")
    sales = last - first
    usual = (before[last] - before[first]) / np.maximum(sales, 1)
    found[told] = np.where(sales >= _LEAST_SALES, np.exp(level - usual), np.nan)
    return found
