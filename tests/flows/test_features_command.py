"""`kairos features list`: every feature, before and after a build, on any terminal."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from features.tables import FEATURE_TABLES, ON_DEMAND, RANKING, SERVICES
from flows import cli
from flows.feature_list import feature_rows


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KAIROS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def test_every_feature_is_listed_with_its_meaning() -> None:
    rows = feature_rows({})
    declared = [column.name for owner in (*FEATURE_TABLES, *ON_DEMAND) for column in owner.columns]
    assert [row.feature for row in rows] == declared
    for row in rows:
        assert row.grain and row.meaning and row.null_means, row.feature
        assert row.newest is None
        assert row.unit or row.dtype == "str", f"{row.feature} has no unit"
    by_name = {row.feature: row for row in rows}
    assert {name for name, row in by_name.items() if RANKING.name in row.services} >= set(RANKING.features)
    assert by_name["user_sessions"].services == tuple(service.name for service in SERVICES)
    assert by_name["user_item_quantity"].services == (RANKING.name,), "read through an on-demand view"


def test_the_list_works_before_any_build(empty_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["features", "list"]) == 0
    text = capsys.readouterr().out
    for part in (
        "user_item  one row per user_id x item_id, stored, newest row -",
        "missing means",
        "read by",
    ):
        assert part in text
    assert not empty_home.exists()
    assert cli.run(["features", "list", "--table", "user_item", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {row["view"] for row in told} == {"user_item"}
    assert told[0]["grain"] == ["user_id", "item_id"] and told[0]["newest"] is None
    assert cli.run(["features", "list", "--table", "user_itm"]) == 2
    assert "did you mean user_item?" in capsys.readouterr().err


def test_the_list_tells_the_newest_row(first_cycle, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["features", "list", "--table", "user_activity"]) == 0
    assert "newest row 2024-03-2" in capsys.readouterr().out


def test_it_fits_a_narrow_terminal_and_loads_no_feast(empty_home: Path) -> None:
    code = (
        "import sys; from rich.console import Console; import flows.commands.output as output;"
        "output.console = lambda: Console(width=80, highlight=False); from flows import cli;"
        "code = cli.run(['features', 'list']);"
        "sys.exit(code or any(m in sys.modules for m in ('feast', 'prefect', 'sqlalchemy', 'lightgbm')))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert max(len(line.rstrip()) for line in found.stdout.splitlines()) <= 80
    assert "missing: never bought" in found.stdout or "missing: never seen" in found.stdout
    names = [column.name for owner in (*FEATURE_TABLES, *ON_DEMAND) for column in owner.columns]
    cut = [name for name in names if name not in found.stdout]
    assert cut == [], "names are shown whole"


def test_two_at_once_one_works(empty_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from infra.lock import exclusive_lock

    with exclusive_lock(empty_home / "writing.lock", "test"):
        for command in (["materialize"], ["backfill", "--from", "2024-01-01"]):
            assert cli.run(command) == 1
            assert "in use by process" in capsys.readouterr().err


def test_a_backfill_needs_days(empty_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["backfill"]) == 2
    assert cli.run(["backfill", "--from", "yesterday"]) == 2
    assert "--from 'yesterday' is no date" in capsys.readouterr().err
    assert not empty_home.exists()
