"""The gate: all evidence on a challenger becomes one recorded decision, and only a yes moves the champion."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows.model_files import read_evaluation
from flows.model_version import CHAMPION, OURS
from flows.progress import step
from flows.wiring import Stores, open_stores
from models.gate import Comparison, GateEvidence, decide_gate

METRIC = "ndcg@10"


@dataclass(frozen=True)
class GateVerdict:
    """What the gate said of a version.

    Attributes:
        promoted: Whether the version is champion now.
    """

    version: str
    promoted: bool
    reasons: tuple[str, ...]


@task(name="gate", task_run_name="gate {version}", cache_policy=NO_CACHE)
def ask_gate(
    version: str,
    as_of: datetime,
    quality: str,
    quality_detail: str,
    drift: str,
    drift_columns: tuple[str, ...],
) -> GateVerdict:
    """The recorded decision on `version`; a yes has made it champion. A champion is not asked again.

    Args:
        version: The challenger.
        as_of: The moment of the decision, as data knows it.
        quality: Verdict of the data it was built from, with one clause of detail.
        drift: Verdict of its scored candidates, with the columns that failed.
    """
    stores = open_stores()
    with step("gate") as current:
        known = stores.registry.latest_gate(version)
        if stores.registry.champion() == version and known is not None and known["promote"]:
            current.skip(f"unchanged: {version} is champion")
            verdict = GateVerdict(version, True, tuple(known["reasons"]))
        else:
            evidence = gate_evidence(stores, version, as_of, quality, quality_detail, drift, drift_columns)
            decision = decide_gate(evidence)
            stores.registry.record_gate(version, decision.promote, list(decision.reasons), decision.evidence)
            if decision.promote:
                stores.registry.move_alias("champion", version, "gate", "; ".join(decision.reasons))
            current.say(f"{'yes' if decision.promote else 'no'}: {decision.reasons[0]}")
            verdict = GateVerdict(version, decision.promote, decision.reasons)
    create_markdown_artifact(gate_markdown(verdict), key="gate", description=f"The gate on {version}")
    return verdict


def gate_evidence(
    stores: Stores,
    version: str,
    as_of: datetime,
    quality: str,
    quality_detail: str,
    drift: str,
    drift_columns: tuple[str, ...],
) -> GateEvidence:
    """Everything known of the challenger; ages count in the data's time, so that a replay decides alike."""
    evaluation = read_evaluation(stores.registry.version_dir(version))
    trained = datetime.fromisoformat(stores.registry.read(version).lineage["as_of"])
    champion = stores.registry.champion()
    comparisons = {
        row["baseline"]: _comparison(evaluation, row)
        for row in evaluation["differences"]
        if row["model"] == OURS
    }
    against_champion = comparisons.pop(CHAMPION, None)
    return GateEvidence(
        subject=version,
        metric=METRIC,
        baselines=tuple(comparisons.values()),
        champion_version=None if champion == version else champion,
        champion=against_champion,
        quality=quality,
        quality_detail=quality_detail,
        drift=drift,
        drift_columns=drift_columns,
        age_hours={
            "evaluation": (as_of - trained).total_seconds() / 3600.0,
            "quality": 0.0,
            "drift": 0.0,
        },
    )


def _comparison(evaluation: dict[str, Any], row: dict[str, Any]) -> Comparison:
    return Comparison(
        row["baseline"],
        evaluation["models"][OURS][METRIC]["mean"],
        evaluation["models"][row["baseline"]][METRIC]["mean"],
        row[METRIC]["low"],
        row[METRIC]["high"],
    )


def gate_markdown(verdict: GateVerdict) -> str:
    """The decision and its reasons, as a page."""
    answer = "**yes**, it is champion" if verdict.promoted else "**no**, the champion stays"
    return "\n".join([f"`{verdict.version}`: {answer}", "", *(f"- {reason}" for reason in verdict.reasons)])
