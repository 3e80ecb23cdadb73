"""What people type: exit codes, one line a mistake, JSON where asked."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from small_market import AS_OF

from flows import cli
from infra.first_configuration import TEMPLATE
from infra.settings import load_settings

COMMANDS = (
    *("demo", "up", "ingest", "materialize", "backfill", "train", "score", "monitor", "cycle"),
    *("check-data", "why", "model", "plan", "sql", "status", "doctor", "features", "init", "simulate"),
)


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home where nothing has happened, in a folder without kairos.toml."""
    monkeypatch.setenv("KAIROS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def _error(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr that says what went wrong."""
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, lines
    return lines[0]


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--help"]) == 0
    text = capsys.readouterr().out
    assert [name for name in COMMANDS if name not in text] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([name, "--help"]) == 0
    assert "Usage: kairos" in capsys.readouterr().out


def test_the_cli_starts_without_anything_heavy() -> None:
    heavy = ("prefect", "feast", "evidently", "lightgbm", "pandas", "duckdb", "sqlalchemy", "pydantic")
    code = f"import sys, flows.cli; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["why"], ["cycle", "--wrong"], ["model"], ["sql"], ["cycle", "--as-of"]],
)
def test_wrong_usage_is_exit_2(arguments: list[str], empty_home: Path) -> None:
    assert cli.run(arguments) == 2
    assert not empty_home.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["cycle", "--as-of", "yesterday"], "'yesterday' is no time; write a local date"),
        (["score", "--plan-date", ""], "--plan-date '' is no date; write one such as"),
        (["score", "--plan-date", "2017-02-30"], "'2017-02-30' is no date"),
        (["why", "u1", "--date", "soon"], "--date 'soon' is no date"),
        (["check-data", "simulated:users=3"], "users == '3', must be a whole number in 10.."),
        (["simulate", "--from", "soon"], "not simulated; set KAIROS_SOURCE=simulated"),
        (["check-data", "parquet"], "must be complete-journey, simulated, parquet:DIR or sql:URL"),
    ],
)
def test_a_mistake_is_one_line_before_anything_starts(
    arguments: list[str], words: str, empty_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments) == 2
    assert words in _error(capsys)
    assert not empty_home.exists()


def test_an_unknown_source_is_refused_before_a_server_starts(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KAIROS_SOURCE", "carrier-pigeon")
    assert cli.run(["cycle"]) == 2
    assert "set KAIROS_SOURCE to one of them" in _error(capsys)
    assert not empty_home.exists()


def test_a_misspelt_setting_is_exit_2(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KAIROS_DEFAULT_TIMEZONE", "Mars/Olympus")
    assert cli.run(["status"]) == 2
    assert "KAIROS_DEFAULT_TIMEZONE" in _error(capsys)


def test_an_unreachable_database_is_one_line_without_the_password(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KAIROS_DATABASE_URL", "postgresql://me:hush@127.0.0.1:1/shop")
    assert cli.run(["status"]) == 1
    line = _error(capsys)
    assert "127.0.0.1:1/shop" in line and "hush" not in line


def test_a_second_run_names_the_first(empty_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from infra.lock import exclusive_lock

    with exclusive_lock(empty_home / "writing.lock", "test"):
        assert cli.run(["ingest"]) == 1
    assert "in use by process" in _error(capsys)


def test_a_bug_is_one_line_and_debug_shows_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr("flows.examination.examine", broken)
    assert cli.run(["doctor"]) == 1
    assert _error(capsys) == "error: unexpected ZeroDivisionError: by zero; set KAIROS_DEBUG=1 to see where."
    monkeypatch.setenv("KAIROS_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        cli.run(["doctor"])


def test_interrupting_is_exit_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("flows.examination.examine", interrupted)
    assert cli.run(["doctor"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_doctor_finds_what_is_wrong_and_masks_secrets(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KAIROS_DATABASE_URL", "postgresql://me:hush@127.0.0.1:1/shop")
    assert cli.run(["doctor", "--json"]) == 1
    out, err = capsys.readouterr()
    told = json.loads(out)
    wrong = [finding for finding in told["findings"] if finding["fix"]]
    assert [finding["what"] for finding in wrong] == ["database"]
    assert told["settings"]["database_url"] == {"value": "********", "source": "KAIROS_DATABASE_URL"}
    assert "hush" not in out + err


def test_check_data_reports_and_writes_nothing(
    small_market: Path, empty_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["check-data", f"parquet:{small_market}", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["tables"]["users"] == {"accepted": 260, "repeats": 0, "reasons": {}}
    assert not empty_home.exists()


def test_init_writes_a_configuration_that_works_and_keeps_the_one_there(
    empty_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["init", "--source", "parquet:shop", "--timezone", "Europe/Oslo"]) == 0
    settings = load_settings()
    assert (settings.source, settings.default_timezone) == ("parquet:shop", "Europe/Oslo")
    assert cli.run(["init"]) == 2
    assert "is there already; edit it, or add --force" in _error(capsys)
    assert load_settings().source == "parquet:shop"
    assert cli.run(["init", "--force"]) == 0
    assert load_settings().source == "complete-journey"
    assert cli.run(["init", "--force", "--timezone", "Mars/Olympus"]) == 2
    assert cli.run(["init", "--force", "--source", "pigeon"]) == 2


def test_every_line_of_the_configuration_would_work_uncommented() -> None:
    """The template's comments are the defaults, its tables valid mappings."""
    lines = TEMPLATE.read_text(encoding="utf-8").splitlines()
    plain = [line.removeprefix("# ") for line in lines if re.match(r"# (\w+ = |\[)", line)]
    told = tomllib.loads("\n".join(plain))
    settings = load_settings(**told)
    assert settings.mapping.columns_of("events")["event_id"] == ("order_no", "line")
    defaults = load_settings()
    # These have no default that one could show.
    shown = {"database_url", "gateway", "timezone_by_region", "quiet_hours_by_country"}
    shown |= {"ingest_overlap_hours", "history_days"}
    shown |= {"tables", "columns", "constants", "event_types"}
    assert [
        name for name in told if name not in shown and getattr(settings, name) != getattr(defaults, name)
    ] == []


def test_check_data_prints_problems_and_their_fixes(
    tmp_path: Path, empty_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "items.csv").write_text("item_id\na\n")
    (tmp_path / "events.csv").write_text(
        "event_id,user_id,item_id,event_type,event_ts\n1,u,a,purchase,2024-01-01T00:00:00Z\n"
    )
    assert cli.run(["check-data", f"parquet:{tmp_path}"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Events from 2024-01-01 00:00 to 2024-01-01 00:00 UTC, 1 days" in out
    assert "users without consent, who get no push name the column of consent" in out
    assert "items title 100%" in out


def test_check_data_fails_on_too_many_bad_rows(
    tmp_path: Path, empty_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "items.csv").write_text("item_id,price\na,1\nb,-1\n")
    (tmp_path / "events.csv").write_text(
        "event_id,user_id,item_id,event_type,event_ts\n1,u,a,purchase,2024-01-01T00:00:00Z\n"
    )
    assert cli.run(["check-data", f"parquet:{tmp_path}"]) == 1
    out, err = capsys.readouterr()
    assert "negative price (1)" in out
    assert "items: 50.0% of the rows would be quarantined, must be <= 5.0%" in err


def test_sql_reads_as_table_and_json_and_cannot_write(
    flow_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["sql", "select 1 as one, 'a' as letter"]) == 0
    assert "letter" in capsys.readouterr().out
    assert cli.run(["sql", "select 1 as one, date '2024-01-01' as day", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"one": 1, "day": "2024-01-01"}]
    assert cli.run(["sql", "drop table kairos.push_plan"]) == 2
    assert "read-only" in _error(capsys)
    assert cli.run(["sql", " "]) == 2


def test_registry_and_plan_after_a_cycle(first_cycle, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["model", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["version"] == first_cycle.champion
    assert cli.run(["model", "promote", "nothing"]) == 2
    assert cli.run(["model", "rollback"]) == 3
    assert cli.run(["plan", "rollback", "--date", str(AS_OF)]) == 3
    capsys.readouterr()
    assert cli.run(["status", "--json"]) == 0
    state = json.loads(capsys.readouterr().out)
    assert state["models"]["champion"] == first_cycle.champion
    assert state["plans"][0]["batch_id"] == first_cycle.batch_id
    assert cli.run(["status"]) == 0


def test_why_tells_a_push_and_a_silence(first_cycle, capsys: pytest.CaptureFixture[str]) -> None:
    pushed = first_cycle.samples[0].user_id
    assert cli.run(["why", pushed]) == 0
    assert "why:" in capsys.readouterr().out
    assert cli.run(["why", "u000", "--date", str(AS_OF)]) == 0
    assert "did not agree to pushes" in capsys.readouterr().out
    assert cli.run(["why", "nobody"]) == 2
    assert cli.run(["why", pushed, "--date", "2001-01-01"]) == 2


def test_promoting_what_the_gate_refused_needs_force(first_cycle, capsys: pytest.CaptureFixture[str]) -> None:
    from flows.wiring import open_stores

    registry = open_stores().registry
    registry.register("refused-1", {}, {})
    registry.record_gate("refused-1", False, ["worse than before"], {})
    assert cli.run(["model", "promote", "refused-1"]) == 3
    assert "the gate said no: worse than before; add --force" in _error(capsys)
    assert registry.champion() == first_cycle.champion
    assert cli.run(["model", "promote", "refused-1", "--force"]) == 2
    assert "says nothing; give a name and a reason" in _error(capsys)
    assert registry.champion() == first_cycle.champion
