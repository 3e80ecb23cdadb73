"""Rule recently_bought: no push for what is still in the cupboard."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.policy.params import PolicyParams
from models.policy.rule import Rule


def is_due(items: pd.DataFrame, params: PolicyParams) -> NDArray[np.bool_]:
    """Whether enough of the item's usual interval has passed since this user bought it.

    Examples:
        >>> facts = pd.DataFrame({"days_since_bought": [2, 4, np.nan], "mean_gap_days": [9, 9, np.nan]})
        >>> is_due(facts, PolicyParams(recently_bought_fraction=0.3)).tolist()
        [False, True, True]
    """
    rest = np.fmax(
        items["mean_gap_days"].to_numpy() * params.recently_bought_fraction, params.recently_bought_min_days
    )
    return ~np.asarray(items["days_since_bought"].to_numpy() < rest, dtype=bool)  # never bought: nan, due


def _words(items: pd.DataFrame, params: PolicyParams) -> list[str]:
    return [
        f"bought {days:.1f} days ago"
        + (
            f", usually every {gap:.1f} days"
            if gap == gap
            else f", rests {params.recently_bought_min_days:g}"
        )
        for days, gap in zip(items["days_since_bought"], items["mean_gap_days"], strict=True)
    ]


RECENTLY_BOUGHT = Rule("recently_bought", ("days_since_bought", "mean_gap_days"), is_due, _words)
