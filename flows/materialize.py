"""Flow `materialize`: events become feature tables, offline as Parquet and online in Postgres."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from features.interactions import build_interactions
from features.promotion import relevant_promotions
from features.tables import FEATURE_TABLES
from flows.fingerprints import code_fingerprint, fingerprint_of
from flows.moments import check_as_of, default_as_of, shop_timezone
from flows.progress import say, step
from flows.run_name import run_name
from flows.task_policy import RETRIES, RETRY_DELAY_SECONDS, check_deadline, is_worth_retrying
from flows.wiring import Stores, open_stores, sole_writer
from infra.watermarks import advance_watermark, read_watermark

_DEADLINE = timedelta(minutes=50)
_STAMP = "fingerprint"
_CODE = ("features", "infra.asof_join", "infra.offline_store", "infra.feature_store")


@flow(name="materialize", flow_run_name=run_name, timeout_seconds=3600, persist_result=False)
def materialize(as_of: datetime | None = None) -> str:
    """Build every feature table as of `as_of`, register them in Feast and fill the online store.

    Returns:
        The fingerprint of what the tables were built from.
    """
    check_deadline(_DEADLINE)
    stores = open_stores()
    as_of = resolved_as_of(stores, as_of)
    fingerprint = features_fingerprint(stores, as_of)
    with sole_writer(stores.settings), step("features") as current:
        if _stands(stores, fingerprint):
            current.skip(f"unchanged: {len(FEATURE_TABLES)} tables as of {as_of:%Y-%m-%d %H:%M} UTC")
            return fingerprint
        # Until all of them are new, the tables are nobody's: a run killed here must not pass for the old one.
        (stores.settings.features_dir / _STAMP).unlink(missing_ok=True)
        rows = build_tables(as_of)
        register_features()
        changed = fill_online_store(as_of)
        current.say(
            f"{len(rows)} tables, {sum(rows.values()):,} rows; {changed:,} changed in the online store"
        )
        (stores.settings.features_dir / _STAMP).write_text(fingerprint, encoding="utf-8")
        advance_watermark(stores.database, "materialize", as_of, fingerprint)
    create_markdown_artifact(
        tables_markdown(rows), key="features", description=f"Feature tables as of {as_of:%Y-%m-%d %H:%M} UTC"
    )
    return fingerprint


def ensure_features(stores: Stores, as_of: datetime) -> None:
    """Nothing; the feature tables are those of `as_of`, built now if they were not."""
    if not _stands(stores, features_fingerprint(stores, as_of)):
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


def features_fingerprint(stores: Stores, as_of: datetime) -> str:
    """What the feature tables follow from: events, cut-off, definitions."""
    zone = shop_timezone(stores.settings)
    return fingerprint_of(stores.lake.fingerprint(), as_of.isoformat(), zone, code_fingerprint(*_CODE))


@task(name="build tables", cache_policy=NO_CACHE)
def build_tables(as_of: datetime) -> dict[str, int]:
    """Rows by table, each now a Parquet file."""
    stores = open_stores()
    connection = stores.lake.connect(as_of)
    try:
        interactions = build_interactions(connection, default_timezone=shop_timezone(stores.settings))
        # Read by every table: computed once, spilling to disk where memory is short.
        connection.execute(f"CREATE TEMP TABLE interactions AS {interactions.sql_query()}")
        sources = {
            "interactions": connection.table("interactions"),
            "promotions": relevant_promotions(connection, as_of),
        }
        rows: dict[str, int] = {}
        for table in FEATURE_TABLES:
            say(table.name)
            relation = table.build(sources[table.source], as_of)
            rows[table.name] = stores.features.write_table(table, relation)
        return rows
    finally:
        connection.close()


@task(
    name="register in Feast",
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAY_SECONDS,
    retry_condition_fn=is_worth_retrying,
    cache_policy=NO_CACHE,
)
def register_features() -> None:
    """Nothing; Feast knows every table, on-demand view and service."""
    say("registering in Feast")
    open_stores().features.apply()


@task(
    name="fill online store",
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAY_SECONDS,
    retry_condition_fn=is_worth_retrying,
    cache_policy=NO_CACHE,
)
def fill_online_store(as_of: datetime) -> int:
    """How many rows of the online tables changed."""
    say("filling the online store")
    return sum(open_stores().features.materialize(as_of).values())


def tables_markdown(rows: dict[str, int]) -> str:
    """The tables as a page: grain, columns, rows."""
    lines = ["| table | one row per | columns | rows |", "|---|---|---|---:|"]
    for table in FEATURE_TABLES:
        columns = ", ".join(column.name for column in table.columns)
        lines.append(f"| {table.name} | {' x '.join(table.keys)} | {columns} | {rows[table.name]:,} |")
    return "\n".join(lines)


def _stands(stores: Stores, fingerprint: str) -> bool:
    """Whether files and online store are those of `fingerprint`."""
    mark = read_watermark(stores.database, "materialize")
    stamp = stores.settings.features_dir / _STAMP
    files = stamp.exists() and stamp.read_text(encoding="utf-8") == fingerprint
    return files and mark is not None and mark.fingerprint == fingerprint
