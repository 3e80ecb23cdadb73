"""A day's plan from candidates that are scored: made in shards, then published as one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from features.errors import RefusedError
from flows.blast_radius import require_usual_size
from flows.candidate_scores import files_of
from flows.day_plan import make_plan, plan_inputs, policy_params
from flows.fingerprints import fingerprint_of
from flows.moments import local_date, shop_timezone
from flows.planned_shards import PlannedShard, PlannedShards, planned_shards, remove_plans
from flows.planners import Planner, part_of
from flows.progress import step
from flows.scored_shards import FreshShard, ScoredShard, ScoredShards, remove_scores
from flows.shard_processes import ShardProcesses
from flows.shard_runs import run_shards
from flows.task_policy import RETRIES, RETRY_DELAY_SECONDS, is_worth_retrying
from flows.wiring import Stores, open_stores
from infra.plan_content import canonical_rows
from infra.plan_store import PublishedBatch
from infra.sources import reality_note
from models.experiments.allocation import with_arms
from models.plan_frames import Plan, joined_plans

_SCORES_KEPT = timedelta(days=2)
"""So long somebody may want to look at them; a day's are far larger than what is published of it."""


def _inputs(stores: Stores, planners: Sequence[Planner], as_of: datetime, plan_date: date) -> str:
    """What the planners' one plan follows from."""
    parts: list[object] = []
    for one in planners:
        files = files_of(stores, one.version, as_of, plan_date, one.scores, one.slots)
        parts += [one, plan_inputs(stores, one.version, files, plan_date, as_of)]
    return fingerprint_of(*parts)


def _is_live(stores: Stores, files: ScoredShards, inputs: str, plan_date: date) -> bool:
    """Whether the live batch is the plan that follows from `inputs`."""
    known, batch = files.read_plan(inputs), stores.plans.live_batch(plan_date)
    return known is not None and batch is not None and batch.batch_id == known["batch_id"]


def _parts(stores: Stores, files: ScoredShards, version: str, inputs: str, plan_date: date) -> PlannedShards:
    """Where the parts of the plan belong that follows from `inputs`."""
    follows = fingerprint_of(files.stem, inputs)
    folder = stores.settings.home / "planned" / version
    return planned_shards(folder, f"{plan_date.isoformat()}-{follows}", len(files.shards))


@dataclass(frozen=True)
class PlanOnTheWay:
    """Plans each shard as soon as it is scored, which spares reading its scores again.

    Attributes:
        planner: Who plans, alone and for everybody.
        planned: Where the parts of the plan belong.
    """

    planner: Planner
    as_of: datetime
    plan_date: date
    planned: PlannedShards

    def __call__(self, number: int, scored: FreshShard, threads: int) -> None:
        """Nothing; the shard's part of the plan lies on disk."""
        plan = _plan_of(open_stores(), self.planner, scored, self.plan_date, self.as_of, threads)
        _write((self.planner,), [plan], self.planned.shards[number], scored.buckets, self.plan_date)


def plan_on_the_way(planner: Planner, as_of: datetime, plan_date: date) -> PlanOnTheWay | None:
    """What plans shards while they are scored; None when the live batch is that plan already.

    Args:
        planner: Alone and for everybody: what only some are planned by is known after all are scored.
    """
    stores = open_stores()
    files = files_of(stores, planner.version, as_of, plan_date)
    inputs = _inputs(stores, [planner], as_of, plan_date)
    if _is_live(stores, files, inputs, plan_date):
        return None
    return PlanOnTheWay(planner, as_of, plan_date, _parts(stores, files, planner.version, inputs, plan_date))


def plan_candidates(
    planners: tuple[Planner, ...],
    as_of: datetime,
    plan_date: date,
    processes: ShardProcesses | None = None,
) -> tuple[PlannedShards, str] | None:
    """(the plan on disk, what it follows from); None when the live batch is that plan already.

    Shards that were planned on the way stay.

    Args:
        planners: The champion first.
        processes: As in `score_candidates`.
    """
    stores = open_stores()
    version = planners[0].version
    files = files_of(stores, version, as_of, plan_date)
    inputs = _inputs(stores, planners, as_of, plan_date)
    if _is_live(stores, files, inputs, plan_date):
        return None
    with step("plan") as current:
        planned = _parts(stores, files, version, inputs, plan_date)
        missing = planned.missing
        run_shards(
            "plan",
            plan_shard,
            missing,
            len(files.shards),
            stores.settings,
            processes,
            current.advance,
            planners=planners,
            as_of=as_of,
            plan_date=plan_date,
            planned=planned,
        )
        kept = len(files.shards) - len(missing)
        words = f"{planned.digest.rows['push_plan']:,} pushes"
        current.say(f"{words}, {kept} shards were planned before" if kept else words)
    return planned, inputs


def plan_shard(
    number: int,
    planners: tuple[Planner, ...],
    as_of: datetime,
    plan_date: date,
    planned: PlannedShards,
    threads: int,
) -> None:
    """Nothing; the shard's part of the plan lies on disk, in canonical form."""
    stores = open_stores()
    plans, buckets = [], range(0)
    for one in planners:
        scored = files_of(stores, one.version, as_of, plan_date, one.scores, one.slots).shards[number]
        buckets = scored.buckets
        plans.append(_plan_of(stores, one, scored, plan_date, as_of, threads))
    _write(planners, plans, planned.shards[number], buckets, plan_date)


def _plan_of(
    stores: Stores, planner: Planner, scored: ScoredShard, plan_date: date, as_of: datetime, threads: int
) -> Plan:
    """What the planner plans for its users of the shard."""
    shard = part_of(scored, planner.plans_for)
    policy = dict(planner.policy)
    return make_plan(stores, planner.version, shard, plan_date, as_of, threads, policy, planner.slots)


def _write(
    planners: Sequence[Planner],
    plans: Sequence[Plan],
    shard: PlannedShard,
    buckets: range,
    plan_date: date,
) -> None:
    """Nothing; the planners' plans of the shard lie on disk as one."""
    plan = joined_plans(plans)
    if planners[0].allocation is not None:
        plan = with_arms(plan, planners[0].allocation)
    shard.write(canonical_rows(plan, plan_date, buckets), plan.summary)


@task(
    name="publish",
    task_run_name="publish {plan_date}",
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAY_SECONDS,
    retry_condition_fn=is_worth_retrying,
    cache_policy=NO_CACHE,
)
def publish_plan(
    planners: tuple[Planner, ...],
    as_of: datetime,
    plan_date: date,
    planned: tuple[PlannedShards, str] | None,
) -> PublishedBatch:
    """The batch that is live for the day from now on.

    Args:
        planned: From `plan_candidates` of the same planners.
    """
    stores = open_stores()
    version = planners[0].version
    files = files_of(stores, version, as_of, plan_date)
    with step("publish") as current:
        if planned is None:
            batch = stores.plans.live_batch(plan_date)
            known = files.read_plan(_inputs(stores, planners, as_of, plan_date))
            assert batch is not None and known is not None
            summary = known["summary"]
        else:
            plan, inputs = planned
            require_usual_size(stores, plan_date, plan.digest.rows["push_plan"])
            batch = stores.plans.publish_content(
                plan,
                plan_date=plan_date,
                as_of=as_of,
                model_version=version,
                policy_version=policy_params(stores).version,
                is_wanted=partial(_require_planners, stores, planners),
            )
            summary = plan.summary
            files.write_plan(inputs, batch.batch_id, summary)
        # Also where a run was killed when all but this was done.
        remove_plans(stores.settings.home / "planned", plan_date)
        oldest = min(plan_date, local_date(as_of, shop_timezone(stores.settings))) - _SCORES_KEPT
        remove_scores(stores.settings.home / "scored", oldest)
        silent = summary["users_silent"]
        words = f"{batch.rows:,} pushes to {batch.users:,} users, {silent:,} hear nothing"
        current.say(words) if batch.changed else current.skip(f"unchanged: {words}")
    create_markdown_artifact(
        plan_markdown(summary, batch, reality_note(stores.settings.source)),
        key="plan",
        description=f"The plan for {plan_date}, batch {batch.batch_id}",
    )
    return batch


def _require_planners(stores: Stores, planners: tuple[Planner, ...]) -> None:
    """Nothing, or an error: a model that was taken back while it planned must not have its plan go live.

    Raises:
        RefusedError: The champion is another, or the canary is over.
    """
    champion, rollout = stores.registry.champion(), stores.rollouts.current()
    allocation = planners[0].allocation
    arms = allocation is not None and bool(allocation.splits)  # an experiment's versions are pinned
    on_trial = set() if arms else {one.version for one in planners[1:]}
    if champion != planners[0].version or on_trial - {None if rollout is None else rollout.version}:
        raise RefusedError(
            f"{planners[0].version} or its canary was taken back while this plan was made, so it is not "
            "published; run kairos score."
        )


def plan_markdown(summary: dict[str, int], batch: PublishedBatch, note: str = "") -> str:
    """What was planned and what was held back, as a page; `note` comes first."""
    lines = [
        *((f"**{note}**", "") if note else ()),
        f"Batch `{batch.batch_id}`, checksum `{batch.checksum}`" + ("" if batch.changed else ", unchanged"),
        "",
        "| | |",
        "|---|---:|",
        *(f"| {name.replace('_', ' ')} | {count:,} |" for name, count in summary.items()),
    ]
    return "\n".join(lines)
