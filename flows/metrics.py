"""The platform's state as Prometheus reads it: what is stored, and how long flows ran."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from features.errors import KairosError
from flows.prefect_server import running_platform
from infra.database import Database
from infra.event_lake import EventLake
from infra.feature_tables import FeatureTables
from infra.metric_samples import FILED, STORED, Metric, Sample, filed_samples, stored_samples
from infra.settings import Settings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PARTS = Metric("kairos_part_up", "Whether a part of the platform answers: 1 yes, 0 no.", ("part",))
RUNS = Metric("kairos_flow_runs", "Runs of the last day by how they ended.", ("flow", "state"))
DURATION = Metric("kairos_flow_run_seconds", "How long the flow's newest finished run took.", ("flow",))
METRICS = (*STORED, *FILED, PARTS, RUNS, DURATION)

_DAY = timedelta(hours=24)
_ASK_SECONDS = 5.0


def exposition(settings: Settings, database: Database, prefect_api: str | None) -> bytes:
    """Every metric in Prometheus's text format; a part that does not answer is told and leaves its own out.

    Args:
        settings: Of the home whose manifests are read.
        database: Migrated.
        prefect_api: Prefect's address; that of `kairos up` when None.
    """
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import GaugeMetricFamily

    families = {one.name: GaugeMetricFamily(one.name, one.help, labels=one.labels) for one in METRICS}
    for sample in _samples(settings, database, prefect_api):
        families[sample.metric.name].add_metric(sample.labels, sample.value)
    registry = CollectorRegistry()
    registry.register(_Collected([family for family in families.values() if family.samples]))
    return bytes(generate_latest(registry))


class _Collected:
    """What was gathered, as a registry collects it."""

    def __init__(self, families: list[Any]) -> None:
        self._families = families

    def collect(self) -> list[Any]:
        return self._families


def _samples(settings: Settings, database: Database, prefect_api: str | None) -> Iterator[Sample]:
    lake, features = EventLake(settings.lake_dir), FeatureTables(settings.features_dir)
    yield from filed_samples(lake, features)
    try:
        yield from list(stored_samples(database))
        yield Sample(PARTS, ("database",), 1)
    except KairosError:
        yield Sample(PARTS, ("database",), 0)
    platform = running_platform(settings) if prefect_api is None else None
    address = platform.api_url if platform is not None else prefect_api
    try:
        yield from list(_run_samples(address, datetime.now(UTC))) if address else ()
        yield Sample(PARTS, ("prefect",), float(address is not None))
    except (OSError, ValueError):
        yield Sample(PARTS, ("prefect",), 0)


def _run_samples(api: str, now: datetime) -> Iterator[Sample]:
    """Runs of the last day, newest first, by flow."""
    since = (now - _DAY).isoformat()
    asked = {
        "flow_runs": {"expected_start_time": {"after_": since, "before_": now.isoformat()}},
        "sort": "EXPECTED_START_TIME_DESC",
        "limit": 200,
    }
    runs = _ask(api, "/flow_runs/filter", asked)
    names = {flow["id"]: flow["name"] for flow in _ask(api, "/flows/filter", {"limit": 200})}
    counts: dict[tuple[str, str], int] = {}
    newest: dict[str, float] = {}
    for run in runs:
        if run["parent_task_run_id"] is not None:
            continue  # a flow inside a flow is its caller's
        flow, state = names.get(run["flow_id"], "unknown"), str(run["state_type"]).lower()
        counts[flow, state] = counts.get((flow, state), 0) + 1
        if state == "completed":
            newest.setdefault(flow, float(run["total_run_time"]))
    for labels, count in sorted(counts.items()):
        yield Sample(RUNS, labels, count)
    for flow, seconds in sorted(newest.items()):
        yield Sample(DURATION, (flow,), seconds)


def _ask(api: str, path: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"{api.rstrip('/')}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=_ASK_SECONDS) as answer:
        return json.load(answer)
