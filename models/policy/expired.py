"""Rule expired: a slot whose last time to send passed before the plan was made is gone."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.policy.params import PolicyParams
from models.policy.rule import Rule


def is_still_ahead(slots: pd.DataFrame, params: PolicyParams) -> NDArray[np.bool_]:
    """Whether each slot is sent at or after the plan's knowledge cut-off.

    Examples:
        >>> slots = pd.DataFrame({"send_epoch_seconds": [10, 20], "as_of_epoch_seconds": [20, 20]})
        >>> is_still_ahead(slots, PolicyParams()).tolist()
        [False, True]
    """
    return np.asarray(slots["send_epoch_seconds"] >= slots["as_of_epoch_seconds"], dtype=bool)


def _words(slots: pd.DataFrame, params: PolicyParams) -> list[str]:
    hours = (slots["as_of_epoch_seconds"] - slots["send_epoch_seconds"]) / 3600
    return [f"its last time to send had passed {late:.1f} hours before the plan was made" for late in hours]


EXPIRED = Rule("expired", ("send_epoch_seconds", "as_of_epoch_seconds"), is_still_ahead, _words)
