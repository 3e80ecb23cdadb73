"""Several comparisons at one level: Holm's steps, also over sequential boundaries.

At any look the comparison is rejected whose boundary at level alpha / (how many are left) it has crossed,
then again with one less left. Boundaries of a higher level lie lower at every look, so the steps are
consistent and the chance of any false rejection is at most alpha whatever the correlations.

Source: Holm (1979); Ye, Li, Liu and Yao (2013), A group sequential Holm procedure with multiple primary
endpoints; Maurer and Bretz (2013).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence


def holm_rejections(
    names: Sequence[str], is_rejected_at: Callable[[str, float], bool], alpha: float
) -> dict[str, float]:
    """Rejected comparison -> the level at which it was rejected, in the order of the steps.

    Args:
        is_rejected_at: (comparison, level) -> whether it is rejected at that level.

    Examples:
        >>> p_values = {"a": 0.012, "b": 0.04, "c": 0.02}
        >>> holm_rejections(list(p_values), lambda name, level: p_values[name] <= level, 0.05)
        {'a': 0.016666666666666666, 'c': 0.025, 'b': 0.05}
    """
    rejected: dict[str, float] = {}
    while len(rejected) < len(names):
        left = [name for name in names if name not in rejected]
        level = alpha / len(left)
        new = [name for name in left if is_rejected_at(name, level)]
        if not new:
            break
        rejected |= dict.fromkeys(new, level)
    return rejected


def holm_adjusted(p_values: Sequence[float]) -> tuple[float, ...]:
    """The p-values, each raised so that it may be compared with the whole level.

    Examples:
        >>> holm_adjusted([0.01, 0.04, 0.02])
        (0.03, 0.04, 0.04)
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for step, place in enumerate(order):
        highest = max(highest, min(p_values[place] * (len(p_values) - step), 1.0))
        adjusted[place] = highest
    return tuple(adjusted)
