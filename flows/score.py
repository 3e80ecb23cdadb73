"""Flow `score`: the champion's scores for a day become one plan under policy, published atomically."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from prefect import flow

from features.errors import RefusedError, UsageError
from flows.candidate_scores import score_candidates
from flows.experiment_planning import allocation_of, record_units
from flows.freshness import require_fresh
from flows.materialize import ensure_features, resolved_as_of
from flows.model_files import read_models
from flows.moments import local_date, shop_timezone
from flows.plan_batch import PlanOnTheWay, plan_on_the_way, publish_plan
from flows.planners import planners_of
from flows.quality import require_quality
from flows.rollout import review_rollout
from flows.run_name import run_name
from flows.served_features import require_served_features
from flows.shard_processes import shard_processes
from flows.task_policy import check_deadline
from flows.trials import compare_shadow, planned_by, with_arm_scores, with_scores
from flows.wiring import Stores, open_stores, sole_writer
from infra.plan_store import PublishedBatch
from infra.rollout_store import Rollout
from infra.watermarks import advance_watermark

_HORIZON_DAYS = 14


@flow(name="score", flow_run_name=run_name, timeout_seconds=2 * 3600, persist_result=False)
def score(
    as_of: datetime | None = None,
    plan_date: date | None = None,
    despite_quality: tuple[str, str] | None = None,
) -> PublishedBatch:
    """Score every consenting user with the champion, plan under policy and publish.

    Args:
        as_of: Knowledge cut-off.
        plan_date: The local day to plan; the one that begins at or contains `as_of` by default.
        despite_quality: Who has it planned even if the data is not fit to plan with, and why.

    Raises:
        RefusedError: No model has passed the gate yet, the champion has learnt from other features, the data
            is not fit to plan with, or features are too old.
        UsageError: `plan_date` lies before the cut-off's day or too far after it.
    """
    check_deadline("score")
    stores = open_stores()
    as_of = resolved_as_of(stores, as_of)
    plan_date = resolved_plan_date(stores, as_of, plan_date)
    if stores.registry.champion() is None:
        raise RefusedError("no model has passed the gate, so nothing may be planned; run kairos cycle.")
    with sole_writer(stores.settings):
        ensure_features(stores, as_of)
        require_quality(stores, as_of, despite_quality)
        require_fresh(stores, as_of)
        rollout = review_rollout(as_of)
        champion = stores.registry.champion()
        assert champion is not None  # a review puts another in its place, never none
        services = stores.registry.read(champion).lineage.get("feature_services", [])
        require_served_features(champion, services, *read_models(stores.registry.version_dir(champion)))
        with shard_processes(stores.settings) as processes:
            then = None if _is_on_trial(stores, rollout) else _planning(stores, champion, as_of, plan_date)
            score_candidates(champion, as_of, plan_date, processes, then=then)
            rollout = with_scores(stores, rollout, as_of, plan_date, processes)
            allocation = allocation_of(stores, champion, rollout, as_of, plan_date)
            planners = planners_of(champion, rollout, allocation)
            planners = with_arm_scores(stores, planners, as_of, plan_date, processes)
            planners, planned = planned_by(stores, planners, rollout, as_of, plan_date, processes)
        record_units(stores, planners[0].allocation, as_of, plan_date)
        batch = publish_plan(planners, as_of, plan_date, planned)
        advance_watermark(stores.database, "score", as_of, batch.checksum)
        if rollout is not None and rollout.stage == "shadow":
            compare_shadow(stores, rollout, as_of, plan_date)
    return batch


def _is_on_trial(stores: Stores, rollout: Rollout | None) -> bool:
    """Whether the champion may not be the only one who plans."""
    return rollout is not None or any(stores.experiments.list_of(state) for state in ("waiting", "running"))


def _planning(stores: Stores, champion: str, as_of: datetime, plan_date: date) -> PlanOnTheWay | None:
    """The champion's plan for everybody, a shard of which is made as soon as the shard is scored."""
    planners = planners_of(champion, None, allocation_of(stores, champion, None, as_of, plan_date))
    if len(planners) > 1:  # an experiment was approved a moment ago
        return None
    return plan_on_the_way(planners[0], as_of, plan_date)


def resolved_plan_date(stores: Stores, as_of: datetime, plan_date: date | None) -> date:
    """The local day to plan.

    Raises:
        UsageError: It is over before the cut-off, or so far ahead that nothing is known of it.
    """
    today = local_date(as_of, shop_timezone(stores.settings))
    if plan_date is None:
        return today
    if not today <= plan_date <= today + timedelta(days=_HORIZON_DAYS):
        raise UsageError(
            f"plan date {plan_date} is outside {today}..{today + timedelta(days=_HORIZON_DAYS)}, which can "
            f"be planned as of {as_of:%Y-%m-%d %H:%M} UTC; choose one of them or another --as-of."
        )
    return plan_date
