"""Flow `ingest`: the source's four tables become the event lake."""

from __future__ import annotations

from datetime import UTC, datetime

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows.alerts import raise_alert, recovered
from flows.progress import say, step
from flows.push_stops import mirror_stops
from flows.run_name import run_name
from flows.task_policy import RETRIES, RETRY_DELAY_SECONDS, check_deadline, is_worth_retrying
from flows.wiring import open_stores, sole_writer
from infra.ingestion import IngestSummary, QuarantineError
from infra.ingestion import ingest as ingest_source
from infra.sources import source_of
from infra.watermarks import advance_watermark
from monitoring.alert_words import AlertFacts


@flow(name="ingest", flow_run_name=run_name, timeout_seconds=3600, persist_result=False)
def ingest(as_of: datetime | None = None, whole: bool = False) -> str:
    """Read the source's new rows into the event lake; bad rows go to quarantine with their reason.

    Args:
        as_of: Accepted like every flow's. The lake keeps all there is; whoever reads it cuts at `as_of`.
        whole: Read every event, also where `ingest_overlap_hours` would do with the newest.

    Returns:
        The lake's fingerprint.
    """
    check_deadline("ingest")
    stores = open_stores()
    with sole_writer(stores.settings), step("ingest") as current:
        summary = read_source(whole)
        events = summary.accepted["events"]
        words = (
            f"{events:,} events of {summary.accepted['users']:,} users, {_quarantined(summary):,} quarantined"
        )
        current.say(words) if summary.changed else current.skip(f"unchanged: {words}")
    create_markdown_artifact(
        ingest_markdown(summary), key="ingest", description="Rows by table and what became of them"
    )
    return summary.manifest.fingerprint


@task(
    name="read source",
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAY_SECONDS,
    retry_condition_fn=is_worth_retrying,
    cache_policy=NO_CACHE,
)
def read_source(whole: bool = False) -> IngestSummary:
    """What the lake holds now, and whether that changed."""
    stores = open_stores()
    settings = stores.settings
    source = source_of(settings)
    try:
        summary = ingest_source(
            source,
            stores.lake,
            now=datetime.now(UTC),
            max_quarantine_share=settings.max_quarantine_share,
            zones_by_place=settings.zones_by_place,
            overlap=None if whole else settings.ingest_overlap,
            progress=lambda table, rows: say(f"{table}: {rows:,} rows"),
        )
    except QuarantineError as error:
        done = "the data of the last ingest stays in effect; what was refused is kept for a look"
        raise_alert(stores, "quarantine", AlertFacts(str(error), done=done))
        raise
    recovered(stores, "quarantine")
    mirror_stops(stores)
    last = summary.manifest.last_event
    if last is not None:
        advance_watermark(stores.database, "ingest", last, summary.manifest.fingerprint)
    return summary


def ingest_markdown(summary: IngestSummary) -> str:
    """The ingest as a page: one table row a table, reasons, and what the source assumed."""
    lines = [
        "| table | accepted | repeats | quarantined | why |",
        "|---|---:|---:|---:|---|",
    ]
    for name, counts in summary.manifest.tables.items():
        reasons = ", ".join(f"{reason} ({rows:,})" for reason, rows in counts.reasons.items())
        lines.append(
            f"| {name} | {counts.accepted:,} | {counts.repeats:,} | {counts.quarantined:,} | {reasons} |"
        )
    said = [*summary.manifest.notes, *summary.manifest.degraded]
    return "\n".join([*lines, "", *(f"- {note}" for note in said)])


def _quarantined(summary: IngestSummary) -> int:
    return sum(counts.quarantined for counts in summary.manifest.tables.values())
