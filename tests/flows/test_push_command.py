"""Stopping what is planned: by hand, by what the newest data says, and by a plan's own size."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from small_market import AS_OF

from features.errors import RefusedError
from flows import cli


def live() -> int:
    from flows.wiring import open_stores

    return len(open_stores().plans.read_live(AS_OF))


def test_stop_and_resume_at_once_with_who_and_why(first_cycle, capsys: pytest.CaptureFixture[str]) -> None:
    pushed = first_cycle.samples[0].user_id
    assert cli.run(["push", "stop", "--why", "wrong prices"]) == 0
    assert "stopped: all, by " in capsys.readouterr().out and live() == 0
    assert cli.run(["status"]) == 0
    assert "wrong prices" in capsys.readouterr().out
    assert cli.run(["why", pushed]) == 0
    assert "NOT SENT ANY MORE: all stopped" in capsys.readouterr().out
    assert cli.run(["push", "resume", "--why", "corrected"]) == 0
    assert live() == first_cycle.pushes
    assert cli.run(["push", "resume", "--why", "twice"]) == 3
    assert cli.run(["push", "stop", "--scope", "everything", "--why", "x"]) == 2
    assert cli.run(["push", "stop"]) == 2


def test_a_category_is_stopped_by_its_items(first_cycle, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["push", "stop", "--scope", "category:food", "--why", "recall"]) == 0
    assert live() == 0
    assert cli.run(["push", "resume", "--scope", "category:food", "--why", "over"]) == 0
    assert live() == first_cycle.pushes


def test_a_withdrawal_by_hand(first_cycle, capsys: pytest.CaptureFixture[str]) -> None:
    pushed = first_cycle.samples[0].user_id
    assert cli.run(["push", "withdraw", pushed, "--why", "asked by phone"]) == 0
    assert live() < first_cycle.pushes
    assert cli.run(["why", pushed]) == 0
    assert "consent withdrawn" in capsys.readouterr().out
    assert cli.run(["push", "restore", pushed, "--why", "asked again"]) == 0
    assert cli.run(["push", "restore", pushed, "--why", "asked again"]) == 3
    assert live() == first_cycle.pushes


def test_a_plan_much_larger_than_usual_asks_first(first_cycle, capsys: pytest.CaptureFixture[str]) -> None:
    from flows.blast_radius import require_usual_size
    from flows.wiring import open_stores

    stores, tomorrow = open_stores(), AS_OF + timedelta(days=1)
    require_usual_size(stores, AS_OF, 10_000)  # the first plan: nothing is usual yet
    require_usual_size(stores, tomorrow, first_cycle.pushes)
    with pytest.raises(RefusedError, match=r"9,999 pushes, .* more than the usual .* --pushes 9999 --why"):
        require_usual_size(stores, tomorrow, 9_999)
    assert (
        cli.run(["plan", "approve", "--date", str(tomorrow), "--pushes", "9999", "--why", "Black Friday"])
        == 0
    )
    require_usual_size(stores, tomorrow, 9_999)
    with pytest.raises(RefusedError):
        require_usual_size(stores, tomorrow, 10_000)
    assert cli.run(["plan", "approve", "--date", str(tomorrow), "--pushes", "9999"]) == 2


def test_bad_data_is_not_planned_from(first_cycle) -> None:
    from flows.quality import require_quality
    from flows.wiring import open_stores

    stores, moment = open_stores(), datetime(AS_OF.year, AS_OF.month, AS_OF.day, tzinfo=UTC)
    require_quality(stores, moment)
    with pytest.raises(RefusedError, match=r"so nothing is planned: .*last event 721\.0 h before as_of"):
        require_quality(stores, moment + timedelta(days=30))
    assert "data_quality" in {one.row["kind"] for one in stores.alerts.read()}
    require_quality(stores, moment + timedelta(hours=1))
    assert "data_quality" not in {one.row["kind"] for one in stores.alerts.read()}


def test_bad_data_is_planned_from_when_somebody_answers_for_it(
    first_cycle, capsys: pytest.CaptureFixture[str]
) -> None:
    from flows.quality import require_quality
    from flows.wiring import open_stores
    from infra.overrides import newest_overrides

    stores, moment = open_stores(), datetime(AS_OF.year, AS_OF.month, AS_OF.day, tzinfo=UTC)
    require_quality(stores, moment, ("ada", "not needed"))
    assert [one.why for one, _ in newest_overrides(stores.database)] == []
    require_quality(stores, moment + timedelta(days=30), ("ada", "the shop was closed"))
    override, _ = newest_overrides(stores.database)[0]
    assert (override.gate, override.who, override.why) == ("quality", "ada", "the shop was closed")
    assert "last event 721.0 h before as_of" in override.said
    assert cli.run(["status"]) == 0
    assert "the shop was closed" in capsys.readouterr().out
    assert cli.run(["score", "--despite-quality", " "]) == 2


def test_what_the_newest_data_says_reaches_the_gateway(
    database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.push_stops import mirror_stops
    from flows.wiring import open_stores
    from infra.ingestion import ingest
    from infra.sources import open_source

    monkeypatch.setenv("KAIROS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KAIROS_DATABASE_URL", database.url)
    moment = datetime(2024, 3, 1, tzinfo=UTC)
    events = [("e1", "u1", "opt_out"), ("e2", "u2", "complaint"), ("e3", "u3", "app_open")]
    frame = pd.DataFrame(events, columns=["event_id", "user_id", "event_type"])
    frame.assign(event_ts=moment, item_id=None).to_parquet(tmp_path / "events.parquet")
    items = pd.DataFrame(
        {"item_id": ["a", "b", "c"], "stock": [0.0, 1.0, None], "available": [True, True, False]}
    )
    items.to_parquet(tmp_path / "items.parquet")
    stores = open_stores()
    ingest(open_source(f"parquet:{tmp_path}"), stores.lake, now=moment + timedelta(days=1))
    mirror_stops(stores)
    assert stores.stops.withdrawals("u1")[0].cause == "opt_out"
    assert stores.stops.withdrawals("u1")[0].since == moment
    assert stores.stops.withdrawals("u2")[0].cause == "complaint" and not stores.stops.withdrawals("u3")
    assert [stores.stops.stopped_item(item) for item in "abc"] == ["stock is 0", None, "withdrawn"]


def test_a_push_that_came_back_as_sent_counts_once() -> None:
    from flows.day_plan import counted_once

    at = pd.Timestamp("2024-03-01T12:00Z")
    columns = ["user_id", "sent_at", "channel", "push_id"]
    sent = pd.DataFrame([("u1", at, "push", "p1"), ("u1", at, "app", None)], columns=columns)
    planned = pd.DataFrame([("u1", at, "push", "p1"), ("u2", at, "push", "p2")], columns=columns)
    assert counted_once(sent, planned)["user_id"].tolist() == ["u1", "u1", "u2"]
    assert len(counted_once(sent[:0], planned[:0])) == 0
