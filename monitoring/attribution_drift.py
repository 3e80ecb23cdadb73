"""Does the model decide by what it used to: each theme's part of its scores now, beside earlier weeks."""

from __future__ import annotations

from collections.abc import Mapping

from monitoring.drift_finding import Finding, Verdict
from monitoring.drift_watch import FAILS_BEYOND

METHOD = "total_variation"
LEAST_EFFECT = 0.1
"""A tenth of all that decides has moved from some themes to others: less is nobody's concern."""
_BEYOND = 2.0
_COLUMN = "attribution"

Shares = Mapping[str, float]
"""Theme -> its part of the contributions; parts add up to 1."""


def attribution_finding(past: Mapping[str, Shares], now: Shares) -> Finding:
    """The check on how decisions come about; its limit is from how the earlier weeks differ.

    Args:
        past: Shares by week, at least one.
        now: Of the day that is looked at.

    Examples:
        >>> weeks = {"1": {"habit": 0.7, "promotion": 0.3}, "2": {"habit": 0.68, "promotion": 0.32}}
        >>> finding = attribution_finding(weeks, {"habit": 0.3, "promotion": 0.7})
        >>> finding.verdict, round(finding.value, 2), finding.detail
        ('fail', 0.39, 'promotion 31% -> 70%')
    """
    usual = _mean(past)
    value = _apart(usual, now)
    # Few weeks make no distribution; what lies far beyond the farthest of them is no week like them.
    earlier = [
        _apart(_mean({other: shares for other, shares in past.items() if other != week}), shares)
        for week, shares in past.items()
        if len(past) > 1
    ]
    limit = max(LEAST_EFFECT, _BEYOND * max(earlier, default=0.0))
    verdict: Verdict = "pass" if value < limit else "fail" if value >= FAILS_BEYOND * limit else "warn"
    moved = {name: now.get(name, 0.0) - usual.get(name, 0.0) for name in {*usual, *now}}
    theme = max(moved, key=lambda name: (round(abs(moved[name]), 3), moved[name], name))
    detail = f"{theme} {usual.get(theme, 0.0):.0%} -> {now.get(theme, 0.0):.0%}"
    return Finding("", _COLUMN, METHOD, value, limit, verdict, detail)


def _mean(weeks: Mapping[str, Shares]) -> dict[str, float]:
    themes = sorted({name for shares in weeks.values() for name in shares})
    return {
        name: sum(shares.get(name, 0.0) for shares in weeks.values()) / max(len(weeks), 1) for name in themes
    }


def _apart(one: Shares, other: Shares) -> float:
    """Half of all that moved."""
    return sum(abs(one.get(name, 0.0) - other.get(name, 0.0)) for name in {*one, *other}) / 2
