"""Category paths such as 'food > dairy > milk'."""

from __future__ import annotations

import pandas as pd


def in_category(paths: pd.Series, category: str) -> pd.Series:
    """Whether each category path is the category or lies below it.

    Examples:
        >>> in_category(pd.Series(["food > dairy", "food > dairy > milk", "food"]), "food > dairy").tolist()
        [True, True, False]
    """
    told = paths.astype("object").fillna("")
    return told.eq(category) | told.str.startswith(f"{category} > ")
