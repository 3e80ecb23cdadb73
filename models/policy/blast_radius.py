"""Blast radius: a plan much larger than usual stops and asks, as a mistake would reach everybody it names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class SizeLimit:
    """How large a plan may be without being asked about.

    Attributes:
        max_growth: Share by which it may exceed the usual size.
        least: So many pushes never ask: what is small cannot do much.
    """

    max_growth: float = 0.5
    least: int = 100


@dataclass(frozen=True)
class SizeVerdict:
    """Whether a plan may go out; `words` has the numbers."""

    passes: bool
    words: str


def judge_size(pushes: int, earlier: Sequence[int], approved: int, limit: SizeLimit) -> SizeVerdict:
    """Whether a plan of so many pushes is as usual, or approved.

    Args:
        pushes: The plan's.
        earlier: Pushes of earlier plan dates; without any there is nothing usual, and every size passes.
        approved: Up to so many somebody has approved for this date.

    Examples:
        >>> judge_size(1600, [1000, 900], 0, SizeLimit(max_growth=0.5)).words
        '1,600 pushes, 68% more than the usual 950 (median of 2 earlier plans); at most 1,425 pass unasked'
        >>> [judge_size(n, [1000], 1600, SizeLimit()).passes for n in (1500, 1600, 1601)]
        [True, True, False]
    """
    if not earlier:
        return SizeVerdict(True, f"{pushes:,} pushes, the first plan")
    usual = median(earlier)
    most = max(int(usual * (1.0 + limit.max_growth)), limit.least, approved)
    more = f"{pushes / usual - 1.0:.0%} more than" if usual else "more than"
    words = (
        f"{pushes:,} pushes, {more} the usual {usual:,.0f} (median of {len(earlier)} earlier plans); "
        f"at most {most:,} pass unasked"
    )
    return SizeVerdict(pushes <= most, words)
