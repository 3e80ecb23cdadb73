"""A unit's place in [0, 1) under a salt: the same on every machine and day, unrelated under another salt.

Source: Aumasson and Bernstein (2012), SipHash: a fast short-input PRF. A keyed pseudo-random function gives
places under two keys that no test of independence tells from chance.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


def places(unit_ids: Any, salt: str) -> Doubles:
    """The place of each unit under `salt`, in [0, 1).

    Args:
        unit_ids: One entry a unit; an id counts as its text, so that 7 and "7" are the same unit.

    Examples:
        >>> places(["u1", "u2"], "a").round(4).tolist()
        [0.8462, 0.7009]
        >>> bool((places([7], "a") == places(["7"], "a")).all())
        True
    """
    ids = np.asarray(unit_ids, dtype=object)
    if not len(ids):
        return np.zeros(0)
    texts = ids if all(type(unit) is str for unit in ids) else np.array([str(u) for u in ids], dtype=object)
    key = hashlib.sha256(f"kairos|experiment|{salt}".encode()).hexdigest()[:16]
    hashed = pd.util.hash_array(texts, hash_key=key, categorize=False)
    return np.asarray((hashed >> np.uint64(11)) / 2.0**53, dtype=np.float64)
