"""What an item without a price is taken to cost: its category's median over all candidates, of every shard.

Counts of each price add up, so shards are read one at a time, and the medians are those of all rows together.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def price_counts(prices: pd.Series, categories: pd.Series) -> pd.DataFrame:
    """(category, price, rows), one row a known price of a category; a candidate may have no category."""
    of_price, distinct = pd.factorize(pd.to_numeric(prices, errors="coerce").to_numpy(dtype=np.float64))
    of_category, named = pd.factorize(categories)  # codes are enough for millions of candidates
    kinds = len(named) + 1
    key = (of_price * kinds + of_category + 1)[of_price >= 0]  # -1 where there is no category
    counted = pd.Series(key).value_counts(sort=False)
    found, names = counted.index.to_numpy(), np.array([None, *named], dtype=object)
    columns = {
        "category": names[found % kinds],
        "price": distinct[found // kinds],
        "rows": counted.to_numpy(),
    }
    return pd.DataFrame(columns).sort_values(["category", "price"], ignore_index=True)


def price_medians(counts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """(category, price), one row a category, and the overall median last, whose category is null.

    Empty when no price is known.

    Examples:
        >>> first = price_counts(pd.Series([2.0, 4.0, None]), pd.Series(["a", "a", "b"]))
        >>> second = price_counts(pd.Series([9.0]), pd.Series(["b"]))
        >>> price_medians([second, first])["price"].tolist()
        [3.0, 9.0, 4.0]
    """
    parts = list(counts)
    every = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    if every.empty:
        return pd.DataFrame({"category": pd.Series(dtype=object), "price": pd.Series(dtype=np.float64)})
    rows = [
        {"category": category, "price": _median(own)}
        for category, own in every[every["category"].notna()].groupby("category", sort=True)
    ]
    return pd.DataFrame([*rows, {"category": None, "price": _median(every)}])


def filled_prices(
    prices: pd.Series, categories: pd.Series, medians: pd.DataFrame
) -> tuple[NDArray[np.float64], int]:
    """(a price for every row, how many were missing); 1 for all while no price is known anywhere."""
    known = pd.to_numeric(prices, errors="coerce").to_numpy(dtype=np.float64).copy()
    missing = np.isnan(known)
    if missing.any():
        named = medians[medians["category"].notna()].set_index("category")["price"]
        overall = 1.0 if medians.empty else float(medians["price"].iloc[-1])
        own = categories[missing].astype(object).map(named).astype(float).fillna(overall)
        known[missing] = own.to_numpy()
    return known, int(missing.sum())


def _median(counted: pd.DataFrame) -> float:
    by_price = counted.groupby("price", sort=True)["rows"].sum()
    ends = by_price.to_numpy().cumsum()
    total = int(ends[-1])
    places = np.searchsorted(ends, [(total - 1) // 2, total // 2], side="right")
    return float(by_price.index.to_numpy(dtype=np.float64)[places].mean())
