"""One measured value of data quality and its verdict, and all of a measurement's together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["ok", "warn", "fail"]
_ORDER: tuple[Verdict, ...] = ("ok", "warn", "fail")


@dataclass(frozen=True)
class Bound:
    """Values beyond `warn` are worth a look, those beyond `fail` stop the run."""

    warn: float
    fail: float


@dataclass(frozen=True)
class QualityCheck:
    """One measured value; `bound` is the one it broke, or the nearer one, and null where none applies."""

    name: str
    column: str
    value: float | None
    bound: float | None
    verdict: Verdict
    detail: str


@dataclass(frozen=True)
class QualityReport:
    """Every check, and the worst verdict among them."""

    checks: tuple[QualityCheck, ...]

    @property
    def verdict(self) -> Verdict:
        """'fail' when one check failed, 'warn' when one warned, else 'ok'."""
        return max((check.verdict for check in self.checks), key=_ORDER.index, default="ok")

    @property
    def reasons(self) -> tuple[str, ...]:
        """What is not ok, worst first, one line each."""
        found = [check for check in self.checks if check.verdict != "ok"]
        ranked = sorted(found, key=lambda check: -_ORDER.index(check.verdict))
        return tuple(f"{check.verdict}: {check.detail}" for check in ranked)

    def rows(self) -> list[dict[str, Any]]:
        """One row a check: column_name, measure, value, threshold, verdict, details."""
        return [
            {
                "column_name": check.column,
                "measure": check.name,
                "value": check.value,
                "threshold": check.bound,
                "verdict": check.verdict,
                "details": {"words": check.detail},
            }
            for check in self.checks
        ]


def judge(name: str, column: str, value: float, bound: Bound, detail: str) -> QualityCheck:
    """The check of a value that should be small.

    Examples:
        >>> judge("freshness_hours", "event_ts", 30.0, Bound(26.0, 72.0), "last event 30 h ago").verdict
        'warn'
    """
    verdict: Verdict = "fail" if value > bound.fail else "warn" if value > bound.warn else "ok"
    return QualityCheck(name, column, value, bound.fail if verdict == "fail" else bound.warn, verdict, detail)
