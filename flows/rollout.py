"""Stages of a promotion: a challenger that passed the gate proves itself before it plans for everybody."""

from __future__ import annotations

from datetime import datetime

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows.alerts import raise_alert, recovered
from flows.guardrails import measure_guardrails
from flows.progress import step
from flows.quality import quality_verdict
from flows.shadow import KIND as SHADOW
from flows.wiring import Stores, open_stores
from infra.rollout_store import Rollout
from infra.running_experiments import experiments_using
from models.rollout import StageDecision, StageEvidence, decide_stage
from monitoring.alert_words import AlertFacts
from monitoring.guardrails import users_proven

GATE = "gate"
"""Who moved an alias or a stage, when it was no person and nothing had gone wrong."""
GUARDRAILS = "guardrails"
"""Who took a challenger back: the gate does not propose that version again by itself."""
RETURNED = "rollout_returned"


def start_rollout(stores: Stores, version: str, champion: str, as_of: datetime, why: str) -> Rollout | None:
    """The version's way to the champion's place, begun; None while another is under way: it waits."""
    if stores.rollouts.current() is not None:
        return None
    found = stores.rollouts.begin(version, champion, stores.settings.promotion_stages, as_of, GATE, why)
    recovered(stores, RETURNED)
    return found


@task(name="review rollout", cache_policy=NO_CACHE)
def review_rollout(as_of: datetime) -> Rollout | None:
    """The rollout that is under way, moved by what is known now; None when there is none (any more)."""
    stores = open_stores()
    rollout = stores.rollouts.current()
    if rollout is None:
        return None
    with step("rollout") as current:
        champion = stores.registry.champion()
        if champion != rollout.champion:
            stores.rollouts.end(rollout, "superseded", as_of, GATE, f"{champion} became champion meanwhile")
            current.say(f"{rollout.version} ended: {champion} became champion meanwhile")
            return None
        decision = decide_stage(stage_evidence(stores, rollout, as_of))
        moved = _moved(stores, rollout, decision, as_of)
        current.say(f"{rollout.version} {_words(rollout, decision, moved)}")
    create_markdown_artifact(
        f"`{rollout.version}` {_words(rollout, decision, moved)}",
        key="rollout",
        description=f"{rollout.version} beside {rollout.champion}",
    )
    return moved


def stage_evidence(stores: Stores, rollout: Rollout, as_of: datetime) -> StageEvidence:
    """All that is known of the rollout in its stage; what was measured before it entered does not count."""
    compared = stores.reports.latest_drift(subject=rollout.version, kind=SHADOW)
    compared = [row for row in compared if row["as_of"] >= rollout.entered_at]
    found = measure_guardrails(stores, rollout, as_of) if rollout.stage == "canary" else []
    return StageEvidence(
        version=rollout.version,
        stage=rollout.stage,
        hours_in=rollout.time_in(as_of).total_seconds() / 3600,
        hours_planned=rollout.now.lasts.total_seconds() / 3600,
        shadow=compared[0]["verdict"] if compared else None,
        shadow_words=compared[0]["details"]["words"] if compared else "",
        shadow_age_hours=(as_of - compared[0]["as_of"]).total_seconds() / 3600 if compared else None,
        guardrails=found[0].verdict if found else None,
        guardrail_words=found[0].words if found else "",
        users=users_proven(found),
        quality=quality_verdict(stores, as_of),
        experiments=experiments_using(stores.database, rollout.champion),
    )


def return_challenger(stores: Stores, rollout: Rollout, as_of: datetime, why: str) -> None:
    """Nothing; the champion plans for everybody again, and whoever looks after the models hears of it."""
    stores.rollouts.end(rollout, "returned", as_of, GUARDRAILS, why)
    done = f"champion {rollout.champion} plans for everybody from the next plan on"
    raise_alert(stores, RETURNED, AlertFacts(f"{rollout.version} in {rollout.stage}: {why}", why, done))


def _moved(stores: Stores, rollout: Rollout, decision: StageDecision, as_of: datetime) -> Rollout | None:
    why = "; ".join(decision.reasons)
    if decision.move == "stay":
        return rollout
    stores.registry.record_gate(
        rollout.version, decision.move == "advance", decision.reasons, dict(decision.evidence)
    )
    if decision.move == "return":
        return_challenger(stores, rollout, as_of, why)
        return None
    if rollout.next is None:
        stores.rollouts.promote(rollout, as_of, GATE, why)
        return None
    return stores.rollouts.enter(rollout, rollout.next.name, as_of, GATE, why)


def _words(rollout: Rollout, decision: StageDecision, moved: Rollout | None) -> str:
    where = {
        "stay": f"stays in {rollout.stage}",
        "return": f"went back from {rollout.stage}",
        "advance": f"is in {moved.stage}" if moved is not None else "is champion",
    }
    return f"{where[decision.move]}: {'; '.join(decision.reasons)}"
