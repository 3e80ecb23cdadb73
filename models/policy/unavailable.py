"""Rule unavailable: nothing is pushed that cannot be bought."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.policy.params import PolicyParams
from models.policy.rule import Rule


def is_available(items: pd.DataFrame, params: PolicyParams) -> NDArray[np.bool_]:
    """Whether each item is in the catalogue, not withdrawn and not out of stock; unknown stock is fine.

    Examples:
        >>> facts = {"in_catalogue": [True] * 3, "available": [1.0, 0.0, np.nan], "stock": [np.nan, 5.0, 0.0]}
        >>> is_available(pd.DataFrame(facts), PolicyParams()).tolist()
        [True, False, False]
    """
    withdrawn = np.asarray(items["available"] == 0.0)
    sold_out = np.asarray(items["stock"] <= 0.0)
    return np.asarray(items["in_catalogue"].to_numpy(dtype=bool) & ~withdrawn & ~sold_out, dtype=bool)


def _words(items: pd.DataFrame, params: PolicyParams) -> list[str]:
    return [
        "not in the catalogue" if not known else "withdrawn" if available == 0.0 else f"stock is {stock:g}"
        for known, available, stock in zip(
            items["in_catalogue"], items["available"], items["stock"], strict=True
        )
    ]


UNAVAILABLE = Rule("unavailable", ("in_catalogue", "available", "stock"), is_available, _words)
