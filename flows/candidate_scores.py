"""A model version's scores of a day's candidates: made in shards, kept by what they follow from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime

from prefect.artifacts import create_markdown_artifact

from features.user_parts import EVERYONE, Users
from flows.alerts import raise_alert, recovered
from flows.compiled_files import compiled_ranker, concluded, expected_rows
from flows.day_scores import DayScores, no_scores, score_day
from flows.feature_versions import features_fingerprint
from flows.fingerprints import code_fingerprint, fingerprint_of
from flows.model_files import read_models
from flows.progress import advance, step
from flows.scored_shards import FreshShard, ScoredShard, ScoredShards, scored_shards
from flows.shard_processes import ShardProcesses
from flows.shard_runs import run_shards
from flows.training_data import training_data
from flows.training_plan import DECIDING_CODE, training_plan
from flows.wiring import Stores, open_stores
from models.compiled import PredictionOutcome, together
from monitoring.alert_words import AlertFacts

Then = Callable[[int, FreshShard, int], None]
"""(number, the shard, threads): what else is made of a shard's scores while they are at hand."""


def files_of(
    stores: Stores,
    version: str,
    as_of: datetime,
    plan_date: date,
    users: Users = EVERYONE,
    slots: Sequence[str] = (),
) -> ScoredShards:
    """Where the version's scores of these users and parts of this day lie, by everything they follow from."""
    settings, manifest = stores.settings, stores.lake.manifest()
    inputs = fingerprint_of(
        features_fingerprint(stores, as_of),
        code_fingerprint(*DECIDING_CODE),
        repr(training_plan(settings)),
        "" if users.is_everyone else repr(users),
        *slots,
    )
    known = 0 if manifest is None else manifest.tables["users"].accepted
    return scored_shards(settings, version, plan_date, as_of, inputs[:8], known)


def score_candidates(
    version: str,
    as_of: datetime,
    plan_date: date,
    processes: ShardProcesses | None = None,
    part: Users = EVERYONE,
    slots: Sequence[str] = (),
    then: Then | None = None,
) -> None:
    """Nothing; the version's scores of the part's day lie on disk. Shards that are there already stay.

    Args:
        processes: Who makes the shards beside each other; None: this process, one after the other.
        part: Whose.
        slots: As `score_day` takes them.
        then: Done with each shard that is scored; it travels to the processes by pickle.
    """
    stores = open_stores()
    files = files_of(stores, version, as_of, plan_date, part, slots)
    with step("score") as current:
        missing = files.missing
        if not missing:
            current.skip(f"unchanged: {files.rows:,} candidates for {plan_date}")
            return
        files.remove_unfinished()
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
            slots=tuple(slots),
            then=then,
        )
        shards = f" in {len(files.shards)} shards" if len(files.shards) > 1 else ""
        kept = f", {len(files.shards) - len(missing)} kept" if len(missing) < len(files.shards) else ""
        current.say(f"{files.rows:,} candidates for {plan_date}{shards}{kept}")
    _tell_prediction(stores, version, plan_date, [how for how in outcomes if how is not None])


def score_shard(
    number: int,
    version: str,
    as_of: datetime,
    plan_date: date,
    part: Users,
    slots: Sequence[str],
    threads: int,
    then: Then | None = None,
) -> PredictionOutcome | None:
    """How the shard's scores, which now lie on disk, were predicted; None where nobody is scored."""
    stores = open_stores()
    files = files_of(stores, version, as_of, plan_date, part, slots)
    shard = files.shards[number]
    data = training_data(as_of)
    folder = stores.registry.version_dir(version)
    ranker, timing = read_models(folder)
    consenting = data.users[data.users["push_consent"].eq(True)]
    users = part.of(shard.own(consenting))
    if users.empty:
        _keep(number, shard, no_scores(), then, threads)
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
        slots=slots,
    )
    _keep(number, shard, scores, then, threads)
    return concluded(folder, scorer)


def _keep(number: int, shard: ScoredShard, scores: DayScores, then: Then | None, threads: int) -> None:
    """Nothing; the scores lie on disk, and what else is to be made of them is made."""
    shard.write(scores)
    if then is not None:
        then(number, FreshShard(shard.candidates, shard.timing, shard.buckets, scores), threads)


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
