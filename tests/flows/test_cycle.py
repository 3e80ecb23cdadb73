"""The whole way on a small market: what it leaves, that a rerun leaves the same, and what people are told."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
from rich.console import Console
from small_market import AS_OF, USERS

from features.errors import UsageError

MOMENT = datetime.combine(AS_OF, time(), UTC)


def _printed(renderable: object) -> str:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(renderable)
    return console.export_text()


def test_first_model_passes_the_gate_and_its_plan_is_live(first_cycle) -> None:
    from flows.wiring import open_stores

    stores = open_stores()
    assert first_cycle.promote, first_cycle.reasons
    assert stores.registry.champion() == first_cycle.challenger == first_cycle.champion
    gate = stores.registry.latest_gate(first_cycle.challenger)
    assert gate is not None and tuple(gate["reasons"]) == first_cycle.reasons
    live = stores.plans.read_live(AS_OF)
    assert len(live) == first_cycle.pushes > 0
    assert set(live["model_version"]) == {first_cycle.champion}
    assert first_cycle.users + first_cycle.silent_users == USERS
    assert first_cycle.report.is_file()


def test_nobody_without_consent_is_planned(first_cycle) -> None:
    from flows.wiring import open_stores

    silent = {f"u{user:03d}" for user in range(0, USERS, 10)}
    assert not silent & set(open_stores().plans.read_live(AS_OF)["user_id"])


def test_second_cycle_recomputes_nothing_and_leaves_the_same_batch(first_cycle) -> None:
    from flows import progress
    from flows.cycle import cycle

    seen: dict[str, bool] = {}

    class Watcher:
        def started(self, step: progress.Step) -> None: ...
        def changed(self, step: progress.Step) -> None: ...
        def ended(self, step: progress.Step, seconds: float, failed: bool) -> None:
            seen[step.title] = step.skipped

    token = progress._listener.set(Watcher())
    try:
        again = cycle(as_of=MOMENT)
    finally:
        progress._listener.reset(token)
    assert (again.batch_id, again.checksum, again.changed) == (
        first_cycle.batch_id,
        first_cycle.checksum,
        False,
    )
    assert seen and all(seen.values()), seen


def test_summary_tells_metrics_gate_rows_report_users_and_what_next(first_cycle) -> None:
    from flows.summary import render_summary, summary_markdown

    text = _printed(render_summary(first_cycle, "kairos cycle"))
    for part in (
        *("Kairos", "TIFU-KNN", "personal frequency", "popularity"),
        *(first_cycle.challenger, *first_cycle.reasons),
        *(f"{first_cycle.pushes:,} pushes", str(first_cycle.report), "kairos why"),
        *(sample.user_id for sample in first_cycle.samples),
    ):
        assert part in text, part
    assert len(first_cycle.samples) == 3
    assert first_cycle.challenger in summary_markdown(first_cycle)


def test_artifacts_and_names_are_readable(first_cycle) -> None:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        names = {run.name for run in client.read_flow_runs()}
        artifacts = client.request("POST", "/artifacts/filter", json={}).json()
    assert f"cycle as of {MOMENT:%Y-%m-%d %H:%M}" in names
    assert {"ingest", "features", "evaluation", "drift", "drift-report", "gate", "plan", "cycle"} <= {
        artifact["key"] for artifact in artifacts
    }


def test_a_cut_off_outside_the_data_changes_nothing(first_cycle) -> None:
    from flows.cycle import cycle
    from flows.wiring import open_stores

    with pytest.raises(UsageError, match=r"outside the data .* pass one inside, such as --as-of 2024-03-2"):
        cycle(as_of=MOMENT + timedelta(days=3650))
    live = open_stores().plans.live_batch(AS_OF)
    assert live is not None and live.batch_id == first_cycle.batch_id
