"""Flow `monitor`: data quality, and drift of what a model scores now against what it was made for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import duckdb
import pandas as pd
from prefect import flow, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event
from prefect.runtime import flow_run

from features.errors import KairosError, RefusedError
from features.moment import MOMENT
from flows.alerts import raise_alert, recovered
from flows.candidate_scores import files_of, score_candidates
from flows.data_drift import measure_data_drift
from flows.deployments import DRIFT_FAILED
from flows.fingerprints import code_fingerprint
from flows.health import measure_model_health
from flows.materialize import ensure_features, resolved_as_of
from flows.model_files import read_evaluation, read_ranker, read_reference
from flows.progress import step
from flows.quality import measure_quality
from flows.rollout import review_rollout
from flows.run_name import run_name
from flows.score import resolved_plan_date, score
from flows.scored_frame import scored_frames, theme_shares_before, theme_shares_now
from flows.shard_processes import shard_processes
from flows.task_policy import check_deadline
from flows.wiring import Stores, open_stores, sole_writer
from infra.left_behind import left_behind
from infra.report_store import DRIFT
from infra.report_workspace import ReportWorkspace
from infra.watermarks import advance_watermark
from monitoring.alert_words import AlertFacts
from monitoring.attribution_drift import attribution_finding
from monitoring.drift import DriftCheck, DriftResult, drift_report, standard_checks
from monitoring.drift_bins import bins_of
from monitoring.drift_counts import counted
from monitoring.drift_finding import WatchResult
from monitoring.drift_watch import FAILS_BEYOND, WatchParams, watch_against

WATCHED_FEATURES = 16
"""The ranker's features of most gain: what moves the others moves no decision."""

_NOT_WATCHED = ("query_daypart", *(column.name for column in MOMENT.columns))
"""The calendar moves by itself; that is not drift."""

PERIOD = "period"
SCORES = "scores"
"""The incident's subject, the same for all versions: one that is never scored again would never end."""
_LEAST_SLICE_ROWS = 2_000
_KIND = DRIFT


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
    check_deadline("monitor")
    stores = open_stores()
    as_of = resolved_as_of(stores, as_of)
    plan_date = resolved_plan_date(stores, as_of, plan_date)
    version = version or stores.registry.champion() or stores.registry.challenger()
    if version is None:
        raise RefusedError("no model to watch yet; run kairos train.")
    with sole_writer(stores.settings):
        ensure_features(stores, as_of)
        measure_quality(as_of)
        measure_model_health(as_of)
        review_rollout(as_of)
        # Before anything else can fail; a cycle plans anyhow.
        refused = None if flow_run.parent_flow_run_id is not None else _replace_left_behind(stores, as_of)
        verdicts = {"data": measure_data_drift(as_of)}
        with shard_processes(stores.settings) as processes:
            score_candidates(version, as_of, plan_date, processes)
        verdicts[version] = measure_drift(version, as_of, plan_date)
        advance_watermark(stores.database, "monitor", as_of, version)
    if flow_run.parent_flow_run_id is None:  # a cycle has trained already, and plans anyhow
        _call_for_training([what for what, verdict in verdicts.items() if verdict == "fail"], as_of)
    if refused is not None:
        raise refused
    return verdicts[version]


def _replace_left_behind(stores: Stores, as_of: datetime) -> RefusedError | None:
    """Why plans that hold pushes of a version that was taken back were not made anew; None if they were."""
    found = left_behind(stores.database, resolved_plan_date(stores, as_of, None))
    refused = []
    for plan_date in sorted({one.plan_date for one in found}):
        with step("left behind") as current:
            told = ", ".join(
                f"{one.pushes:,} pushes of {one.version}" for one in found if one.plan_date == plan_date
            )
            current.say(f"{plan_date} is planned anew: it holds {told}, which was taken back")
        try:
            score(as_of=as_of, plan_date=plan_date)
        except KairosError as error:  # the other days may still be planned, and drift measured
            refused.append(
                f"the plan for {plan_date} still holds {told}, which was taken back, and could not be made "
                f"anew: {str(error).rstrip('.')}"
            )
    if not refused:
        return None
    return RefusedError(f"{'; '.join(refused)}; kairos push stop --scope all holds their pushes meanwhile.")


def _call_for_training(drifted: list[str], as_of: datetime) -> None:
    """Nothing; whatever waits for drift is started: the cycle, which trains and asks the gate."""
    for what in drifted:
        emit_event(
            DRIFT_FAILED,
            {"prefect.resource.id": f"kairos.drift/{what}"},
            payload={"as_of": as_of.isoformat()},
        )


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
            result, sampled = _compare(stores, version, as_of, plan_date)
            page = stores.reports.write_html(_KIND, name, sampled.html)
            if sampled.snapshot:
                ReportWorkspace(stores.settings.workspace_dir).add_snapshot(
                    "Drift of scores", name, sampled.snapshot, as_of
                )
            verdict = result.verdict
            stores.reports.append_drift(
                subject=name,
                as_of=as_of,
                kind=_KIND,
                rows=drift_rows(result, sampled),
                reference=f"{version}: {', '.join(day.isoformat() for day in result.reference)}",
                report=str(page),
            )
            known = stores.reports.latest_drift(subject=name, kind=_KIND)
            current.say(f"{verdict}: {drift_words(result, sampled)}")
    create_markdown_artifact(
        drift_markdown(known), key="drift", description=f"Drift of {version} on {plan_date}: {verdict}"
    )
    if verdict == "fail":
        raise_alert(stores, "drift", drift_facts(known, version), SCORES)
    else:
        recovered(stores, "drift", SCORES)
    create_link_artifact(f"file://{known[0]['report']}", link_text="Drift report", key="drift-report")
    return verdict


def drift_subject(stores: Stores, version: str, as_of: datetime, plan_date: date) -> str:
    """What a measurement is of: this version's scores of this day, as known then, by these checks."""
    scores = files_of(stores, version, as_of, plan_date).timing.name.partition(".")[0]
    return f"{version}-{scores}-{code_fingerprint('monitoring')[:8]}"


def _compare(
    stores: Stores, version: str, as_of: datetime, plan_date: date
) -> tuple[WatchResult, DriftResult]:
    """(the verdict on all rows, Evidently's on a sample of them with the same limits)."""
    folder = stores.registry.version_dir(version)
    gains = [row["feature"] for row in read_evaluation(folder)["importance"]]
    watched = [name for name in gains if name not in _NOT_WATCHED][:WATCHED_FEATURES]
    reference = read_reference(folder)
    if PERIOD not in reference:  # of a version made when one week was the reference
        reference = reference.assign(**{PERIOD: "1970-01-01"})
    files = files_of(stores, version, as_of, plan_date)
    frames = scored_frames(reference, files, watched)
    reference, current, columns = frames.reference, frames.current, frames.columns
    ranker, threads = read_ranker(folder), stores.settings.threads
    attribution = attribution_finding(
        theme_shares_before(ranker, reference, PERIOD, threads),
        theme_shares_now(ranker, files, reference["user_id"].unique().tolist(), threads),
    )
    result = watch_scores(reference, current, columns).beside(attribution)
    limits = {(one.column, one.method): one.limit for one in result.findings if not one.slice}
    checks = tuple(
        DriftCheck(check.column, check.method, limit, FAILS_BEYOND * limit)
        for check in standard_checks(reference, columns)
        if (limit := limits.get((check.column, check.method))) is not None
    )
    return result, drift_report(reference[columns], current[columns], checks)


def watch_scores(reference: pd.DataFrame, current: pd.DataFrame, columns: Sequence[str]) -> WatchResult:
    """The verdict on the rows of `current` beside the periods of `reference`, each slot for itself as well.

    Args:
        reference: The columns, `slot` and `period`.
        current: The columns and `slot`.
    """
    bins = bins_of(reference, columns)
    with duckdb.connect() as connection:
        connection.register("reference", reference[[*columns, "slot", PERIOD]])
        connection.register("current", current[[*columns, "slot"]])
        before = counted(connection, "reference", bins, ("slot",), PERIOD)
        now = counted(connection, "current", bins, ("slot",))
    periods = {date.fromisoformat(name): counts for name, counts in before.items()}
    # Everybody is scored for as many slots and candidates, and which slots is the timing model's choice.
    params = WatchParams(watches_rows=False, least_rows=_LEAST_SLICE_ROWS)
    return watch_against(now[""], periods, bins, params)


def drift_facts(rows: list[dict[str, Any]], version: str) -> AlertFacts:
    """What on-call must know of a failed drift report, from its stored rows, worst first."""
    moved = [row for row in rows if row["verdict"] != "ok"]
    worst = sorted(moved, key=lambda row: -row["value"] / max(row["threshold"], 1e-12))
    words = [f"{row['column_name']} {row['measure']} {row['value']:.3g}" for row in worst]
    return AlertFacts(
        f"{version}: {len(moved)} of {len(rows)} checks moved, "
        f"most {words[0]} (limit {worst[0]['threshold']:.3g})",
        f"moved most: {', '.join(words[:5])}",
        "the version is not promoted; a champion that is live goes on planning",
        (("the drift report", f"file://{rows[0]['report']}"),),
    )


def drift_rows(result: WatchResult, sampled: DriftResult) -> list[dict[str, object]]:
    """The checks of the whole, and those of slots beyond their limits, as rows of `drift_summary`.

    Beside the value over all rows stands Evidently's on its sample.
    """
    seen = {(one.name, one.method): one for one in sampled.columns}
    rows: list[dict[str, object]] = []
    for one in result.findings:
        if one.slice and one.verdict == "pass":
            continue
        details: dict[str, object] = {"gating": True, "slice": one.slice, "report_verdict": result.verdict}
        details |= {"detail": one.detail} if one.detail else {}
        beside = None if one.slice else seen.get((one.column, one.method))
        if beside is not None:
            details |= {"evidently": beside.value, "evidently_verdict": beside.verdict}
        rows.append(
            {
                "column_name": f"{one.column} ({one.slice})" if one.slice else one.column,
                "measure": one.method,
                "value": one.value,
                "threshold": one.limit,
                "verdict": "ok" if one.verdict == "pass" else one.verdict,
                "details": details,
            }
        )
    return rows


def drift_words(result: WatchResult, sampled: DriftResult) -> str:
    """One clause: how many columns moved, the one that moved most, and whether Evidently disagrees."""
    count = len({one.column for one in result.findings})
    words = f"{count} columns as in {len(result.reference)} earlier weeks"
    if result.alarms:
        moved = f"{len(result.alarms)} of {len(result.findings)} checks moved"
        words = f"{moved}, most {result.alarms[0].words}"
    if sampled.verdict != result.verdict:
        words += f"; on a sample Evidently says {sampled.verdict}"
    return words


def drift_markdown(rows: list[dict[str, object]]) -> str:
    """The summary as a page."""
    lines = ["| column | measure | value | threshold | verdict |", "|---|---|---:|---:|---|"]
    for row in rows:
        lines.append(
            f"| {row['column_name']} | {row['measure']} | {row['value']:.3f} "
            f"| {row['threshold']:.3f} | {row['verdict']} |"
        )
    return "\n".join(lines)
