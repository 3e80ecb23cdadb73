"""Rule min_gap: two pushes to one user keep their distance, whether sent or only planned."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.policy.params import PolicyParams
from models.policy.rule import Rule


def is_far_from_others(slots: pd.DataFrame, params: PolicyParams) -> NDArray[np.bool_]:
    """Whether each send is at least the minimum gap away from the user's nearest other push.

    Examples:
        >>> slots = pd.DataFrame({"hours_to_nearest_push": [3.0, 12.0, float("nan")]})
        >>> is_far_from_others(slots, PolicyParams(min_gap_hours=12)).tolist()
        [False, True, True]
    """
    return ~np.asarray(slots["hours_to_nearest_push"] < params.min_gap_hours, dtype=bool)


def _words(slots: pd.DataFrame, params: PolicyParams) -> list[str]:
    return [
        f"{hours:.1f} hours from another push, must be at least {params.min_gap_hours:g}"
        for hours in slots["hours_to_nearest_push"]
    ]


MIN_GAP = Rule("min_gap", ("hours_to_nearest_push",), is_far_from_others, _words)
