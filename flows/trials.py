"""Challengers and experiments in a day's scoring: whatever is only tried must not cost everybody's plan."""

from __future__ import annotations

from datetime import date, datetime

from flows.alerts import raise_alert
from flows.candidate_scores import files_of, score_candidates
from flows.experiment_planning import end_broken, without
from flows.model_files import read_models
from flows.plan_batch import plan_candidates
from flows.planned_shards import PlannedShards
from flows.planners import Planner, experiments_of, planners_of, trial_users
from flows.rollout import return_challenger
from flows.served_features import require_served_features
from flows.shadow import measure_shadow
from flows.shard_processes import ShardProcesses
from flows.wiring import Stores
from infra.machine_faults import is_machine_fault
from infra.rollout_store import Rollout
from models.experiments.allocation import Allocation
from monitoring.alert_words import AlertFacts


def with_scores(
    stores: Stores,
    rollout: Rollout | None,
    as_of: datetime,
    plan_date: date,
    processes: ShardProcesses | None,
) -> Rollout | None:
    """The rollout, its challenger's scores on disk; None when that failed, which must not cost the plan."""
    if rollout is None:
        return None
    try:
        services = stores.registry.read(rollout.version).lineage.get("feature_services", [])
        models = read_models(stores.registry.version_dir(rollout.version))
        require_served_features(rollout.version, services, *models)
        score_candidates(rollout.version, as_of, plan_date, processes, trial_users(rollout))
    except Exception as error:
        if is_machine_fault(error):  # not the version's: not tonight
            done = "the champion plans for everybody"
            _tell_failure(stores, f"{rollout.version} could not score", error, done)
            return None
        return_challenger(stores, rollout, as_of, f"it could not score: {_words(error)}")
        return None
    return rollout


def planned_by(
    stores: Stores,
    planners: tuple[Planner, ...],
    rollout: Rollout | None,
    as_of: datetime,
    plan_date: date,
    processes: ShardProcesses | None,
) -> tuple[tuple[Planner, ...], tuple[PlannedShards, str] | None]:
    """(who planned, the plan): all planners, or the champion for everybody where one of the others fails."""
    try:
        return planners, plan_candidates(planners, as_of, plan_date, processes)
    except Exception as error:
        if len(planners) == 1:
            raise
        held = planners[0].allocation
        allocation = Allocation((), held.holdout_share) if held and held.holdout_share else None
        alone = planners_of(planners[0].version, None, allocation)
        planned = plan_candidates(alone, as_of, plan_date, processes)  # raises if it was the champion's fault
        why = f"it could not plan: {_words(error)}"
        if is_machine_fault(error):  # nobody's who is tried: not in this plan
            _tell_failure(stores, "champion and trials could not plan", error, "the champion planned for all")
        elif rollout is not None and rollout.stage == "canary":
            return_challenger(stores, rollout, as_of, why)
        else:
            _tell_failure(
                stores, "an experiment's arm could not plan", error, "its users are planned for as all"
            )
        return alone, planned


def compare_shadow(stores: Stores, rollout: Rollout, as_of: datetime, plan_date: date) -> None:
    """Nothing; the plan is out, and a comparison that fails must not undo that."""
    ours = files_of(stores, rollout.version, as_of, plan_date, trial_users(rollout))
    try:
        measure_shadow(rollout, files_of(stores, rollout.champion, as_of, plan_date), ours, as_of, plan_date)
    except Exception as error:
        _tell_failure(
            stores, f"the shadow of {rollout.version} was not compared", error, "the plan is published"
        )


def _tell_failure(stores: Stores, what: str, error: Exception, done: str) -> None:
    facts = AlertFacts(f"{what}: {_words(error)}", done=done)
    raise_alert(stores, "flow_failed", facts, "score")


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def with_arm_scores(
    stores: Stores,
    planners: tuple[Planner, ...],
    as_of: datetime,
    plan_date: date,
    processes: ShardProcesses | None,
) -> tuple[Planner, ...]:
    """The planners, those of experiments' arms with their scores on disk; less those that failed to score.

    The experiment of an arm that cannot score is over; where the machine is to blame, it only rests for this
    plan: its users are planned for as everybody, and the next plan tries again.
    """
    champion, allocation = planners[0].version, planners[0].allocation
    if allocation is None or not allocation.splits:
        return planners
    for one in planners:
        if one.version == champion and not one.slots:
            continue
        try:
            score_candidates(one.version, as_of, plan_date, processes, one.scores, one.slots)
        except Exception as error:  # what is only tried must not cost everybody's plan
            names = experiments_of(one)
            if is_machine_fault(error):
                what = f"{', '.join(names)}: {one.version} could not score"
                _tell_failure(stores, what, error, "not in this plan; the next one tries again")
            else:
                end_broken(stores, names, as_of, f"{one.version} could not score: {_words(error)}")
            left = without(allocation, names)
            return with_arm_scores(stores, planners_of(champion, None, left), as_of, plan_date, processes)
    return planners
