"""Flow `materialize`: events become feature tables, offline as Parquet and online in Postgres."""

from __future__ import annotations

from datetime import UTC, date, datetime

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from features.tables import FEATURE_TABLES
from flows.feature_versions import built_manifest, features_fingerprint, late_words, plan_features
from flows.fingerprints import code_fingerprint
from flows.moments import check_as_of, default_as_of, shop_timezone
from flows.progress import advance, say, step
from flows.run_name import run_name
from flows.task_policy import RETRIES, RETRY_DELAY_SECONDS, check_deadline, is_worth_retrying
from flows.wiring import Stores, open_stores, sole_writer
from infra.feature_build import build_tables as build_version
from infra.feature_manifest import TablesManifest
from infra.watermarks import advance_watermark, read_watermark

FLOW, ONLINE = "materialize", "online"
"""Watermarks: how far the tables go, and which version of them the online store holds."""


@flow(name="materialize", flow_run_name=run_name, timeout_seconds=6 * 3600, persist_result=False)
def materialize(as_of: datetime | None = None) -> str:
    """Bring every feature table to `as_of`, register them in Feast and bring the online store up to date.

    Only days whose events changed are counted; a run killed at any time goes on where it was.

    Args:
        as_of: Knowledge cut-off: nothing at or after it is known.

    Returns:
        The fingerprint of what the tables were built from.
    """
    check_deadline("materialize")
    stores = open_stores()
    return materialize_tables(stores, resolved_as_of(stores, as_of))


def materialize_tables(stores: Stores, as_of: datetime, recount_from: date | None = None) -> str:
    """The fingerprint of the features, which are now those of `as_of`, offline and online.

    Args:
        stores: With a filled lake.
        as_of: Knowledge cut-off.
        recount_from: Count this UTC day and all after it anew.
    """
    with sole_writer(stores.settings), step("features") as current:
        if recount_from is None and _stands(stores, as_of):
            tables = stores.features.tables
            tables.clean(_held_online(stores))
            words = f"unchanged: {len(FEATURE_TABLES)} tables as of {as_of:%Y-%m-%d %H:%M} UTC"
            current.skip("; ".join(filter(None, (words, late_words(built_manifest(stores).late)))))
            return features_fingerprint(stores, as_of)
        build_tables(as_of, recount_from)
        register_features()
        changed = fill_online_store()
        fingerprint = features_fingerprint(stores, as_of)
        advance_watermark(stores.database, FLOW, as_of, fingerprint)
        stores.features.tables.clean(_held_online(stores))
        manifest = built_manifest(stores)
        current.say(materialized_words(manifest, changed))
    create_markdown_artifact(
        tables_markdown(manifest, changed),
        key="features",
        description=f"Feature tables as of {as_of:%Y-%m-%d %H:%M} UTC",
    )
    return fingerprint


def ensure_features(stores: Stores, as_of: datetime) -> None:
    """Nothing; the feature tables are those of `as_of`, built now if they were not."""
    if not _stands(stores, as_of):
        materialize(as_of=as_of)


def resolved_as_of(stores: Stores, as_of: datetime | None) -> datetime:
    """The cut-off of this run: the one given, which must lie within the data, or the default one.

    Raises:
        UsageError: It is outside the data.
    """
    settings, manifest = stores.settings, stores.lake.manifest()
    stores.lake.fingerprint()  # says what to do when the lake is empty
    assert manifest is not None and manifest.first_event is not None and manifest.last_event is not None
    if as_of is None:
        as_of = default_as_of(
            settings.source, manifest.last_event, datetime.now(UTC), shop_timezone(settings)
        )
    check_as_of(as_of, manifest.first_event, manifest.last_event)
    return as_of


@task(name="build tables", cache_policy=NO_CACHE)
def build_tables(as_of: datetime, recount_from: date | None = None) -> dict[str, int]:
    """Rows by table; all tables together are now those of `as_of`."""
    stores = open_stores()

    def show(what: str, done: float, total: float) -> None:
        say(what)
        advance(done, total)

    plan = plan_features(stores, as_of, recount_from)
    return build_version(plan, stores.lake, stores.features.tables, progress=show).rows


@task(
    name="register in Feast",
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAY_SECONDS,
    retry_condition_fn=is_worth_retrying,
    cache_policy=NO_CACHE,
)
def register_features() -> None:
    """Nothing; Feast knows every table, on-demand view and service."""
    stores = open_stores()
    stamp, registry = stores.features.registry_path.with_name("applied"), stores.features.registry_path
    declared = code_fingerprint("features", "infra.feature_store", "infra.online_tables")
    known = stamp.read_text(encoding="utf-8") if stamp.exists() and registry.exists() else None
    # Without a watermark this is another database, which has no online tables yet.
    if known != declared or read_watermark(stores.database, ONLINE) is None:
        say("registering in Feast")
        stores.features.apply()
        stamp.write_text(declared, encoding="utf-8")


@task(
    name="fill online store",
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAY_SECONDS,
    retry_condition_fn=is_worth_retrying,
    cache_policy=NO_CACHE,
)
def fill_online_store() -> int:
    """How many rows went to the online tables, which hold what the newest tables know.

    A run for a past date leaves them alone: whoever asks online asks about now.
    """
    stores = open_stores()
    manifest = built_manifest(stores)
    mark = read_watermark(stores.database, ONLINE)
    if _online_stands(stores, manifest.as_of, manifest.fingerprint):
        return 0
    say("filling the online store")
    changed = stores.features.follow(mark.fingerprint if mark is not None else None)
    newest = max((one for one in manifest.newest.values() if one is not None), default=manifest.as_of)
    # Not beyond the data: a cut-off in the future must not make the next run look like one for the past.
    advance_watermark(stores.database, ONLINE, min(newest, manifest.as_of), manifest.fingerprint)
    return sum(changed.values())


def materialized_words(manifest: TablesManifest, changed: int) -> str:
    """What was done, in one line."""
    if manifest.mode == "full":
        counted = f"all {manifest.recounted} days counted ({manifest.reason})"
    else:
        counted = f"{manifest.recounted} day{'s' * (manifest.recounted != 1)} counted ({manifest.reason})"
    words = f"{len(manifest.tables)} tables, {sum(manifest.rows.values()):,} rows; {counted}"
    words += f"; {changed:,} rows to the online store"
    return "; ".join(filter(None, (words, late_words(manifest.late))))


def tables_markdown(manifest: TablesManifest, changed: int) -> str:
    """The tables as a page: what was counted, then grain, columns, rows and newest row of each."""
    newest, rows = manifest.newest, manifest.rows
    lines = [
        f"{materialized_words(manifest, changed)}.",
        "",
        "| table | one row per | columns | rows | newest row (UTC) |",
        "|---|---|---|---:|---|",
    ]
    for table in FEATURE_TABLES:
        columns = ", ".join(column.name for column in table.columns)
        last = newest.get(table.name)
        shown = f"{last:%Y-%m-%d %H:%M}" if last is not None else "none"
        lines.append(
            f"| {table.name} | {' x '.join(table.keys)} | {columns} | {rows.get(table.name, 0):,} | {shown} |"
        )
    return "\n".join(lines)


def _stands(stores: Stores, as_of: datetime) -> bool:
    """Whether files and online store are those of `as_of`."""
    plan, known = plan_features(stores, as_of), stores.features.tables.manifest()
    return (
        plan.standing is not None
        and known is not None
        and known.fingerprint == plan.fingerprint
        and _online_stands(stores, as_of, plan.fingerprint)
    )


def _online_stands(stores: Stores, as_of: datetime, version: str) -> bool:
    """Whether the online store holds this version, or knows more than `as_of` does."""
    mark = read_watermark(stores.database, ONLINE)
    return mark is not None and (mark.fingerprint == version or as_of < mark.value)


def _held_online(stores: Stores) -> tuple[str, ...]:
    mark = read_watermark(stores.database, ONLINE)
    return (mark.fingerprint,) if mark is not None and mark.fingerprint is not None else ()
