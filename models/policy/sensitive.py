"""Rule sensitive: what should not light up on a lock screen is not pushed."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.policy.params import PolicyParams
from models.policy.rule import Rule


def is_presentable(items: pd.DataFrame, params: PolicyParams) -> NDArray[np.bool_]:
    """Whether each item may be shown to anybody who sees the phone.

    Examples:
        >>> is_presentable(pd.DataFrame({"sensitive": [True, False]}), PolicyParams()).tolist()
        [False, True]
    """
    return ~np.asarray(items["sensitive"], dtype=bool) | params.allow_sensitive


def _words(items: pd.DataFrame, params: PolicyParams) -> list[str]:
    return ["marked sensitive in the catalogue"] * len(items)


SENSITIVE = Rule("sensitive", ("sensitive",), is_presentable, _words)
