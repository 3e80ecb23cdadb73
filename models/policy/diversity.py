"""Rule diversity: a push is not five of a kind, and a day's pushes do not repeat an item."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.groups import place_within
from models.policy.params import PolicyParams
from models.policy.rule import Rule


def adds_variety(items: pd.DataFrame, params: PolicyParams) -> NDArray[np.bool_]:
    """Whether each item is new that day and among the best few of its category in its slot.

    Args:
        items: In order of score within each slot; `category` codes, negative where unknown.

    Examples:
        >>> facts = {"slot_row": [0, 0, 0, 1], "category_code": [7, 7, 7, 7], "pushed_that_day": False}
        >>> adds_variety(pd.DataFrame(facts), PolicyParams(max_per_category=2)).tolist()
        [True, True, False, True]
    """
    fresh = ~np.asarray(items["pushed_that_day"], dtype=bool)
    slot, category = (items[name].to_numpy().astype(np.int64) for name in ("slot_row", "category_code"))
    kinds = int(category.max(initial=-1)) + 2
    place = np.zeros(len(items), dtype=np.int64)
    place[fresh] = place_within((slot * kinds + category + 1)[fresh])
    return fresh & ((category < 0) | (place < params.max_per_category))


def _words(items: pd.DataFrame, params: PolicyParams) -> list[str]:
    return [
        "already in another push that day"
        if repeated
        else f"{params.max_per_category} better items of '{category}' are in the push"
        for repeated, category in zip(items["pushed_that_day"], items["category"], strict=True)
    ]


DIVERSITY = Rule(
    "diversity", ("slot_row", "category_code", "pushed_that_day"), adds_variety, _words, tells=("category",)
)
