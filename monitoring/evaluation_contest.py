"""Who met whom in an evaluation, read from what a run wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal

from monitoring.chart_parts import Mark, Tone

Result = Mapping[str, Any]
METRIC = "ndcg@10"
_OURS = ("Kairos, all context", "Kairos", "kairos")


@dataclass(frozen=True)
class Contest:
    """Who met whom.

    Attributes:
        ours: Our ranking.
        ablations: Our rankings with less to go by.
        strongest: The peer with the highest NDCG@10; '' without peers.
        models: Name -> metric -> {mean, low, high}.
        leads: Baseline -> metric -> {mean, low, high} of ours minus it.
        n_queries, n_users, targets_per_query: What was measured; 0 where unknown.
    """

    ours: str = ""
    ablations: tuple[str, ...] = ()
    strongest: str = ""
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    leads: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    n_queries: int = 0
    n_users: int = 0
    targets_per_query: float = 0.0


def contest_of(result: Result) -> Contest:
    """The contest behind a result, from its 'report' or, without one, from its own keys."""
    report = result.get("report") or result
    models = report.get("models") or {}
    named = [str(name) for name in result.get("ablations") or ()]
    ours = str(result.get("ours") or next((name for name in _OURS if name in models), next(iter(models), "")))
    ablations = [name for name in models if name != ours and (name in named or name.startswith("Kairos, "))]
    peers = [name for name in models if name != ours and name not in ablations]
    return Contest(
        ours=ours,
        ablations=tuple(ablations),
        strongest=max(peers, key=lambda name: mean_of(models[name]), default=""),
        models=models,
        leads={
            str(row["baseline"]): row for row in report.get("differences") or () if row.get("model") == ours
        },
        n_queries=int(report.get("n_queries") or 0),
        n_users=int(report.get("n_users") or 0),
        targets_per_query=float(report.get("targets_per_query") or 0.0),
    )


def mark_of(
    label: str, found: Any, tone: Literal["ours", "plain", "lead"] = "plain", note: str = "", group: str = ""
) -> Mark | None:
    """The mark of {mean, low, high}; tone 'lead' colours by whether the interval leaves 0; None without."""
    if not isinstance(found, Mapping) or not _number(found.get("mean")):
        return None
    low = float(found["low"]) if _number(found.get("low")) else None
    high = float(found["high"]) if _number(found.get("high")) else None
    chosen: Tone = "plain"
    if tone == "lead":
        chosen = "better" if low is not None and low > 0 else chosen
        chosen = "worse" if high is not None and high < 0 else chosen
    elif tone == "ours":
        chosen = "ours"
    return Mark(label, float(found["mean"]), low, high, chosen, note, group)


def mean_of(metrics: Mapping[str, Any]) -> float:
    """The NDCG@10 among the metrics; 0 without one."""
    found = metrics.get(METRIC)
    return float(found["mean"]) if isinstance(found, Mapping) and _number(found.get("mean")) else 0.0


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)
