"""The history that Evidently's own reader finds in the workspace is what was put in, each report once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from infra.report_workspace import ReportWorkspace
from monitoring.drift import drift_report, standard_checks

MONDAY = datetime(2024, 3, 25, tzinfo=UTC)


@pytest.fixture(scope="module")
def snapshot() -> str:
    rng = np.random.default_rng(1)
    before, now = (pd.DataFrame({"score": rng.normal(shift, 1, 400)}) for shift in (0.0, 2.0))
    return drift_report(before, now, standard_checks(before, ["score"])).snapshot


def test_reports_are_read_back_as_a_history_and_a_rerun_adds_none(snapshot: str, tmp_path: Path) -> None:
    from evidently.ui.workspace import Workspace

    workspace = ReportWorkspace(tmp_path)
    for day in range(3):
        path = workspace.add_snapshot("Drift of scores", f"m1-{day}", snapshot, MONDAY + timedelta(days=day))
    assert workspace.add_snapshot("Drift of scores", "m1-2", snapshot, MONDAY + timedelta(days=2)) == path
    workspace.add_snapshot("Other", "m1-0", snapshot, MONDAY)

    read = Workspace(str(tmp_path))
    project = next(one for one in read.list_projects() if one.name == "Drift of scores")
    runs = [read.get_run(project.id, one) for one in read.list_runs(project.id)]
    told = sorted((one.name, one.timestamp) for one in runs if one is not None)
    assert [name for name, _ in told] == ["m1-0", "m1-1", "m1-2"]
    assert told[0][1] == MONDAY
    assert all(one is not None and one.metric_results for one in runs)
    assert len(list(read.list_projects())) == 2
