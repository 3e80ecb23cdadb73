"""What `check-data` says of a shop: what is there, what is not, and what to repair first."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from infra.data_report import DataReport, data_report
from infra.event_lake import EventLake
from infra.ingestion import ingest
from infra.sources import open_source

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EVENTS = """event_id,user_id,item_id,event_type,event_ts,amount
1,u1,tea,purchase,2025-01-01T10:00Z,2.5
2,u1,cake,purchase,2025-01-02T10:00Z,
3,u2,tea,purchase,2025-01-03T10:00Z,2.5
4,u9,scone,purchase,2025-01-04T10:00Z,1
5,u1,tea,order,2025-01-04T10:00Z,1
6,u1,tea,purchase,yesterday,1
"""
ITEMS = "item_id,title\ntea,Green tea\ncake,Cake\n"
USERS = "user_id,push_consent,timezone\nu1,true,Europe/Oslo\nu2,false,\n"


def reported(folder: Path) -> DataReport:
    for name, text in {"events": EVENTS, "items": ITEMS, "users": USERS}.items():
        (folder / f"{name}.csv").write_text(text)
    lake = EventLake(folder / "lake", memory_gb=0.5)
    manifest = ingest(open_source(f"parquet:{folder}"), lake, now=NOW, max_quarantine_share=1.0).manifest
    return data_report(lake, manifest, needed_weeks=7)


def test_a_report_counts_zones_and_what_is_unknown(tmp_path: Path) -> None:
    report = reported(tmp_path)
    assert set(report.zones) == {("Europe/Oslo", 1, "own"), ("UTC", 1, "default")}
    assert report.event_types == (("purchase", 4),)
    unknown = {(name, column): share for name, column, share in report.unknown}
    assert unknown["events", "amount"] == 0.25
    assert unknown["items", "price"] == 1.0
    assert ("items", "title") not in unknown and ("events", "weather") not in unknown


def test_the_worst_problems_come_first_with_an_example_and_a_fix(tmp_path: Path) -> None:
    problems = reported(tmp_path).problems
    assert len(problems) == 10
    lost = {problem.what: problem for problem in problems if problem.blocks}
    assert list(problems[:2]) == list(lost.values())
    unreadable = lost["event_ts not readable, such as event_id 6, event_ts yesterday"]
    assert (unreadable.rows, unreadable.of) == (1, 6) and "ISO 8601" in unreadable.fix
    unknown_type = lost["unknown event_type, such as event_id 5, event_type order"]
    assert "[event_types]" in unknown_type.fix
    poorer = {problem.what: problem for problem in problems}
    assert poorer["users without consent, who get no push"].rows == 1
    assert poorer["events about items that items does not list"].rows == 1
    assert poorer["4 days of events, training needs 7 weeks"].share == 1.0
