"""The gate's decision table."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from models.gate import (
    Comparison,
    ExperimentHealth,
    GateEvidence,
    GateParams,
    SliceComparison,
    decide_gate,
)

NAN = float("nan")
FRESH = {"evaluation": 1.0, "quality": 2.0, "drift": 0.5}
BEATS = (
    Comparison("popularity", 0.271, 0.113, 0.150, 0.166),
    Comparison("tifu_knn", 0.271, 0.254, 0.011, 0.023),
)
FIRST = GateEvidence("m1", "ndcg@10", BEATS, 800, 90, quality="pass", drift="pass", age_hours=FRESH)
SECOND = replace(FIRST, champion_version="m0", champion=Comparison("m0", 0.271, 0.269, -0.001, 0.005))


def against(*numbers: float) -> GateEvidence:
    return replace(SECOND, champion=Comparison("m0", *numbers))


TABLE = [
    ("first model beats every baseline", FIRST, True, "> the strongest of 2 baselines, tifu_knn 0.254"),
    ("first model says so", FIRST, True, "no champion yet"),
    ("as good as the champion", SECOND, True, "ndcg@10 0.271 >= champion 0.269 (95% CI -0.001..+0.005)"),
    ("a little worse, within the margin", against(0.268, 0.269, -0.0029, 0.001), True, "< champion 0.269"),
    ("exactly at the margin", against(0.268, 0.269, -0.003, 0.001), False, "must stay above -0.003"),
    (
        "clearly worse than the champion",
        against(0.310, 0.330, -0.031, -0.009),
        False,
        "ndcg@10 0.310 < champion 0.330 (95% CI -0.031..-0.009)",
    ),
    ("better on average, too uncertain", against(0.272, 0.269, -0.010, 0.016), False, ">= champion 0.269"),
    (
        "champion never compared",
        replace(SECOND, champion=None),
        False,
        "no comparison with the champion m0",
    ),
    (
        "champion compared with nan",
        against(0.271, NAN, 0.0, 0.1),
        False,
        "no comparison with the champion m0",
    ),
    (
        "behind one baseline",
        replace(FIRST, baselines=(BEATS[0], Comparison("ease", 0.271, 0.280, -0.012, -0.006))),
        False,
        "ndcg@10 0.271 < ease 0.280 (95% CI -0.012..-0.006)",
    ),
    (
        "not surely ahead of the strongest",
        replace(FIRST, baselines=(BEATS[0], Comparison("ease", 0.271, 0.270, -0.002, 0.004))),
        False,
        "interval must be above zero",
    ),
    (
        "uncertain against a weak baseline only",
        replace(FIRST, baselines=(Comparison("popularity", 0.271, 0.113, -0.001, 0.3), BEATS[1])),
        True,
        "tifu_knn",
    ),
    (
        "a person took it back",
        replace(SECOND, rolled_back="ada (sold out of milk)"),
        False,
        "rolled back by ada (sold out of milk); promote it by hand with kairos model promote",
    ),
    ("just enough queries and users", replace(FIRST, n_queries=100, n_users=30), True, "no champion yet"),
    (
        "too few queries",
        replace(FIRST, n_queries=99),
        False,
        "evaluated on 99 queries, must be >= 100",
    ),
    ("too few users", replace(FIRST, n_users=29), False, "evaluated on 29 users, must be >= 30"),
    (
        "nobody counted",
        GateEvidence("m1", "ndcg@10", BEATS, quality="pass", drift="pass", age_hours=FRESH),
        False,
        "evaluated on 0 queries",
    ),
    ("no baselines", replace(FIRST, baselines=()), False, "no evaluation against baselines"),
    (
        "a baseline without numbers",
        replace(FIRST, baselines=(*BEATS, Comparison("als", 0.271, NAN, NAN, NAN))),
        False,
        "no usable evaluation against als",
    ),
    (
        "quality failed",
        replace(FIRST, quality="fail", quality_detail="6.0 % of events quarantined, at most 5.0 %"),
        False,
        "data quality failed: 6.0 % of events quarantined",
    ),
    ("quality warned", replace(FIRST, quality="warn"), True, "data quality warn"),
    ("quality unknown", replace(FIRST, quality=None), False, "no data-quality verdict"),
    (
        "drift failed on a named column",
        replace(FIRST, drift="fail", drift_columns=("item_price wasserstein 0.61 > 0.50",)),
        False,
        "drift failed on 1 columns: item_price wasserstein 0.61 > 0.50",
    ),
    ("drift warned", replace(FIRST, drift="warn"), True, "drift warn"),
    ("drift unknown", replace(FIRST, drift=None), False, "no drift verdict"),
    (
        "stale drift",
        replace(FIRST, age_hours={**FRESH, "drift": 72.0}),
        False,
        "drift evidence is 72.0 hours old, must be <= 48",
    ),
    (
        "undated evaluation",
        replace(FIRST, age_hours={"quality": 1.0, "drift": 1.0}),
        False,
        "evaluation evidence has no age",
    ),
    (
        "a slice surely loses although the mean wins",
        replace(SECOND, slices=(SliceComparison("daypart morning", -0.031, -0.05, -0.01),)),
        False,
        "ndcg@10 in daypart morning -0.031 to the champion (95% CI -0.050..-0.010), a slice may lose at most",
    ),
    (
        "a slice surely loses, but little",
        replace(SECOND, slices=(SliceComparison("daypart morning", -0.019, -0.03, -0.01),)),
        True,
        ">= champion 0.269",
    ),
    (
        "a slice may lose much by chance",
        replace(SECOND, slices=(SliceComparison("daypart night", -0.09, -0.2, 0.01),)),
        True,
        ">= champion 0.269",
    ),
    (
        "without a champion no slice can lose to it",
        replace(FIRST, slices=(SliceComparison("daypart morning", -0.031, -0.05, -0.01),)),
        True,
        "no champion yet",
    ),
    (
        "the data drifted: as good as the champion is not good enough",
        replace(SECOND, data_drift="fail"),
        False,
        "the data drifted, so the interval must be above zero",
    ),
    (
        "the data drifted and it wins",
        replace(against(0.280, 0.269, 0.004, 0.018), data_drift="fail"),
        True,
        "drift pass, data drift fail",
    ),
    (
        "the data drifted before there was a champion",
        replace(FIRST, data_drift="fail"),
        True,
        "data drift fail",
    ),
    ("the data moved a little", replace(SECOND, data_drift="warn"), True, "data drift warn"),
    (
        "a running experiment has the champion in an arm",
        replace(SECOND, experiments=("warm-up",)),
        False,
        "the champion is an arm of the running experiment warm-up; stop that first",
    ),
    ("no experiment runs", replace(SECOND, experiments=()), True, ">= champion 0.269"),
    (
        "an experiment without a champion",
        replace(FIRST, experiments=("warm-up",)),
        True,
        "no champion yet",
    ),
    (
        "a running experiment loses users unevenly",
        replace(SECOND, experiment_health=(ExperimentHealth("warm-up", "fail", "lost 9 of 100", 5.0),)),
        False,
        "experiment warm-up: lost 9 of 100",
    ),
    (
        "an experiment that tried it was stopped for harm",
        replace(FIRST, experiment_health=(ExperimentHealth("spring", "fail", "stopped for harm"),)),
        False,
        "experiment spring: stopped for harm",
    ),
    (
        "a running experiment was never read out",
        replace(SECOND, experiment_health=(ExperimentHealth("warm-up", None),)),
        False,
        "no readout of the experiment warm-up; run kairos experiment readout",
    ),
    (
        "a running experiment was read out too long ago",
        replace(SECOND, experiment_health=(ExperimentHealth("warm-up", "pass", "", 50.0),)),
        False,
        "the readout of the experiment warm-up is 50.0 hours old, must be <= 48",
    ),
    (
        "a readout whose age is no number",
        replace(SECOND, experiment_health=(ExperimentHealth("warm-up", "pass", "", NAN),)),
        False,
        "the readout of the experiment warm-up is nan hours old",
    ),
    (
        "running experiments are well",
        replace(SECOND, experiment_health=(ExperimentHealth("warm-up", "pass", "arms hold", 20.0),)),
        True,
        "experiment warm-up pass: arms hold",
    ),
    (
        "an experiment without effect warns and passes",
        replace(SECOND, experiment_health=(ExperimentHealth("spring", "warn", "kept the control"),)),
        True,
        "experiment spring warn: kept the control",
    ),
    ("drift and quality both warn", replace(SECOND, quality="warn", drift="warn"), True, "drift warn"),
    (
        "a broken number in a verdict's place",
        replace(FIRST, quality="ok"),
        False,
        "no data-quality verdict",
    ),
    (
        "an age that is no number",
        replace(FIRST, age_hours={**FRESH, "quality": NAN}),
        False,
        "quality evidence has no age",
    ),
    (
        "evidence of just the oldest age",
        replace(FIRST, age_hours={**FRESH, "drift": 48.0}),
        True,
        "no champion",
    ),
    (
        "other stale evidence",
        replace(FIRST, age_hours={**FRESH, "data": 100.0}),
        False,
        "data evidence is 100.0 hours old",
    ),
]


@pytest.mark.parametrize(
    ("evidence", "promote", "words"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_decision_table(evidence: GateEvidence, promote: bool, words: str):
    decision = decide_gate(evidence)
    assert decision.promote is promote
    assert any(words in reason for reason in decision.reasons), decision.reasons


def test_every_block_is_told_at_once():
    bad = replace(FIRST, quality="fail", drift="fail", drift_columns=("a psi 0.9 > 0.5",), age_hours={})
    assert len(decide_gate(bad).reasons) == 5


def test_margin_age_and_counts_are_parameters():
    worse = against(0.268, 0.269, -0.004, 0.002)
    assert not decide_gate(worse).promote
    assert decide_gate(worse, GateParams(champion_margin=0.005)).promote
    assert not decide_gate(FIRST, GateParams(max_age_hours=1.5)).promote
    assert not decide_gate(FIRST, GateParams(min_users=91)).promote


def test_evidence_is_json_and_complete():
    stored = json.loads(json.dumps(decide_gate(SECOND).evidence))
    assert stored["champion"]["theirs"] == 0.269 and stored["params"]["champion_margin"] == 0.003
    assert stored["age_hours"] == FRESH
