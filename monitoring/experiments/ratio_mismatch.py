"""Sample-ratio mismatch: units that arms should have and do not, which no analysis can make good.

Two things can go wrong, and each is tested with half of the level. *Allocation*: the arms hold other
numbers of units than their shares say; the hash or eligibility is broken. *Loss*: of the units that were
assigned (that is on record, so it needs no guess) an arm lost more on the way to the data than another;
logging or delivery is. Loss is what happens, and counts alone hardly see it: 1 % lost of one of two arms of
100,000 makes a chi-square of the counts reject at 0.005 in 29 of 100 experiments, because the arms' sizes
vary by chance about as much. Given who was assigned, the same loss is dozens of standard errors.

Looks are daily and not planned, so look k may spend the level times 1 / (k (k + 1)): all looks together never
spend more than the level.

Source: Fabijan et al. (2019), Diagnosing sample ratio mismatch in online controlled experiments; Pearson
(1900).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, chdtri
from scipy.stats import ncx2

LEVEL = 0.002
"""Of false alarms over all looks: a blocked readout wakes somebody."""
LEAST_EXPECTED = 10.0
"""Fewer units in a cell by expectation and chi-square is no approximation: nothing is said."""


@dataclass(frozen=True)
class MismatchVerdict:
    """Whether the arms hold the units they should.

    Attributes:
        is_mismatch: Blocks the readout.
        allocation_p, loss_p: Of the two tests; NaN where units are too few to tell.
        level: That each was held to.
        words: What was found.
    """

    is_mismatch: bool
    allocation_p: float
    loss_p: float
    level: float
    words: str


def ratio_mismatch(
    arms: Sequence[str],
    shares: Sequence[float],
    assigned: Sequence[int],
    found: Sequence[int],
    look: int = 1,
    level: float = LEVEL,
) -> MismatchVerdict:
    """The verdict at this look.

    Args:
        arms, shares: As declared; shares need not sum to 1.
        assigned: Units that the hash gave each arm.
        found: Those of them whose exposure, sent or planned, is in the data.
        look: How many times it has been asked, this time included.
        level: Of false alarms, over all looks.

    Examples:
        >>> ratio_mismatch(("control", "new"), (0.5, 0.5), (100_000, 100_200), (99_000, 99_198)).words
        'arms hold the units they should: 99,000 and 99,198 found of 100,000 and 100,200 assigned'
        >>> ratio_mismatch(("control", "new"), (0.5, 0.5), (100_000, 100_200), (100_000, 99_198)).words
        'new lost 1.0% of its 100,200 units, control 0.0% of 100,000 (p 1e-220): find where they get lost'
    """
    each = level / 2.0 / (look * (look + 1))
    allocation, loss = _allocation_p(shares, assigned), _loss_p(assigned, found)
    if loss < each:
        share_lost = [1.0 - got / had if had else 0.0 for had, got in zip(assigned, found, strict=True)]
        worst, best = int(np.argmax(share_lost)), int(np.argmin(share_lost))
        words = (
            f"{arms[worst]} lost {share_lost[worst]:.1%} of its {assigned[worst]:,} units, {arms[best]} "
            f"{share_lost[best]:.1%} of {assigned[best]:,} (p {loss:.0e}): find where they get lost"
        )
    elif allocation < each:
        expected = np.array(shares) / sum(shares) * sum(assigned)
        off = int(np.argmax(np.abs(np.array(assigned) - expected) / np.sqrt(expected)))
        words = (
            f"{arms[off]} was assigned {assigned[off]:,} units, its share of {sum(assigned):,} is "
            f"{expected[off]:,.0f} (p {allocation:.0e}): check eligibility and the hash"
        )
    elif not (np.isfinite(allocation) or np.isfinite(loss)):
        words = f"too few units to tell a mismatch: {sum(assigned):,} assigned"
    else:
        counted = [" and ".join(f"{count:,}" for count in counts) for counts in (found, assigned)]
        words = f"arms hold the units they should: {counted[0]} found of {counted[1]} assigned"
    return MismatchVerdict(loss < each or allocation < each, allocation, loss, each, words)


def counts_only_detection(units: int, loss: float, level: float = 0.005) -> float:
    """How often a chi-square of two even arms' counts alone would see that one lost this part of its units.

    Examples:
        >>> round(counts_only_detection(200_000, 0.01), 2)
        0.29
    """
    left = units / 2.0 * (2.0 - loss)
    apart = (units / 2.0 * loss) ** 2 / left
    return float(ncx2.sf(chdtri(1, level), 1, apart))


def _allocation_p(shares: Sequence[float], assigned: Sequence[int]) -> float:
    total = sum(assigned)
    expected = np.array(shares, dtype=np.float64) / sum(shares) * total
    return _chi_square_p(np.array(assigned), expected, len(expected) - 1)


def _loss_p(assigned: Sequence[int], found: Sequence[int]) -> float:
    table = np.array([found, np.array(assigned) - np.array(found)])
    if table[1].sum() == 0:
        return 1.0 if min(assigned) > 0 else float("nan")
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    return _chi_square_p(table, expected, table.shape[1] - 1)


def _chi_square_p(counts: np.ndarray, expected: np.ndarray, freedom: int) -> float:
    if expected.min() < LEAST_EXPECTED:
        return float("nan")
    return float(chdtrc(freedom, ((counts - expected) ** 2 / expected).sum()))
