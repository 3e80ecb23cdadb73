"""Data quality of the lake as of a moment, measured once and kept in Postgres."""

from __future__ import annotations

from datetime import datetime

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from features.errors import RefusedError
from flows.alerts import raise_alert, recovered
from flows.fingerprints import code_fingerprint
from flows.moments import shop_timezone
from flows.progress import step
from flows.training_data import country_of
from flows.view_quality import view_checks
from flows.wiring import Stores, open_stores
from infra.overrides import Override, record_override
from monitoring import quality
from monitoring.alert_words import AlertFacts
from monitoring.quality_check import QualityReport
from monitoring.shop_clock import ShopClock

KIND = "events"
KIND_OF_ALERT = "data_quality"


def quality_subject(stores: Stores, as_of: datetime) -> str:
    """What a measurement is of: this lake, as of this moment, by these checks."""
    return f"{stores.lake.fingerprint()[:16]}@{as_of:%Y%m%dT%H%M}-{code_fingerprint('monitoring')[:8]}"


@task(name="measure quality", cache_policy=NO_CACHE)
def measure_quality(as_of: datetime) -> str:
    """The verdict on the data known at `as_of`: ok, warn or fail."""
    stores = open_stores()
    subject = quality_subject(stores, as_of)
    with step("quality") as current:
        rows = stores.reports.latest_quality(subject=subject, kind=KIND)
        if rows:
            current.skip(f"unchanged: {quality_words(rows)}")
        else:
            stores.reports.append_quality(
                subject=subject, as_of=as_of, kind=KIND, rows=_measured(stores, as_of).rows()
            )
            rows = stores.reports.latest_quality(subject=subject, kind=KIND)
            current.say(quality_words(rows))
    _alert(stores, rows)
    create_markdown_artifact(
        quality_markdown(rows), key="quality", description=f"Data quality as of {as_of:%Y-%m-%d %H:%M} UTC"
    )
    return str(rows[0]["verdict"])


def quality_verdict(stores: Stores, as_of: datetime) -> str | None:
    """The verdict on the data known at `as_of`: ok, warn or fail; None when it was not measured."""
    rows = stores.reports.latest_quality(subject=quality_subject(stores, as_of), kind=KIND)
    return str(rows[0]["verdict"]) if rows else None


def require_quality(stores: Stores, as_of: datetime, despite: tuple[str, str] | None = None) -> None:
    """Nothing; the data known at `as_of` is fit to plan with, or somebody has it planned all the same.

    Args:
        despite: Who says so, and why; kept in the record where it was needed.

    Raises:
        RefusedError: It is not; with the checks that failed and the fix.
    """
    if measure_quality(as_of) != "fail":
        return
    subject = quality_subject(stores, as_of)
    rows = stores.reports.latest_quality(subject=subject, kind=KIND)
    failed = "; ".join(_words(row) for row in rows if row["verdict"] == "fail")
    if despite is None:
        raise RefusedError(
            f"data quality failed, so nothing is planned: {failed}. Repair the source and run kairos cycle; "
            "infra/runbooks/data_quality.md says how."
        )
    who, why = despite
    with step("override") as current, stores.database.transaction() as connection:
        record_override(connection, Override("quality", subject, failed, who, why))
        current.say(f"planned although data quality failed, says {who}: {why}")


def _alert(stores: Stores, rows: list[dict[str, object]]) -> None:
    """Nothing; on-call hears of data that stops the run, and of its recovery."""
    failed = [row for row in rows if row["verdict"] == "fail"]
    if not failed:
        recovered(stores, KIND_OF_ALERT)
        return
    facts = AlertFacts(
        f"{len(failed)} of {len(rows)} checks fail: {_words(failed[0])}",
        "; ".join(_words(row) for row in failed[1:4]),
        "no model is promoted on this data; the champion's last plan stays live",
    )
    raise_alert(stores, KIND_OF_ALERT, facts)


def _measured(stores: Stores, as_of: datetime) -> QualityReport:
    manifest, built = stores.lake.manifest(), stores.features.tables.manifest()
    assert manifest is not None  # the subject's fingerprint came from it
    connection = stores.lake.connect(as_of)
    try:
        sources = quality.measure_quality(
            connection,
            as_of=as_of,
            quarantine_shares={name: counts.quarantine_share for name, counts in manifest.tables.items()},
            repeat_shares={name: counts.repeat_share for name, counts in manifest.tables.items()},
            clock=ShopClock(
                shop_timezone(stores.settings), country_of(connection.sql("SELECT locale FROM users").df())
            ),
            late=None if built is None else (built.late.events, manifest.tables["events"].accepted),
        )
        return QualityReport((*sources.checks, *view_checks(stores, connection, as_of)))
    finally:
        connection.close()


def quality_words(rows: list[dict[str, object]]) -> str:
    """One clause: how many checks, and the worst."""
    worst = rows[0]
    if worst["verdict"] == "ok":
        return f"{len(rows)} checks ok"
    moved = sum(row["verdict"] != "ok" for row in rows)
    return f"{moved} of {len(rows)} checks {worst['verdict']}: {_words(worst)}"


def quality_markdown(rows: list[dict[str, object]]) -> str:
    """The checks as a page, worst first."""
    lines = ["| check | column | verdict | |", "|---|---|---|---|"]
    for row in rows:
        lines.append(f"| {row['measure']} | {row['column_name']} | {row['verdict']} | {_words(row)} |")
    return "\n".join(lines)


def _words(row: dict[str, object]) -> str:
    details = row["details"]
    return str(details.get("words", "")) if isinstance(details, dict) else ""
