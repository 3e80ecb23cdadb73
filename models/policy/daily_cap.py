"""Rule daily_cap: at most so many pushes a user and local day."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.policy.params import PolicyParams
from models.policy.rule import Rule


def is_under_cap(rows: pd.DataFrame, params: PolicyParams) -> NDArray[np.bool_]:
    """Whether one more push fits, given those already sent or chosen for the day.

    Examples:
        >>> is_under_cap(pd.DataFrame({"pushes_that_day": [0, 1], "cap": [1, 1]}), PolicyParams()).tolist()
        [True, False]
    """
    return np.asarray(rows["pushes_that_day"] < rows["cap"], dtype=bool)


def _words(rows: pd.DataFrame, params: PolicyParams) -> list[str]:
    nobody = [None] * len(rows)
    chosen = rows.get("chosen", nobody)  # why another push of the day went before
    return [
        f"{count} of at most {cap} pushes that day" + (f"; {better}" if better else "")
        for count, cap, better in zip(rows["pushes_that_day"], rows["cap"], chosen, strict=True)
    ]


DAILY_CAP = Rule("daily_cap", ("pushes_that_day", "cap"), is_under_cap, _words, tells=("chosen",))
