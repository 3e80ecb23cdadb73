"""Drift of the data itself: the newest whole day's events and labels beside earlier days of its season."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from features.calendar import local_midnight
from flows.alerts import raise_alert, recovered
from flows.fingerprints import code_fingerprint
from flows.moments import local_date, shop_timezone
from flows.progress import step
from flows.training_data import country_of
from flows.wiring import Stores, open_stores
from infra.report_store import DATA_DRIFT
from monitoring.alert_words import AlertFacts
from monitoring.day_watch import watch_day
from monitoring.drift_finding import WatchResult
from monitoring.drift_watch import WatchParams
from monitoring.label_frame import LABELS, REPEAT_DAYS

KIND = DATA_DRIFT
_ALERT_SUBJECT = "data"


def data_drift_subject(stores: Stores, day: date) -> str:
    """What a measurement is of: this lake's day, by these checks."""
    return f"data-{day.isoformat()}-{stores.lake.fingerprint()[:12]}-{code_fingerprint('monitoring')[:8]}"


@task(name="measure data drift", cache_policy=NO_CACHE)
def measure_data_drift(as_of: datetime) -> str:
    """The verdict on the newest day that was over at `as_of`: pass, warn or fail."""
    stores = open_stores()
    timezone = shop_timezone(stores.settings)
    day = local_date(as_of, timezone) - timedelta(days=1)
    subject = data_drift_subject(stores, day)
    with step("data drift") as current:
        rows = stores.reports.latest_drift(subject=subject, kind=KIND)
        if rows:
            current.skip(f"unchanged: {rows[0]['details']['words']}")
        else:
            connection = stores.lake.connect(as_of, since=_since(day, timezone))
            try:
                result = watch_day(
                    connection,
                    day,
                    since=_since(day, timezone),
                    timezone=timezone,
                    country=country_of(connection.sql("SELECT locale FROM users").df()),
                )
            finally:
                connection.close()
            written = drift_rows(result, day)
            reference = ", ".join(one.isoformat() for one in result.reference)
            stores.reports.append_drift(
                subject=subject, as_of=as_of, kind=KIND, rows=written, reference=reference or None
            )
            rows = stores.reports.latest_drift(subject=subject, kind=KIND)
            _alert(stores, day, result)
            current.say(str(rows[0]["details"]["words"]))
    verdict = str(rows[0]["details"]["report_verdict"])
    create_markdown_artifact(
        data_drift_markdown(rows), key="data-drift", description=f"Events of {day}: {verdict}"
    )
    return verdict


def _since(day: date, timezone: str) -> datetime:
    """The first instant that is looked at: as far back as any reference may lie, and its repeats."""
    return local_midnight(day - timedelta(days=2 * WatchParams().season.oldest_days + REPEAT_DAYS), timezone)


def drift_rows(result: WatchResult, day: date) -> list[dict[str, Any]]:
    """The checks of all events and labels, and of slices what is beyond its limit, for `drift_summary`."""
    shared = {"report_verdict": result.verdict, "words": drift_words(result, day)}
    kept = [one for one in result.findings if one.slice in ("", LABELS) or one.verdict != "pass"]
    rows = [
        {
            "column_name": f"{one.column} ({one.slice})" if one.slice else one.column,
            "measure": one.method,
            "value": one.value,
            "threshold": one.limit,
            "verdict": "ok" if one.verdict == "pass" else one.verdict,
            "details": {**shared, "slice": one.slice, "detail": one.detail},
        }
        for one in kept
    ]
    nothing = {"column_name": "events", "measure": "reference", "verdict": "warn", "details": shared}
    return rows or [nothing]


def drift_words(result: WatchResult, day: date) -> str:
    """One clause."""
    if not result.reference:
        return f"{day} has no earlier day to be compared with"
    beside = f"{day} beside {len(result.reference)} days like it"
    if not result.alarms:
        return f"{result.verdict}: {beside}, {len(result.findings)} checks"
    words = f"{result.verdict}: {len(result.alarms)} of {len(result.findings)} checks moved"
    return f"{words}, most {result.alarms[0].words}; {beside}"


def _alert(stores: Stores, day: date, result: WatchResult) -> None:
    if result.verdict != "fail":
        recovered(stores, "drift", _ALERT_SUBJECT)
        return
    facts = AlertFacts(
        drift_words(result, day),
        f"moved most: {'; '.join(one.words for one in result.alarms[:5])}",
        "measured on every event and label of the day; the plan that is live stays",
    )
    raise_alert(stores, "drift", facts, _ALERT_SUBJECT)


def data_drift_markdown(rows: list[dict[str, Any]]) -> str:
    """The checks as a page, worst first."""
    lines = [str(rows[0]["details"]["words"]), "", "| column | measure | value | limit | verdict |"]
    lines.append("|---|---|---:|---:|---|")
    for row in rows:
        if row["value"] is not None:
            lines.append(
                f"| {row['column_name']} | {row['measure']} | {row['value']:.3g} | {row['threshold']:.3g} "
                f"| {row['verdict']} |"
            )
    return "\n".join(lines)
