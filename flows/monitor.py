"""Flow `monitor`: data quality, and drift of what a model scores now against what it was made for."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from prefect import flow, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from features.errors import RefusedError
from features.moment import MOMENT
from flows.fingerprints import code_fingerprint
from flows.materialize import ensure_features, resolved_as_of
from flows.model_files import read_evaluation, read_reference
from flows.progress import step
from flows.quality import measure_quality
from flows.run_name import run_name
from flows.score import files_of, resolved_plan_date, score_candidates
from flows.task_policy import check_deadline
from flows.wiring import Stores, open_stores, sole_writer
from infra.watermarks import advance_watermark
from monitoring.drift import DriftResult, drift_report, standard_checks

WATCHED_FEATURES = 16
"""The ranker's features of most gain: what moves the others moves no decision."""

_NOT_WATCHED = ("query_daypart", *(column.name for column in MOMENT.columns))
"""The calendar moves by itself; that is not drift."""

_DEADLINE = timedelta(hours=3)
_KIND = "drift"


@flow(name="monitor", flow_run_name=run_name, timeout_seconds=3600, persist_result=False)
def monitor(as_of: datetime | None = None, plan_date: date | None = None, version: str | None = None) -> str:
    """Measure data quality and the drift of a model's scored candidates against its own reference.

    Args:
        as_of: Knowledge cut-off.
        plan_date: The day whose candidates are looked at.
        version: The model; the champion by default.

    Returns:
        The drift verdict: pass, warn or fail.
    """
    check_deadline(_DEADLINE)
    stores = open_stores()
    as_of = resolved_as_of(stores, as_of)
    plan_date = resolved_plan_date(stores, as_of, plan_date)
    version = version or stores.registry.champion() or stores.registry.challenger()
    if version is None:
        raise RefusedError("no model to watch yet; run kairos train.")
    with sole_writer(stores.settings):
        ensure_features(stores, as_of)
        measure_quality(as_of)
        score_candidates(version, as_of, plan_date)
        verdict = measure_drift(version, as_of, plan_date)
        advance_watermark(stores.database, "monitor", as_of, version)
    return verdict


@task(name="measure drift", task_run_name="measure drift of {version}", cache_policy=NO_CACHE)
def measure_drift(version: str, as_of: datetime, plan_date: date) -> str:
    """The verdict; the page lies among the reports and its summary in Postgres."""
    stores = open_stores()
    name = drift_subject(stores, version, as_of, plan_date)
    with step("drift") as current:
        known = stores.reports.latest_drift(subject=name, kind=_KIND)
        if known and known[0]["report"] is not None:
            verdict = str(known[0]["details"]["report_verdict"])
            current.skip(f"unchanged: {verdict}")
        else:
            result = _compare(stores, version, as_of, plan_date)
            page = stores.reports.write_html(_KIND, name, result.html)
            verdict = result.verdict
            stores.reports.append_drift(
                subject=name,
                as_of=as_of,
                kind=_KIND,
                rows=drift_rows(result),
                reference=f"{version}, a week before its cut-off",
                report=str(page),
            )
            known = stores.reports.latest_drift(subject=name, kind=_KIND)
            current.say(f"{verdict}: {drift_words(result)}")
    create_markdown_artifact(
        drift_markdown(known), key="drift", description=f"Drift of {version} on {plan_date}: {verdict}"
    )
    create_link_artifact(f"file://{known[0]['report']}", link_text="Drift report", key="drift-report")
    return verdict


def drift_subject(stores: Stores, version: str, as_of: datetime, plan_date: date) -> str:
    """What a measurement is of: this version's scores of this day, as known then, by these checks."""
    scores = files_of(stores, version, as_of, plan_date).timing.name.partition(".")[0]
    return f"{version}-{scores}-{code_fingerprint('monitoring')[:8]}"


def _compare(stores: Stores, version: str, as_of: datetime, plan_date: date) -> DriftResult:
    folder = stores.registry.version_dir(version)
    gains = [row["feature"] for row in read_evaluation(folder)["importance"]]
    watched = [name for name in gains if name not in _NOT_WATCHED][:WATCHED_FEATURES]
    columns = ["score", "p_item", *watched]
    reference = read_reference(folder)
    # The same users as in the reference: who is drawn must not look like drift.
    current = files_of(stores, version, as_of, plan_date).read_columns(
        ["user_id", *columns], reference["user_id"].unique().tolist()
    )
    return drift_report(reference[columns], current[columns], standard_checks(reference, columns))


def drift_rows(result: DriftResult) -> list[dict[str, object]]:
    """The result as rows of `drift_summary`."""
    return [
        {
            "column_name": one.name,
            "measure": one.method,
            "value": one.value,
            "threshold": one.threshold,
            "verdict": "ok" if one.verdict == "pass" else one.verdict,
            "details": {"gating": one.gating, "detail": one.detail, "report_verdict": result.verdict},
        }
        for one in result.columns
    ]


def drift_words(result: DriftResult) -> str:
    """One clause: how many columns moved, and the one that moved most."""
    moved = [one for one in result.columns if one.verdict != "pass"]
    if not moved:
        return f"{len({one.name for one in result.columns})} columns as in the reference"
    most = max(moved, key=lambda one: one.value / one.threshold)
    return f"{len(moved)} of {len(result.columns)} checks moved, most {most.words}"


def drift_markdown(rows: list[dict[str, object]]) -> str:
    """The summary as a page."""
    lines = ["| column | measure | value | threshold | verdict |", "|---|---|---:|---:|---|"]
    for row in rows:
        lines.append(
            f"| {row['column_name']} | {row['measure']} | {row['value']:.3f} "
            f"| {row['threshold']:.3f} | {row['verdict']} |"
        )
    return "\n".join(lines)
