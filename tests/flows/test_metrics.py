"""What Prometheus reads of a real home, over HTTP; and that the dashboards ask only for what there is."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from flows.metrics import METRICS
from flows.reports_server import reports_server
from flows.state import read_state
from flows.wiring import open_stores
from infra.settings import load_settings

DEPLOY = Path(__file__).parents[2] / "infra" / "deploy"


@pytest.fixture
def pages(first_cycle) -> Iterator[httpx.Client]:
    """A client of the reports server of a home after one cycle."""
    settings = load_settings()
    server = reports_server(settings, open_stores(settings).database, "127.0.0.1", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with httpx.Client(base_url=f"http://127.0.0.1:{server.server_address[1]}", timeout=30) as client:
        yield client
    server.shutdown()
    server.server_close()


def test_metrics_tell_what_the_platform_is_at(pages: httpx.Client) -> None:
    state = read_state(open_stores())
    answer = pages.get("/metrics")
    assert answer.status_code == 200
    told = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert told["kairos_lake_rows", ("outcome", "accepted"), ("table", "users")] == 260
    assert told["kairos_plan_pushes",] == state["plans"][0]["rows"] > 0
    assert told["kairos_gate_last_promote",] in (0, 1)
    assert told["kairos_part_up", ("part", "database")] == 1
    assert told["kairos_alerts_open", ("severity", "critical")] >= 0
    for mark in state["flows"]:
        told_of = told["kairos_flow_processed_timestamp_seconds", ("flow", mark["flow"])]
        assert told_of == mark["value"].timestamp()
    assert {name for name, *_ in told} <= {metric.name for metric in METRICS}


def test_probes_and_pages_answer(pages: httpx.Client) -> None:
    assert pages.get("/healthz").text == pages.get("/readyz").text == "ok\n"
    assert "drift/" in pages.get("/").text
    assert pages.get("/../up.lock").status_code == 404


def _asked(query: str) -> dict[str, set[str]]:
    """Labels by the metrics of ours that a query of Prometheus asks for; one it cannot read fails."""
    asked: dict[str, set[str]] = {}

    def look(part: promql_parser.Expr) -> bool:
        if isinstance(part, promql_parser.VectorSelector) and part.name.startswith("kairos_"):
            asked.setdefault(part.name, set()).update(matcher.name for matcher in part.matchers.matchers)
        return True

    promql_parser.walk(promql_parser.parse(query), look)
    return asked


def test_every_query_of_the_dashboard_and_the_rules_names_a_metric_there_is() -> None:
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text(encoding="utf-8"))
    shown = [_asked(target["expr"]) for panel in dashboard["panels"] for target in panel["targets"]]
    groups = yaml.safe_load((DEPLOY / "prometheus-rules.yaml").read_text(encoding="utf-8"))["groups"]
    ruled = [_asked(rule["expr"]) for group in groups for rule in group["rules"]]
    known = {metric.name: set(metric.labels) for metric in METRICS}
    assert all(shown)
    assert {name for asked in shown for name in asked} == set(known)
    for asked in (*shown, *ruled):
        for name, labels in asked.items():
            assert labels <= known[name], f"{name} has no label {labels - known[name]}"
