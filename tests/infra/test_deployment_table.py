"""`infra/prefect.yaml`: complete, and read as it stands."""

from __future__ import annotations

import importlib
from datetime import timedelta
from pathlib import Path

import pytest

from features.errors import UsageError
from infra.deployment_table import FILE, deployment_table


def test_what_is_scheduled_says_when_and_how_late_it_may_be() -> None:
    table = deployment_table()
    assert [flow.name for flow in table.scheduled] == [
        *("ingest", "materialize", "train", "readout", "cycle", "score", "monitor")
    ]
    assert all(flow.too_late and flow.concurrency_limit == 1 and flow.tags for flow in table.scheduled)
    assert table.flow("ingest").too_late == timedelta(minutes=50)
    assert table.timezone is None and table.pool_limit == 1


def test_what_drift_starts_is_what_monitor_emits() -> None:
    deployments = importlib.import_module("flows.deployments")
    assert [flow.event for flow in deployment_table().flows if flow.event] == [deployments.DRIFT_FAILED]


def test_every_zone_but_the_shops_own_is_an_iana_name(tmp_path: Path) -> None:
    text = FILE.read_text(encoding="utf-8")
    for zone, expected in (("Europe/Oslo", "Europe/Oslo"), ("default_timezone", None)):
        file = tmp_path / f"{len(zone)}.yaml"
        file.write_text(text.replace("timezone: default_timezone", f"timezone: {zone}"))
        assert deployment_table(file).timezone == expected


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("timezone: default_timezone", "timezone: Mars/Olympus", "must be an IANA name"),
        ("    when: every hour at :05\n", "", "when is missing; put it in"),
        ("deployments:", "deployments: [", "cannot be read"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, old: str, new: str, words: str) -> None:
    file = tmp_path / "prefect.yaml"
    file.write_text(FILE.read_text(encoding="utf-8").replace(old, new, 1))
    with pytest.raises(UsageError) as caught:
        deployment_table(file)
    assert words in str(caught.value) and "\n" not in str(caught.value)
