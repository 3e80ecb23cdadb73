"""Chance by counter: each draw is a function of the seed, of what it is for, and of whom it concerns.

No generator is carried along, so the same draw comes out whatever else is drawn, in any order and any chunks.

Source: SplitMix64's finaliser (Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, 2014).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

Doubles = NDArray[np.float64]
Longs = NDArray[np.int64]
Flags = NDArray[np.bool_]
Words = NDArray[np.uint64]

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def uniforms(seed: int, purpose: str, *whom: Any) -> Doubles:
    """Draws in (0, 1), one for each of the broadcast `whom`, whole numbers that say whom a draw concerns.

    Examples:
        >>> both = uniforms(7, "hour", np.arange(3), 5)
        >>> bool(both[1] == uniforms(7, "hour", 1, 5)), bool(0 < both.min() and both.max() < 1)
        (True, True)
    """
    with np.errstate(over="ignore"):  # of 64 bits the low ones are meant
        state = _mixed(np.uint64(seed) + _GAMMA * np.uint64(zlib.crc32(purpose.encode())))
        for one in whom:
            state = _mixed(state ^ (np.asarray(one).astype(np.uint64) * _GAMMA + _GAMMA))
        return np.asarray(((state >> np.uint64(11)) + 0.5) * 2.0**-53, dtype=np.float64)


def normals(seed: int, purpose: str, *whom: Any) -> Doubles:
    """Standard normal draws, as `uniforms`."""
    return np.asarray(ndtri(uniforms(seed, purpose, *whom)), dtype=np.float64)


def gumbels(seed: int, purpose: str, *whom: Any) -> Doubles:
    """Standard Gumbel draws: the largest of log-weights plus these is drawn by weight."""
    return np.asarray(-np.log(-np.log(uniforms(seed, purpose, *whom))), dtype=np.float64)


def drawn(weights: Doubles, uniform: Doubles) -> Longs:
    """A column for each row of `weights`, drawn by weight.

    Examples:
        >>> drawn(np.array([[1.0, 3.0], [1.0, 3.0]]), np.array([0.2, 0.3])).tolist()
        [0, 1]
    """
    total = weights.cumsum(axis=1)
    chosen = (total < (uniform * total[:, -1])[:, None]).sum(axis=1)
    return np.asarray(np.minimum(chosen, weights.shape[1] - 1), dtype=np.int64)


def text_numbers(texts: Sequence[str]) -> Words:
    """A number for each text, the same everywhere: whom a draw concerns, where that has a name."""
    return np.asarray(pd.util.hash_array(np.array(texts, dtype=object), categorize=False), dtype=np.uint64)


def _mixed(state: Any) -> Any:
    state = (state ^ (state >> np.uint64(30))) * _FIRST
    state = (state ^ (state >> np.uint64(27))) * _SECOND
    return state ^ (state >> np.uint64(31))
