"""Rule no_consent: nobody is pushed who has not said yes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.policy.params import PolicyParams
from models.policy.rule import Rule


def has_consented(users: pd.DataFrame, params: PolicyParams) -> NDArray[np.bool_]:
    """Whether each user said yes; a missing answer is a no.

    Examples:
        >>> has_consented(pd.DataFrame({"push_consent": [True, None, False]}), PolicyParams()).tolist()
        [True, False, False]
    """
    answer = users["push_consent"]
    return np.asarray(answer.notna() & answer.eq(True).fillna(False), dtype=bool)


def _words(users: pd.DataFrame, params: PolicyParams) -> list[str]:
    return ["no recorded consent to push"] * len(users)


CONSENT = Rule("no_consent", ("push_consent",), has_consented, _words)
