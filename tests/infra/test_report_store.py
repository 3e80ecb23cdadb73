"""Reports are whole, summaries survive reruns, watermarks only advance."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from features.errors import KairosError, UsageError
from infra.report_store import ReportStore
from infra.watermarks import Watermark, advance_watermark, read_watermark

AS_OF = datetime(2017, 12, 4, 5, tzinfo=UTC)


@pytest.fixture
def reports(database, tmp_path: Path) -> ReportStore:
    return ReportStore(database, tmp_path / "reports")


def test_html_is_replaced_whole(reports: ReportStore):
    path = reports.write_html("drift", "2017-12-04", "<p>old</p>")
    assert reports.write_html("drift", "2017-12-04", "<p>new ä</p>") == path
    assert path.read_text(encoding="utf-8") == "<p>new ä</p>"
    assert [file.name for file in path.parent.iterdir()] == ["2017-12-04.html"]
    with pytest.raises(UsageError, match="use letters"):
        reports.write_html("drift", "../../x", "")


def test_a_note_stands_on_every_page(database, tmp_path: Path):
    noted = ReportStore(database, tmp_path / "reports", "made up <b>")
    page = noted.write_html("drift", "x", '<html><body class="wide"><h1>Drift</h1></body></html>')
    assert 'class="wide"><p style="' in page.read_text(encoding="utf-8")
    assert "made up &lt;b&gt;</p><h1>Drift" in page.read_text(encoding="utf-8")


def test_a_measurement_again_leaves_the_same_rows(reports: ReportStore):
    rows = [
        {"column_name": "score", "measure": "psi", "value": 0.02, "threshold": 0.1, "verdict": "ok"},
        {"column_name": "slot", "measure": "psi", "value": 0.3, "verdict": "fail", "details": {"bins": 6}},
    ]
    for _ in range(2):
        kept = reports.append_drift(
            subject="v1", as_of=AS_OF, kind="scores", rows=rows, reference="train", report=Path("x.html")
        )
        assert kept == 2
    latest = reports.latest_drift("v1")
    assert [(row["column_name"], row["verdict"], row["value"]) for row in latest] == [
        ("slot", "fail", 0.3),
        ("score", "ok", 0.02),
    ]
    assert latest[0]["details"] == {"bins": 6}
    assert latest[0]["reference"] == "train"
    assert reports.append_drift(subject="v1", as_of=AS_OF, kind="scores", rows=[]) == 0
    assert reports.latest_drift() == []


def test_the_latest_measurement_is_the_one_with_the_newest_cut_off(reports: ReportStore):
    row = {"column_name": "user_id", "measure": "null_share", "verdict": "ok"}
    for day in (4, 5, 3):
        as_of = AS_OF.replace(day=day)
        reports.append_quality(subject="events", as_of=as_of, kind="ingest", rows=[{**row, "value": day}])
    assert [found["value"] for found in reports.latest_quality("events", "ingest")] == [5]
    assert reports.latest_quality("users") == []


def test_watermarks_only_advance(database):
    assert read_watermark(database, "ingest") is None
    assert advance_watermark(database, "ingest", AS_OF, "a") == Watermark("ingest", AS_OF, "a")
    earlier = AS_OF.replace(day=1)
    assert advance_watermark(database, "ingest", earlier, "b") == Watermark("ingest", AS_OF, "b")
    assert read_watermark(database, "ingest") == Watermark("ingest", AS_OF, "b")
    with pytest.raises(KairosError, match="must have a time zone"):
        advance_watermark(database, "ingest", AS_OF.replace(tzinfo=None))
