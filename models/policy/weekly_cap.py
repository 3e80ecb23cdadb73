"""Rule weekly_cap: at most so many pushes on any seven local days in a row, whoever sent them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.policy.params import PolicyParams
from models.policy.rule import Rule

WEEK_DAYS = 7


def is_under_weekly_cap(rows: pd.DataFrame, params: PolicyParams) -> NDArray[np.bool_]:
    """Whether one more push fits into the seven local days that end with the plan date.

    Examples:
        >>> rows = pd.DataFrame({"pushes_that_week": [4, 5]})
        >>> is_under_weekly_cap(rows, PolicyParams(max_per_week=5)).tolist()
        [True, False]
    """
    return np.asarray(rows["pushes_that_week"] < params.max_per_week, dtype=bool)


def _words(rows: pd.DataFrame, params: PolicyParams) -> list[str]:
    return [
        f"{count} of at most {params.max_per_week} pushes in {WEEK_DAYS} days"
        for count in rows["pushes_that_week"]
    ]


WEEKLY_CAP = Rule("weekly_cap", ("pushes_that_week",), is_under_weekly_cap, _words)
