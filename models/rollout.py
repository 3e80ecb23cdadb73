"""A challenger on its way to the champion's place: may it go on, must it go back, or does it wait?

The gate has said yes to what it learnt; here live evidence speaks. No evidence is no step forward.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Move = Literal["stay", "advance", "return"]


@dataclass(frozen=True)
class StageParams:
    """What a stage insists on.

    Attributes:
        max_age_hours: A comparison older than this counts as none.
        least_users: A canary that reached fewer proves nothing.
    """

    max_age_hours: float = 48.0
    least_users: int = 100


@dataclass(frozen=True)
class StageEvidence:
    """What is known of a challenger in a stage.

    Attributes:
        version: The challenger.
        stage: 'shadow' or 'canary'.
        hours_in, hours_planned: Since it entered, and how long the stage lasts; in the data's time.
        shadow: Worst verdict of the comparison beside the champion, 'ok', 'warn' or 'fail'; None if none.
        shadow_words: What is worst in it.
        shadow_age_hours: Of that comparison.
        guardrails: The same of what its users did, beside the champion's; None while nothing is known.
        guardrail_words: What is worst in it.
        users: Users whom the canary has reached long enough ago to tell.
        quality: Of today's data; None when not measured.
        experiments: Running experiments whose arms use the champion.
    """

    version: str
    stage: str
    hours_in: float
    hours_planned: float
    shadow: str | None = None
    shadow_words: str = ""
    shadow_age_hours: float | None = None
    guardrails: str | None = None
    guardrail_words: str = ""
    users: int = 0
    quality: str | None = None
    experiments: tuple[str, ...] = ()


@dataclass(frozen=True)
class StageDecision:
    """What becomes of the challenger, why, and all that was looked at (JSON-ready)."""

    move: Move
    reasons: tuple[str, ...]
    evidence: Mapping[str, Any] = field(default_factory=dict)


def decide_stage(evidence: StageEvidence, params: StageParams | None = None) -> StageDecision:
    """Back as soon as something broke; on when its time is over and nothing is missing; else it stays.

    Examples:
        >>> seen = StageEvidence("m2", "canary", 80, 72, guardrails="ok", users=900, quality="ok")
        >>> decide_stage(seen).move
        'advance'
        >>> broken = StageEvidence("m2", "canary", 5, 72, guardrails="fail", guardrail_words="opt-outs 4.1x")
        >>> decide_stage(broken).move
        'return'
    """
    params = params or StageParams()
    facts = {**asdict(evidence), "params": asdict(params)}
    if broken := _broken(evidence):
        return StageDecision("return", broken, facts)
    if evidence.hours_in < evidence.hours_planned:
        left = evidence.hours_planned - evidence.hours_in
        return StageDecision("stay", (f"{evidence.stage} for another {left:.0f} hours",), facts)
    if missing := (*_unproven(evidence, params), *_not_now(evidence)):
        return StageDecision("stay", missing, facts)
    told = evidence.shadow_words if evidence.stage == "shadow" else evidence.guardrail_words
    return StageDecision("advance", (f"{evidence.stage} passed: {told}",), facts)


def _broken(evidence: StageEvidence) -> tuple[str, ...]:
    if evidence.stage == "shadow" and evidence.shadow == "fail":
        return (evidence.shadow_words,)
    if evidence.stage == "canary" and evidence.guardrails == "fail":
        return (evidence.guardrail_words,)
    return ()


def _unproven(evidence: StageEvidence, params: StageParams) -> tuple[str, ...]:
    if evidence.stage == "shadow":
        if evidence.shadow is None or evidence.shadow_age_hours is None:
            return ("no shadow comparison; run kairos score",)
        if evidence.shadow_age_hours > params.max_age_hours:
            return (
                f"the shadow comparison is {evidence.shadow_age_hours:.1f} hours old, must be <= "
                f"{params.max_age_hours:g}; run kairos score",
            )
        return ()
    if evidence.guardrails is None or evidence.users < params.least_users:
        return (
            f"{evidence.users:,} users of the canary were reached and had their time, must be >= "
            f"{params.least_users:,}; send its pushes, or wait",
        )
    return ()


def _not_now(evidence: StageEvidence) -> tuple[str, ...]:
    found = []
    if evidence.quality is None:
        found.append("no data-quality verdict; run kairos monitor")
    elif evidence.quality == "fail":
        found.append("data quality failed; repair the source")
    if evidence.experiments:
        names = ", ".join(evidence.experiments)
        found.append(f"the champion is an arm of the running experiment {names}; stop that first")
    return tuple(found)
