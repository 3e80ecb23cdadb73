"""The gate: all evidence on a challenger becomes one recorded decision, and only a yes moves the champion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows.alerts import raise_alert, recovered
from flows.experiment_health import experiment_health
from flows.model_files import read_evaluation
from flows.model_version import CHAMPION, OURS
from flows.progress import step
from flows.rollout import GATE, RETURNED, start_rollout
from flows.wiring import Stores, open_stores
from infra.model_registry import PromotionEvent
from infra.running_experiments import experiments_using
from models.gate import (
    Comparison,
    ExperimentHealth,
    GateDecision,
    GateEvidence,
    SliceComparison,
    decide_gate,
)
from monitoring.alert_words import AlertFacts

METRIC = "ndcg@10"
WAITING = "waiting"


@dataclass(frozen=True)
class Health:
    """The newest verdicts on data and drift.

    Attributes:
        quality, drift: 'pass', 'warn' or 'fail'; None when not measured.
        quality_detail: The worst measures in words; '' when all pass.
        drift_columns: What failed or moved, with its numbers.
        quality_as_of, drift_as_of: What each measurement knew; None when not measured.
        report: The drift report's page.
        data_drift: As `drift`, of the events themselves.
    """

    quality: str | None = None
    quality_detail: str = ""
    quality_as_of: datetime | None = None
    drift: str | None = None
    drift_columns: tuple[str, ...] = ()
    drift_as_of: datetime | None = None
    report: Path | None = None
    data_drift: str | None = None


@dataclass(frozen=True)
class GateVerdict:
    """What the gate said of a version.

    Attributes:
        promoted: Whether the version is champion now.
        stage: Where a version that may become champion is meanwhile: 'shadow', 'canary' or 'waiting'.
    """

    version: str
    promoted: bool
    reasons: tuple[str, ...]
    stage: str | None = None

    @property
    def words(self) -> str:
        """What became of it."""
        if self.stage is not None:
            return f"is in {self.stage}" if self.stage != WAITING else "waits for another in its stages"
        return "is champion" if self.promoted else "stays challenger"


@task(name="gate", task_run_name="gate {version}", cache_policy=NO_CACHE)
def ask_gate(version: str, as_of: datetime, health: Health) -> GateVerdict:
    """The recorded decision on `version`; a yes has made it champion. A champion is not asked again.

    Args:
        version: The challenger.
        as_of: The moment of the decision, as data knows it.
        health: Verdicts on the data it was built from and on its scored candidates.
    """
    stores = open_stores()
    with step("gate") as current:
        known = stores.registry.latest_gate(version)
        champion, rollout = stores.registry.champion(), stores.rollouts.current()
        if champion == version and known is not None and known["promote"]:
            current.skip(f"unchanged: {version} is champion")
            verdict = GateVerdict(version, True, tuple(known["reasons"]))
        elif rollout is not None and rollout.version == version and rollout.champion == champion:
            current.skip(f"unchanged: {version} is in {rollout.stage}")
            verdict = GateVerdict(version, False, (rollout.why,), rollout.stage)
        else:
            evidence = gate_evidence(
                version,
                as_of,
                health,
                evaluation=read_evaluation(stores.registry.version_dir(version)),
                trained_as_of=datetime.fromisoformat(stores.registry.read(version).lineage["as_of"]),
                champion=champion,
                moves=[move for move in stores.registry.promotions() if move.alias != "challenger"],
                experiments=() if champion is None else experiments_using(stores.database, champion),
                experiment_health=experiment_health(stores.experiments, stores.readouts, version, as_of),
            )
            decision = decide_gate(evidence)
            stores.registry.record_gate(version, decision.promote, list(decision.reasons), decision.evidence)
            stage = _let_through(stores, version, champion, as_of, decision) if decision.promote else None
            _alert(stores, version, decision.promote, decision.reasons)
            current.say(f"{'yes' if decision.promote else 'no'}: {decision.reasons[0]}")
            verdict = GateVerdict(version, decision.promote and stage is None, decision.reasons, stage)
    create_markdown_artifact(gate_markdown(verdict), key="gate", description=f"The gate on {version}")
    return verdict


def _let_through(
    stores: Stores, version: str, champion: str | None, as_of: datetime, decision: GateDecision
) -> str | None:
    """The stage that the version is in now; None when it is champion at once."""
    why = "; ".join(decision.reasons)
    # Without a champion there is nobody to be compared with, and nobody else who could plan.
    if champion is None or not stores.settings.promotion_stages:
        stores.registry.move_alias("champion", version, GATE, why)
        recovered(stores, RETURNED)
        return None
    rollout = start_rollout(stores, version, champion, as_of, why)
    return WAITING if rollout is None else rollout.stage


def _alert(stores: Stores, version: str, promoted: bool, reasons: Sequence[str]) -> None:
    """Nothing; whoever looks after the models hears of a refusal, once until a challenger passes."""
    if promoted:
        recovered(stores, "gate_refused")
        return
    champion = stores.registry.champion()
    done = f"champion {champion} goes on planning" if champion else "nothing is planned: there is no champion"
    raise_alert(stores, "gate_refused", AlertFacts(f"{version}: {reasons[0]}", "; ".join(reasons[1:4]), done))


def gate_evidence(
    version: str,
    as_of: datetime,
    health: Health,
    *,
    evaluation: Mapping[str, Any],
    trained_as_of: datetime,
    champion: str | None,
    moves: Sequence[PromotionEvent] = (),
    experiments: tuple[str, ...] = (),
    experiment_health: tuple[ExperimentHealth, ...] = (),
) -> GateEvidence:
    """Everything known of the challenger; ages count in the data's time, so that a replay decides alike.

    Args:
        version: The challenger.
        as_of: The moment of the decision.
        health: Verdicts on data and drift.
        evaluation: What `judge` measured of it; a comparison with a champion of the past counts as none.
        trained_as_of: The cut-off of what it learnt from.
        champion: The version that plans now.
        moves: Every move of the alias champion and between stages, newest first.
        experiments: Running ones that have the champion in an arm.
        experiment_health: Of those that run or have tried the version.
    """
    comparisons = {
        row["baseline"]: _comparison(evaluation, row)
        for row in evaluation["differences"]
        if row["model"] == OURS
    }
    against_champion = comparisons.pop(CHAMPION, None)
    dated = {"evaluation": trained_as_of, "quality": health.quality_as_of, "drift": health.drift_as_of}
    return GateEvidence(
        subject=version,
        metric=METRIC,
        baselines=tuple(comparisons.values()),
        n_queries=evaluation["n_queries"],
        n_users=evaluation["n_users"],
        champion_version=None if champion == version else champion,
        champion=against_champion if evaluation.get("champion_version") == champion else None,
        slices=_slices(evaluation) if evaluation.get("champion_version") == champion else (),
        rolled_back=_rolled_back(version, moves),
        quality=health.quality,
        quality_detail=health.quality_detail,
        drift=health.drift,
        drift_columns=health.drift_columns,
        data_drift=health.data_drift,
        experiments=experiments,
        experiment_health=experiment_health,
        age_hours={
            name: (as_of - known).total_seconds() / 3600.0
            for name, known in dated.items()
            if known is not None
        },
    )


def _rolled_back(version: str, moves: Sequence[PromotionEvent]) -> str | None:
    """Who took `version` back, and why, if the last to move it was a person or broken guardrails."""
    last = next((move for move in moves if version in (move.from_version, move.to_version)), None)
    if last is None or last.from_version != version or last.who == GATE:
        return None
    return f"{last.who} ({last.why})"


def _slices(evaluation: Mapping[str, Any]) -> tuple[SliceComparison, ...]:
    """Our lead over the champion in every slice of the queries that has an interval."""
    leads = [
        (f"{row['dimension']} {row['value']}", row["leads"][CHAMPION])
        for row in evaluation.get("slices", ())
        if row["metric"] == METRIC and CHAMPION in row["leads"]
    ]
    return tuple(
        SliceComparison(name, lead["mean"], lead["low"], lead["high"])
        for name, lead in leads
        if lead["low"] is not None and lead["high"] is not None
    )


def _comparison(evaluation: Mapping[str, Any], row: Mapping[str, Any]) -> Comparison:
    return Comparison(
        row["baseline"],
        evaluation["models"][OURS][METRIC]["mean"],
        evaluation["models"][row["baseline"]][METRIC]["mean"],
        row[METRIC]["low"],
        row[METRIC]["high"],
    )


def gate_markdown(verdict: GateVerdict) -> str:
    """The decision and its reasons, as a page."""
    answer = "yes" if verdict.promoted or verdict.stage else "no"
    reasons = (f"- {reason}" for reason in verdict.reasons)
    return "\n".join([f"`{verdict.version}`: **{answer}**, it {verdict.words}", "", *reasons])
