"""How many times more often one group does something than another, with bounds that hold at every look.

A canary is looked at again and again, and is ended at the first look that shows harm: an interval that holds
once would be wrong far too often. Given how many of both groups did it in all, who did it is a matter of
the groups' sizes and the ratio alone; a mixture over that chance is a martingale, so its bounds hold at all
times at once. Where most of a group did it, they are wider than they need be, never narrower.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log

from scipy.optimize import brentq
from scipy.special import betaln

_PRIOR = 10.0
"""Weight of the mixture in events: bounds are tightest after about so many."""


@dataclass(frozen=True)
class RateRatio:
    """The ratio of two rates.

    Attributes:
        ratio: The first group's rate over the second's; NaN while nobody did it.
        low, high: Bounds that hold at every look, together, with the confidence asked for.
    """

    ratio: float
    low: float
    high: float


def rate_ratio(did: int, of: int, others_did: int, of_others: int, alpha: float = 0.05) -> RateRatio:
    """The rate `did / of` over `others_did / of_others`.

    Args:
        did: Users of the first group who did it, of `of`.
        others_did: The same of the second.
        alpha: Chance that the bounds ever miss the truth.

    Source: Robbins (1970), mixtures of likelihood ratios; Howard, Ramdas, McAuliffe, Sekhon (2021).

    Examples:
        >>> rate_ratio(20, 1_000, 20, 9_000).low > 1.0, rate_ratio(3, 1_000, 20, 9_000).low < 1.0
        (True, True)
        >>> rate_ratio(0, 1_000, 0, 9_000)
        RateRatio(ratio=nan, low=0.0, high=inf)
    """
    events = did + others_did
    if not events or not of or not of_others:
        return RateRatio(float("nan"), 0.0, inf)
    usual = of / (of + of_others)
    a, b = _PRIOR * usual, _PRIOR * (1 - usual)
    mixed = float(betaln(did + a, others_did + b) - betaln(a, b))

    def beyond(chance: float) -> float:
        """Above zero where this chance is refuted."""
        return mixed - did * log(chance) - others_did * log(1 - chance) - log(1 / alpha)

    seen, edge = did / events, 1e-12
    inside = min(max(seen, edge), 1 - edge)
    low = brentq(beyond, edge, inside) if seen > 0 and beyond(edge) > 0 > beyond(inside) else 0.0
    high = brentq(beyond, inside, 1 - edge) if seen < 1 and beyond(1 - edge) > 0 > beyond(inside) else 1.0

    def as_ratio(chance: float) -> float:
        return inf if chance >= 1 else chance / (1 - chance) * of_others / of

    return RateRatio(as_ratio(seen), as_ratio(low), as_ratio(high))
