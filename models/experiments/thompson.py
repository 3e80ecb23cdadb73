"""Shares of the arms by how likely each is the best, beside a control whose share never moves.

The control's fixed share keeps its mean unbiased and its propensity known; a floor under every other arm
keeps the propensities from vanishing, without which no estimate could make up for the allocation. Users come
in waves, one a day, each with the shares of its day for good. Sample means of arms that were allocated so are
biased downwards; `monitoring/experiments/adaptive.py` corrects that.

Source: Thompson (1933); Russo et al. (2018), A tutorial on Thompson sampling; Hadad et al. (2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from features.errors import UsageError
from models.experiments.split import Split


@dataclass(frozen=True)
class ThompsonParams:
    """How freely shares move.

    Attributes:
        control_share: Of all units, always.
        floor: No other arm's share falls below it.
        draws: From the arms' posteriors.
        seed: The same draws for the same counts.
    """

    control_share: float = 0.2
    floor: float = 0.05
    draws: int = 20_000
    seed: int = 0


def thompson_shares(
    conversions: Sequence[int], units: Sequence[int], params: ThompsonParams | None = None
) -> NDArray[np.float64]:
    """The arms' shares, the control's first; they sum to 1.

    Args:
        conversions, units: Of each arm but the control, as known when the shares are set; a uniform prior.

    Raises:
        UsageError: Shares that cannot be, or more conversions than units.

    Examples:
        >>> thompson_shares([10, 30], [100, 100]).round(2).tolist()
        [0.2, 0.05, 0.75]
    """
    params = params or ThompsonParams()
    hits, tried = np.asarray(conversions, dtype=np.float64), np.asarray(units, dtype=np.float64)
    free = 1.0 - params.control_share - params.floor * len(tried)
    if not 0.0 < params.control_share < 1.0 or params.floor <= 0.0 or free < 0.0 or not len(tried):
        raise UsageError(
            f"control share {params.control_share:g} and a floor of {params.floor:g} for each of "
            f"{len(tried)} arms must be > 0 and leave something to share; lower them."
        )
    if ((hits < 0) | (hits > tried)).any():
        raise UsageError("an arm has more conversions than units, must be between 0 and its units; recount.")
    rng = np.random.default_rng(params.seed)
    drawn = rng.beta(1.0 + hits, 1.0 + tried - hits, size=(params.draws, len(tried)))
    is_best = np.bincount(drawn.argmax(axis=1), minlength=len(tried)) / params.draws
    return np.concatenate([[params.control_share], params.floor + free * is_best])


def thompson_of(split: Split, seed: int = 0) -> ThompsonParams:
    """How the experiment's shares move: its control keeps the declared share."""
    return ThompsonParams(control_share=split.control.share, seed=seed)


def with_waves(split: Split, shares: Sequence[float], count: int) -> Split:
    """The experiment with its first `count` waves come, those that are new with these shares of its arms.

    Examples:
        >>> from models.experiments.split import Arm
        >>> arms = (Arm("control", 0.2), Arm("a", 0.4), Arm("b", 0.4))
        >>> grown = with_waves(Split("spring", "push", 0.0, 1.0, arms, 2), (0.2, 0.3, 0.5), 5)
        >>> grown.wave_shares
        ((0.2, 0.3, 0.5), (0.2, 0.3, 0.5))
    """
    new = min(count, split.waves) - len(split.wave_shares)
    told = tuple(float(share) for share in shares)
    return replace(split, wave_shares=(*split.wave_shares, *([told] * max(new, 0))))
