"""Alerts are told once, reminded of while nobody acts, and not at all in a maintenance window."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from features.errors import UsageError
from monitoring.alert_kinds import ALERT_KINDS, kind_named
from monitoring.alert_words import AlertFacts, body_of, runbook_of, title_of
from monitoring.alerts import AlertParams, Incident, Mute, due_notice, is_return
from monitoring.flow_health import FlowRunSeen, judge_runs

NOW = datetime(2026, 11, 27, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)
OPEN = Incident("drift", "m1", "models", "critical", "open", NOW, NOW)
TOLD = replace(OPEN, told="trigger", told_at=NOW, told_severity="critical")


@pytest.mark.parametrize(
    ("incident", "after", "notice"),
    [
        (OPEN, 0, "trigger"),
        (TOLD, 0.9, None),
        (TOLD, 1, "reminder"),
        (replace(TOLD, severity="error", told_severity="error"), 5.9, None),
        (replace(TOLD, severity="error", told_severity="error"), 6, "reminder"),
        (replace(TOLD, severity="info", told_severity="info"), 1_000, None),
        (replace(TOLD, told_severity="warning"), 0, "trigger"),
        (replace(TOLD, status="acknowledged"), 0, "acknowledge"),
        (replace(TOLD, status="acknowledged", told="acknowledge"), 1_000, None),
        (replace(TOLD, status="resolved", resolved_at=NOW), 0, "resolve"),
        (replace(TOLD, status="resolved", resolved_at=NOW, told="resolve"), 9, None),
        (replace(OPEN, status="resolved", resolved_at=NOW), 0, None),
        (replace(TOLD, told="resolve"), 0, "trigger"),
        (replace(TOLD, status="resolved", resolved_at=NOW, flaps=1), 0, "resolve"),
        (replace(TOLD, status="resolved", resolved_at=NOW, flaps=2), 0.5, None),
        (replace(TOLD, status="resolved", resolved_at=NOW, flaps=2), 1, "resolve"),
    ],
)
def test_what_is_due(incident: Incident, after: float, notice: str | None) -> None:
    assert due_notice(incident, NOW + after * HOUR) == notice


def test_a_check_that_flaps_all_night_pages_a_few_times_only() -> None:
    incident, told = OPEN, []
    for minute in range(8 * 60):
        now = NOW + timedelta(minutes=minute)
        is_wrong = minute // 5 % 2 == 0
        if is_wrong and incident.status == "resolved":
            assert incident.resolved_at is not None and is_return(incident.resolved_at, now)
            incident = replace(incident, status="open", resolved_at=None, flaps=incident.flaps + 1)
        elif not is_wrong and incident.status == "open":
            incident = replace(incident, status="resolved", resolved_at=now)
        notice = due_notice(incident, now)
        if notice:
            told.append(notice)
            incident = replace(incident, told=notice, told_at=now, told_severity=incident.severity)
    assert told.count("trigger") == 3
    assert told.count("resolve") == 2
    assert told.count("reminder") <= 8


def test_a_window_silences_what_it_names_until_it_ends() -> None:
    for window, silent in (
        (Mute(NOW, NOW + HOUR), True),
        (Mute(NOW, NOW + HOUR, kind="drift"), True),
        (Mute(NOW, NOW + HOUR, kind="data_quality"), False),
        (Mute(NOW, NOW + HOUR, owner="crm"), False),
        (Mute(NOW - HOUR, NOW), False),
    ):
        assert (due_notice(OPEN, NOW, [window]) is None) is silent
    assert due_notice(OPEN, NOW + HOUR, [Mute(NOW, NOW + HOUR)]) == "trigger"


def test_parameters_change_the_patience() -> None:
    assert due_notice(TOLD, NOW + HOUR, params=AlertParams(reminder_hours={})) is None


@pytest.mark.parametrize("kind", [kind.name for kind in ALERT_KINDS])
def test_every_kind_has_a_runbook_that_can_be_followed(kind: str) -> None:
    text = (Path(__file__).parents[2] / runbook_of(kind)).read_text(encoding="utf-8")
    assert text.startswith("# ") and f"`{kind}`" in text
    for part in ("## What it means", "## Look first", "## Usual causes", "## Fix"):
        assert part in text


def test_no_runbook_is_left_without_its_kind() -> None:
    books = {path.stem for path in (Path(__file__).parents[2] / "infra" / "runbooks").glob("*.md")}
    assert books == {kind.name for kind in ALERT_KINDS}
    with pytest.raises(UsageError, match="alert kind 'nothing' is unknown"):
        kind_named("nothing")


def test_the_words_name_what_since_when_how_bad_why_and_what_was_done() -> None:
    facts = AlertFacts("score 0.61", "store s1", "not promoted", (("report", "http://host/page"),))
    lines = dict(body_of(replace(OPEN, flaps=2), facts, count=3))
    assert lines["since"] == "2026-11-27 03:00 UTC, 3 times, last 2026-11-27 03:00 UTC; it came back 2 times"
    assert (lines["how bad"], lines["likely cause"], lines["done already"]) == (
        "score 0.61",
        "store s1",
        "not promoted",
    )
    assert lines["runbook"] == "infra/runbooks/drift.md" and lines["see"] == "report: http://host/page"
    assert title_of(OPEN, "resolve") == "resolved: Data or scores have drifted: m1"


def run(state: str, hours_ago: float, message: str = "") -> FlowRunSeen:
    at = NOW - hours_ago * HOUR
    return FlowRunSeen("cycle", state, at, None if state in ("waiting", "running") else at, message)


@pytest.mark.parametrize(
    ("runs", "wrong"),
    [
        ([run("completed", 1)], set()),
        ([run("failed", 1), run("completed", 2)], {"flow_failed"}),
        ([run("completed", 1), run("failed", 2)], set()),
        ([run("crashed", 1), run("failed", 2)], {"flow_crashed"}),
        ([run("skipped", 1), run("completed", 2)], set()),
        ([run("cancelled", 1), run("failed", 2)], {"flow_failed"}),
        ([run("waiting", 0.9)], set()),
        ([run("waiting", 1.1), run("completed", 3)], {"flow_late"}),
        ([run("running", 5)], set()),
    ],
)
def test_a_flow_is_judged_by_its_newest_end_and_its_longest_wait(
    runs: list[FlowRunSeen], wrong: set[str]
) -> None:
    assert {one.kind for one in judge_runs(runs, NOW) if one.facts is not None} == wrong


def test_a_failure_says_why() -> None:
    [failed] = [one for one in judge_runs([run("failed", 1, "no data")], NOW) if one.facts is not None]
    assert failed.facts is not None and failed.facts.cause == "no data"
