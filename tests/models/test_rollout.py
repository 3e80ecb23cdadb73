"""The stages' decision table: back at once for harm, on only when time is over and nothing is missing."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from models.rollout import StageEvidence, decide_stage

SHADOW = StageEvidence(
    "m2",
    "shadow",
    hours_in=24.0,
    hours_planned=24.0,
    shadow="ok",
    shadow_words="top overlap 0.81",
    shadow_age_hours=1.0,
    quality="ok",
)
CANARY = StageEvidence(
    "m2",
    "canary",
    hours_in=72.0,
    hours_planned=72.0,
    guardrails="ok",
    guardrail_words="opt_out 1.1 times",
    users=900,
    quality="ok",
)

TABLE = [
    ("shadow alike", SHADOW, "advance", "shadow passed: top overlap 0.81"),
    ("shadow somewhat unlike", replace(SHADOW, shadow="warn"), "advance", "shadow passed"),
    ("shadow unlike", replace(SHADOW, shadow="fail"), "return", "top overlap 0.81"),
    ("shadow unlike, at once", replace(SHADOW, shadow="fail", hours_in=1.0), "return", "top overlap"),
    ("shadow not over", replace(SHADOW, hours_in=4.0), "stay", "shadow for another 20 hours"),
    ("shadow never compared", replace(SHADOW, shadow=None), "stay", "no shadow comparison; run kairos score"),
    ("shadow undated", replace(SHADOW, shadow_age_hours=None), "stay", "no shadow comparison"),
    ("shadow stale", replace(SHADOW, shadow_age_hours=49.0), "stay", "49.0 hours old, must be <= 48"),
    ("canary harmless", CANARY, "advance", "canary passed: opt_out 1.1 times"),
    ("canary doubtful", replace(CANARY, guardrails="warn"), "advance", "canary passed"),
    ("canary harms", replace(CANARY, guardrails="fail"), "return", "opt_out 1.1 times"),
    ("canary harms, at once", replace(CANARY, guardrails="fail", hours_in=2.0), "return", "opt_out"),
    ("canary harms few", replace(CANARY, guardrails="fail", users=3), "return", "opt_out"),
    ("canary not over", replace(CANARY, hours_in=70.0), "stay", "canary for another 2 hours"),
    ("canary unknown", replace(CANARY, guardrails=None), "stay", "900 users of the canary"),
    ("canary too small", replace(CANARY, users=99), "stay", "99 users of the canary .* must be >= 100"),
    ("quality unknown", replace(CANARY, quality=None), "stay", "no data-quality verdict"),
    ("quality failed", replace(SHADOW, quality="fail"), "stay", "data quality failed"),
    ("quality warns", replace(SHADOW, quality="warn"), "advance", "shadow passed"),
    ("quality failed and harm", replace(CANARY, quality="fail", guardrails="fail"), "return", "opt_out"),
    (
        "an experiment runs",
        replace(CANARY, experiments=("warm-up",)),
        "stay",
        "experiment warm-up; stop that",
    ),
    ("a shadow says nothing of a canary", replace(CANARY, shadow="fail"), "advance", "canary passed"),
]


@pytest.mark.parametrize(
    ("evidence", "move", "reason"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE]
)
def test_the_decision_table(evidence: StageEvidence, move: str, reason: str) -> None:
    decision = decide_stage(evidence)
    assert decision.move == move, decision.reasons
    assert re.search(reason, "; ".join(decision.reasons)), decision.reasons
    assert json.loads(json.dumps(decision.evidence))["version"] == "m2"
