"""What an item without a price is taken to cost: the median of its category's items, each counted once.

They are known before anybody is scored, so that a shard of users is planned without a look at the others.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def item_prices(history: pd.DataFrame, item_ids: pd.Index) -> pd.Series:
    """Mean price paid a unit, one a row of `item_ids`; NaN where nobody told amount and quantity.

    Args:
        history: (item_id, quantity, amount), one row a thing bought or looked at.

    Examples:
        >>> told = {"item_id": ["a", "a", "b"], "quantity": [1, 2, None], "amount": [2.0, 7.0, 5.0]}
        >>> item_prices(pd.DataFrame(told), pd.Index(["a", "b"])).tolist()
        [3.0, nan]
    """
    paid = history[["item_id", "quantity", "amount"]].dropna()
    sums = paid.groupby(paid["item_id"].astype(object))[["quantity", "amount"]].sum().reindex(item_ids)
    sums = sums.astype(np.float64)
    return (sums["amount"] / sums["quantity"].where(sums["quantity"] > 0)).rename("price")


def price_medians(prices: pd.Series, categories: pd.Series) -> pd.DataFrame:
    """(category, price), one row a category, and the overall median last, whose category is null.

    Empty when no price is known.

    Args:
        prices, categories: Of each item, in the same order; an item may have no category.

    Examples:
        >>> price_medians(pd.Series([2.0, 4.0, None, 9.0]), pd.Series(["a", "a", "b", "b"]))["price"].tolist()
        [3.0, 9.0, 4.0]
    """
    known = pd.DataFrame({"category": np.asarray(categories, object), "price": np.asarray(prices, float)})
    known = known[known["price"].notna()]
    if known.empty:
        return known.reset_index(drop=True)
    own = known.groupby("category", sort=True)["price"].median().reset_index()
    return pd.concat([own, pd.DataFrame({"category": [None], "price": [known["price"].median()]})])


def filled_prices(
    prices: pd.Series, categories: pd.Series, medians: pd.DataFrame
) -> tuple[NDArray[np.float64], int]:
    """(a price for every row, how many were missing); 1 for all while no price is known anywhere.

    Args:
        medians: From `price_medians`.
    """
    known = pd.to_numeric(prices, errors="coerce").to_numpy(dtype=np.float64)
    missing = np.isnan(known)
    count = int(missing.sum())
    if count:
        named = medians[medians["category"].notna()].set_index("category")["price"]
        overall = 1.0 if medians.empty else float(medians["price"].iloc[-1])
        own = categories[missing].astype(object).map(named).astype(float).fillna(overall)
        known = known.copy()
        known[missing] = own.to_numpy()
    return known, count
