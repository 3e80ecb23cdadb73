"""Alerts end to end: raised by the flows, told by the routes, ended by recovery; and the command."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "infra"))

from events_api import events_api

from flows import cli
from flows.alerts import UNDELIVERED, alert_key, raise_alert, recovered, tell
from flows.wiring import Stores, open_stores
from monitoring.alert_words import AlertFacts

NOW = datetime(2026, 11, 27, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)
FACTS = AlertFacts("score 0.61", "price", "not promoted")


@pytest.fixture
def stores(database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Opens stores whose alerts go by these routes."""

    def opened(routes: str) -> Stores:
        monkeypatch.setenv("KAIROS_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("KAIROS_DATABASE_URL", database.url)
        monkeypatch.setenv("KAIROS_ALERT_ROUTES", routes)
        return open_stores()

    return opened


def told(path: Path) -> list[str]:
    return [json.loads(line)["title"] for line in path.read_text().splitlines()] if path.exists() else []


def test_on_call_hears_once_and_hears_of_the_end(stores) -> None:
    with events_api() as pager:
        opened = stores(f"*={pager.address}")
        for hour in (0, 0.1, 0.2):
            raise_alert(opened, "drift", FACTS, "m1", now=NOW + hour * HOUR)
        key = alert_key("drift", "m1")
        assert pager.told(key) == ["trigger"]
        details = pager.events[0]["payload"]["custom_details"]
        assert details["likely cause"] == "price" and details["runbook"] == "infra/runbooks/drift.md"
        tell(opened, NOW + 7 * HOUR)
        assert pager.told(key) == ["trigger", "trigger"], "a reminder"
        recovered(opened, "drift", "m1", NOW + 8 * HOUR)
        recovered(opened, "drift", "m1", NOW + 8 * HOUR)
        assert pager.told(key)[-1] == "resolve" and len(pager.told(key)) == 3
        assert not pager.open_incidents


def test_a_route_that_is_down_is_tried_again(stores) -> None:
    with events_api(lambda nth: 503 if nth < 2 else 202) as pager:
        opened = stores(f"*={pager.address}")
        raise_alert(opened, "drift", FACTS, "m1", now=NOW)
        assert pager.events == []
        for minute in range(1, 5):
            tell(opened, NOW + timedelta(minutes=minute))
        assert pager.told(alert_key("drift", "m1")) == ["trigger"]


def test_a_route_that_fails_for_good_is_an_alert_by_the_others(stores, tmp_path: Path) -> None:
    path = tmp_path / "told.jsonl"
    with events_api(lambda nth: 403) as pager:
        opened = stores(f"error={pager.address} *=file:{path}")
        raise_alert(opened, "drift", FACTS, "m1", now=NOW)
        assert any(title.startswith("Alerts do not arrive: pagerduty+http-") for title in told(path))
        kinds = {one.row["kind"] for one in opened.alerts.read()}
        assert kinds == {"drift", UNDELIVERED}
        tell(opened, NOW + timedelta(minutes=1))
        assert sum(title.startswith("Alerts do not arrive") for title in told(path)) == 1


def test_chat_gets_one_message_for_an_owner(stores, tmp_path: Path) -> None:
    with events_api() as pager:
        opened = stores(f"*=json://127.0.0.1:{pager.port}/hook")
        opened.alerts.mute(NOW, NOW + HOUR, "", "", "ann", "upgrade")
        for subject in ("m1", "m2"):
            raise_alert(opened, "drift", FACTS, subject, now=NOW)
        raise_alert(opened, "data_quality", FACTS, now=NOW)
        assert pager.bodies == [], "a maintenance window"
        tell(opened, NOW + HOUR)
        assert len(pager.bodies) == 2
        assert any("2 alerts" in body["title"] for body in pager.bodies)


def test_alerts_never_stop_a_run(stores, caplog: pytest.LogCaptureFixture) -> None:
    opened = stores("*=nonsense://token")
    raise_alert(opened, "drift", FACTS, "m1", now=NOW)
    assert [one.row["kind"] for one in opened.alerts.read()].count("drift") == 1


def test_the_command(stores, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "told.jsonl"
    opened = stores(f"*=file:{path}")
    assert cli.run(["alert", "list"]) == 0
    assert "no alert is open" in capsys.readouterr().out
    raise_alert(opened, "drift", FACTS, "m1")
    assert cli.run(["alert", "list", "--json"]) == 0
    [shown] = json.loads(capsys.readouterr().out)
    assert (shown["kind"], shown["status"], shown["runbook"]) == ("drift", "open", "infra/runbooks/drift.md")
    assert cli.run(["alert", "ack", str(shown["alert"])]) == 0
    assert cli.run(["alert", "ack", "kairos/drift/m1"]) == 3
    assert cli.run(["alert", "mute", "--hours", "2", "--why", "upgrade", "--owner", "nobody"]) == 2
    assert cli.run(["alert", "mute", "--hours", "2", "--why", "upgrade"]) == 0
    raise_alert(opened, "data_quality", FACTS)
    assert cli.run(["alert", "list"]) == 0
    assert "muted: everything until" in capsys.readouterr().out
    assert told(path)[-1].startswith("acknowledged: ")
    assert cli.run(["alert", "unmute"]) == 0
    assert told(path)[-1] == "Data quality stops the run"
    assert cli.run(["alert", "resolve", "kairos/data_quality"]) == 0
    assert told(path)[-1] == "resolved: Data quality stops the run"
    assert cli.run(["alert", "resolve", "nothing"]) == 2
    assert cli.run(["alert", "test"]) == 0
    assert "arrived" in capsys.readouterr().out
    assert told(path)[-2:] == ["Test alert: kairos alert test", "resolved: Test alert: kairos alert test"]


def test_the_test_alert_says_which_route_fails(stores, capsys: pytest.CaptureFixture[str]) -> None:
    stores("critical=pagerduty+http://secretkey@127.0.0.1:9")
    assert cli.run(["alert", "test"]) == 1
    told_words = "".join(capsys.readouterr())
    assert "failed" in told_words and "secretkey" not in told_words
    assert cli.run(["alert", "test", "--severity", "info"]) == 2
    assert cli.run(["doctor"]) in (0, 1)
    assert "secretkey" not in "".join(capsys.readouterr())
