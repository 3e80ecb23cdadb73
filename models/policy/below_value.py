"""Rule below_value: a push that is not worth its interruption is not sent."""

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


def _words(pushes: pd.DataFrame, params: PolicyParams) -> list[str]:
    notes = pushes["note"] if "note" in pushes else [""] * len(pushes)
    return [
        f"expected value {value:.4f}, must exceed {params.min_expected_value:g}{note}"
        for value, note in zip(pushes["expected_value"], notes, strict=True)
    ]


BELOW_VALUE = Rule("below_value", ("expected_value",), is_worth_it, _words)
