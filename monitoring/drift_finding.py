"""What a watch on drift found: single checks, and what they come to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

Verdict = Literal["pass", "warn", "fail"]
_ORDER: tuple[Verdict, ...] = ("pass", "warn", "fail")
ROWS = "rows"
"""The method, and mostly the column, of a check on how many rows there are."""
SILENCE = "silence"
"""The method of one that adds days up."""
LEVEL = "level"
"""The method of one on where a number's mean is; its value is signed."""


@dataclass(frozen=True)
class Finding:
    """One check: a column of a slice, or its number of rows."""

    slice: str
    column: str
    method: str
    value: float
    limit: float
    verdict: Verdict
    detail: str = ""

    @property
    def words(self) -> str:
        """As the gate quotes it: 'price wasserstein 0.61 >= 0.15 (store_id=3)'."""
        where = f" ({self.slice})" if self.slice else ""
        if self.method in (ROWS, SILENCE):
            return f"{self.detail}{where}"
        if self.method == LEVEL and self.verdict != "pass":
            way = "up" if self.value > 0 else "down"
            return (
                f"{self.column} {way} by {abs(self.value):.2f} of its spread, at most {self.limit:.2f}{where}"
            )
        sign = "<" if self.verdict == "pass" else ">="
        return f"{self.column} {self.method} {self.value:.3g} {sign} {self.limit:.3g}{where}"


@dataclass(frozen=True)
class WatchResult:
    """All checks of a period, and what they come to.

    Attributes:
        reference: The days that it was compared with.
    """

    findings: tuple[Finding, ...]
    verdict: Verdict
    reference: tuple[date, ...]

    @property
    def alarms(self) -> tuple[Finding, ...]:
        """What is beyond its limit, the farthest first."""
        found = [one for one in self.findings if one.verdict != "pass"]
        return tuple(sorted(found, key=lambda one: -abs(one.value) / one.limit))

    def beside(self, finding: Finding) -> WatchResult:
        """The same result with one more check, which counts like the others."""
        worst: Verdict = max(self.verdict, finding.verdict, key=_ORDER.index)
        return WatchResult((*self.findings, finding), worst, self.reference)
