"""Flow `score`: the champion's scores for a day become one plan under policy, published atomically."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import pandas as pd
from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from features.errors import RefusedError, UsageError
from features.user_parts import EVERYONE, UserPart
from flows.alerts import raise_alert, recovered
from flows.blast_radius import require_usual_size
from flows.compiled_files import compiled_ranker, concluded, expected_rows
from flows.day_plan import make_plan, plan_inputs, policy_params
from flows.day_scores import no_scores, score_day
from flows.feature_versions import features_fingerprint
from flows.fingerprints import code_fingerprint, fingerprint_of
from flows.freshness import require_fresh
from flows.materialize import ensure_features, resolved_as_of
from flows.model_files import read_models
from flows.moments import local_date, shop_timezone
from flows.planned_shards import PlannedShards, planned_shards, remove_plans
from flows.planners import Planner, part_of, planners_of, trial_users
from flows.progress import advance, step
from flows.quality import require_quality
from flows.rollout import return_challenger, review_rollout
from flows.run_name import run_name
from flows.scored_shards import ScoredShards, medians_fingerprint, scored_shards
from flows.served_features import require_served_features
from flows.shadow import measure_shadow
from flows.shard_processes import ShardProcesses, shard_processes
from flows.shard_runs import run_shards
from flows.task_policy import RETRIES, RETRY_DELAY_SECONDS, check_deadline, is_worth_retrying
from flows.training_data import training_data
from flows.training_plan import DECIDING_CODE, training_plan
from flows.wiring import Stores, open_stores, sole_writer
from infra.plan_content import canonical_rows
from infra.plan_store import PublishedBatch
from infra.rollout_store import Rollout
from infra.sources import reality_note
from infra.watermarks import advance_watermark
from models.compiled import PredictionOutcome, together
from models.plan_frames import joined_plans
from monitoring.alert_words import AlertFacts

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
            score_candidates(champion, as_of, plan_date, processes)
            rollout = with_scores(stores, rollout, as_of, plan_date, processes)
            planners = planners_of(champion, rollout)
            planned = plan_candidates(planners, as_of, plan_date, processes)
        batch = publish_plan(planners, as_of, plan_date, planned)
        advance_watermark(stores.database, "score", as_of, batch.checksum)
        if rollout is not None and rollout.stage == "shadow":
            ours = files_of(stores, rollout.version, as_of, plan_date, trial_users(rollout))
            measure_shadow(rollout, files_of(stores, champion, as_of, plan_date), ours, as_of, plan_date)
    return batch


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
        score_candidates(rollout.version, as_of, plan_date, processes, trial_users(rollout))
    except Exception as error:
        return_challenger(stores, rollout, as_of, f"it could not score: {type(error).__name__}: {error}")
        return None
    return rollout


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


def files_of(
    stores: Stores, version: str, as_of: datetime, plan_date: date, users: UserPart = EVERYONE
) -> ScoredShards:
    """Where the version's scores of these users for this day lie, by everything they follow from."""
    settings, manifest = stores.settings, stores.lake.manifest()
    inputs = fingerprint_of(
        features_fingerprint(stores, as_of),
        code_fingerprint(*DECIDING_CODE),
        repr(training_plan(settings)),
        "" if users.is_everyone else repr(users),
    )
    known = 0 if manifest is None else manifest.tables["users"].accepted
    return scored_shards(settings, version, plan_date, as_of, inputs[:8], known)


def score_candidates(
    version: str,
    as_of: datetime,
    plan_date: date,
    processes: ShardProcesses | None = None,
    part: UserPart = EVERYONE,
) -> None:
    """Nothing; the version's scores of the part's day lie on disk. Shards that are there already stay.

    Args:
        processes: Who makes the shards beside each other; None: this process, one after the other.
        part: Whose.
    """
    stores = open_stores()
    files = files_of(stores, version, as_of, plan_date, part)
    with step("score") as current:
        missing = files.missing
        if not missing:
            current.skip(f"unchanged: {files.rows:,} candidates for {plan_date}")
            return
        outcomes = run_shards(
            "score",
            score_shard,
            missing,
            len(files.shards),
            stores.settings,
            processes,
            current.advance,
            version=version,
            as_of=as_of,
            plan_date=plan_date,
            part=part,
        )
        shards = f" in {len(files.shards)} shards" if len(files.shards) > 1 else ""
        kept = f", {len(files.shards) - len(missing)} kept" if len(missing) < len(files.shards) else ""
        current.say(f"{files.rows:,} candidates for {plan_date}{shards}{kept}")
    _tell_prediction(stores, version, plan_date, [how for how in outcomes if how is not None])


def score_shard(
    number: int, version: str, as_of: datetime, plan_date: date, part: UserPart, threads: int
) -> PredictionOutcome | None:
    """How the shard's scores, which now lie on disk, were predicted; None where nobody is scored."""
    stores = open_stores()
    files = files_of(stores, version, as_of, plan_date, part)
    shard = files.shards[number]
    data = training_data(as_of)
    folder = stores.registry.version_dir(version)
    ranker, timing = read_models(folder)
    consenting = data.users[data.users["push_consent"].eq(True)]
    users = part.of(shard.own(consenting))
    if users.empty:
        shard.write(no_scores())
        return None
    # Whether compiling pays follows from the whole run; the shards after the first find it done.
    queries = len(consenting) * stores.settings.slots_considered
    scorer = compiled_ranker(folder, ranker, expected_rows(queries, ranker), threads)
    scores = score_day(
        stores.features,
        data,
        ranker,
        timing,
        plan_date,
        as_of,
        users=users,
        slots_considered=stores.settings.slots_considered,
        policy=training_plan(stores.settings).reach,
        threads=threads,
        advance=advance if len(files.shards) == 1 else lambda done, total: None,
        timezones=sorted(consenting["timezone"].astype(str).unique()),
        scorer=scorer,
    )
    shard.write(scores)
    return concluded(folder, scorer)


def _tell_prediction(
    stores: Stores, version: str, plan_date: date, outcomes: Sequence[PredictionOutcome]
) -> None:
    """Nothing; on-call hears of compiled code that predicted otherwise than LightGBM, once a run."""
    if not outcomes:
        return
    how = together(outcomes)
    if how.is_mismatch:
        done = "the run went on with LightGBM; the compiled code was thrown away"
        raise_alert(stores, "compiled_mismatch", AlertFacts(f"{version}: {how.words}", done=done))
    elif how.is_compiled:
        recovered(stores, "compiled_mismatch")
    create_markdown_artifact(
        f"Version `{version}`, {plan_date}: {how.words}.",
        key="prediction",
        description=f"How the scores for {plan_date} were predicted",
    )


def _inputs(stores: Stores, planners: Sequence[Planner], as_of: datetime, plan_date: date) -> str:
    """What the planners' one plan follows from."""
    parts: list[object] = []
    for one in planners:
        files = files_of(stores, one.version, as_of, plan_date, one.scores)
        parts += [one, plan_inputs(stores, one.version, files, plan_date, as_of)]
    return fingerprint_of(*parts)


def plan_candidates(
    planners: tuple[Planner, ...],
    as_of: datetime,
    plan_date: date,
    processes: ShardProcesses | None = None,
) -> tuple[PlannedShards, str] | None:
    """(the plan on disk, what it follows from); None when the live batch is that plan already.

    Args:
        planners: The champion first.
        processes: As in `score_candidates`.
    """
    stores = open_stores()
    version = planners[0].version
    files = files_of(stores, version, as_of, plan_date)
    inputs = _inputs(stores, planners, as_of, plan_date)
    known, batch = files.read_plan(inputs), stores.plans.live_batch(plan_date)
    if known is not None and batch is not None and batch.batch_id == known["batch_id"]:
        return None
    with step("plan") as current:
        # What concerns all shards is known before the first is planned.
        medians = tuple(
            files_of(stores, one.version, as_of, plan_date, one.scores).medians() for one in planners
        )
        folder = stores.settings.home / "planned" / version
        follows = fingerprint_of(files.stem, inputs, *map(medians_fingerprint, medians))
        planned = planned_shards(folder, f"{plan_date.isoformat()}-{follows}", len(files.shards))
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
            medians=medians,
            planned=planned,
        )
        kept = len(files.shards) - len(missing)
        words = f"{planned.digest.rows['push_plan']:,} pushes"
        current.say(f"{words}, {kept} shards kept" if kept else words)
    return planned, inputs


def plan_shard(
    number: int,
    planners: tuple[Planner, ...],
    as_of: datetime,
    plan_date: date,
    medians: tuple[pd.DataFrame, ...],
    planned: PlannedShards,
    threads: int,
) -> None:
    """Nothing; the shard's part of the plan lies on disk, in canonical form."""
    stores = open_stores()
    plans, imputed = [], 0
    for one, prices in zip(planners, medians, strict=True):
        scored = files_of(stores, one.version, as_of, plan_date, one.scores).shards[number]
        shard = part_of(scored, one.plans_for).priced(prices)
        plans.append(make_plan(stores, one.version, shard, plan_date, as_of, threads))
        imputed += shard.prices_missing()
    plan = joined_plans(plans)
    rows = canonical_rows(plan, plan_date, shard.buckets)
    planned.shards[number].write(rows, plan.summary | {"prices_imputed": imputed})


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
            )
            summary = plan.summary
            files.write_plan(inputs, batch.batch_id, summary)
            remove_plans(stores.settings.home / "planned", plan_date)
        silent = summary["users_silent"]
        words = f"{batch.rows:,} pushes to {batch.users:,} users, {silent:,} hear nothing"
        current.say(words) if batch.changed else current.skip(f"unchanged: {words}")
    create_markdown_artifact(
        plan_markdown(summary, batch, reality_note(stores.settings.source)),
        key="plan",
        description=f"The plan for {plan_date}, batch {batch.batch_id}",
    )
    return batch


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
