"""Model health from the stores: what was dispatched, or reported as sent, and what came back."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "infra"))

from plans import PLAN_DATE, PUBLICATION, small_plan

from flows.health import measured_health, sent_of
from flows.wiring import open_stores
from infra.ingestion import ingest
from infra.sources import open_source


def test_what_was_sent_is_measured_by_its_answers(
    database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAIROS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KAIROS_DATABASE_URL", database.url)
    stores = open_stores()
    stores.plans.publish(small_plan(), **PUBLICATION)
    pushes = stores.plans.read_live(PLAN_DATE).sort_values("push_id", ignore_index=True)
    sent = pd.to_datetime(pushes["send_at"], utc=True)
    answered = pushes.index < len(pushes) // 2
    reports = pd.DataFrame({"user_id": pushes["user_id"], "event_type": "push_sent", "event_ts": sent})
    reports["push_id"] = pushes["push_id"]
    answers = reports[answered].assign(event_type="app_open", push_id=None)
    answers["event_ts"] += pd.Timedelta(hours=1)
    events = pd.concat([reports, answers], ignore_index=True)
    events["event_id"] = [f"e{n}" for n in range(len(events))]
    (tmp_path / "shop").mkdir()
    events.to_parquet(tmp_path / "shop" / "events.parquet")
    pd.DataFrame({"item_id": ["a"]}).to_parquet(tmp_path / "shop" / "items.parquet")
    as_of = sent.max().to_pydatetime() + timedelta(days=3)
    ingest(open_source(f"parquet:{tmp_path / 'shop'}"), stores.lake, now=as_of)
    [whole, *slots] = measured_health(stores, as_of)
    assert (whole.pushes, whole.engaged) == (len(pushes), int(answered.sum()))
    assert sum(row.pushes for row in slots) == whole.pushes
    assert measured_health(stores, sent.min().to_pydatetime()) == []


def test_our_own_record_of_sending_wins() -> None:
    at = pd.Timestamp("2026-03-02T12:00Z")
    pushes = pd.DataFrame({"push_id": ["p1", "p2", "p3"], "dispatched_at": [at, pd.NaT, pd.NaT]})
    told = {"event_type": "push_sent", "event_ts": at + pd.Timedelta(hours=1)}
    events = pd.DataFrame([{**told, "push_id": "p1"}, {**told, "push_id": "p2"}])
    sent = sent_of(pushes, events)
    assert sent["push_id"].tolist() == ["p1", "p2"]
    assert sent["sent_at"].tolist() == [at, at + pd.Timedelta(hours=1)]
