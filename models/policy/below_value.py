"""Rule below_value: a push that is not worth its interruption is not sent; pushes of late make it dearer."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.policy.params import PolicyParams
from models.policy.rule import Rule


def is_worth_it(pushes: pd.DataFrame, params: PolicyParams) -> NDArray[np.bool_]:
    """Whether each push's expected value exceeds the threshold.

    Examples:
        >>> pushes = pd.DataFrame({"expected_value": [0.0, 0.2]})
        >>> is_worth_it(pushes, PolicyParams(min_expected_value=0.1)).tolist()
        [False, True]
    """
    return np.asarray(pushes["expected_value"] > params.min_expected_value, dtype=bool)


def push_costs(recent_pushes: NDArray[np.float64], params: PolicyParams) -> NDArray[np.float64]:
    """What each push costs its reader's patience, in the currency of the prices.

    Args:
        recent_pushes: Pushes of late, each halved after `fatigue_half_life_days`.

    Examples:
        >>> push_costs(np.array([0.0, 1.5]), PolicyParams(fatigue_cost=0.02)).tolist()
        [0.0, 0.03]
    """
    return np.asarray(params.fatigue_cost * recent_pushes, dtype=np.float64)


def _words(pushes: pd.DataFrame, params: PolicyParams) -> list[str]:
    none = [0.0] * len(pushes)
    notes = pushes["note"] if "note" in pushes else [""] * len(pushes)
    costs = pushes.get("push_cost", none)
    recent = pushes.get("recent_pushes", none)
    return [
        f"expected value {value:.4f}, must exceed {params.min_expected_value:g}"
        + (f"; {cost:.4f} was taken off for {pushed:.1f} pushes of late" if cost > 0 else "")
        + note
        for value, cost, pushed, note in zip(pushes["expected_value"], costs, recent, notes, strict=True)
    ]


BELOW_VALUE = Rule(
    "below_value", ("expected_value",), is_worth_it, _words, tells=("note", "push_cost", "recent_pushes")
)
