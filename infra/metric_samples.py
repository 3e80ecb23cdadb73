"""What Prometheus is told, read from PostgreSQL and the manifests; no user, no secret, few labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from infra.database import Database
from infra.event_lake import EventLake
from infra.feature_tables import FeatureTables


@dataclass(frozen=True)
class Metric:
    """One metric, all of its samples a gauge.

    Attributes:
        name: As Prometheus knows it.
        help: What it means, in one line.
        labels: Names of the labels.
        query: Gives a row a sample: the labels, then the value; a null value is no sample.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    query: str = ""


@dataclass(frozen=True)
class Sample:
    """A value of a metric, by its labels in order."""

    metric: Metric
    labels: tuple[str, ...]
    value: float


_NEWEST_PLAN = "FROM kairos.push_batch WHERE status = 'live' ORDER BY plan_date DESC LIMIT 1"
_VERDICTS = """
    SELECT kind, verdict, count(*) FROM kairos.{table} AS s
    JOIN (SELECT kind, max(as_of) AS as_of FROM kairos.{table} GROUP BY kind) AS newest USING (kind, as_of)
    GROUP BY 1, 2 ORDER BY 1, 2
"""

STORED = (
    Metric(
        "kairos_flow_processed_timestamp_seconds",
        "Everything before this instant is processed by the flow.",
        ("flow",),
        "SELECT flow, extract(epoch FROM value) FROM kairos.flow_watermark ORDER BY 1",
    ),
    Metric(
        "kairos_flow_success_timestamp_seconds",
        "When the flow last finished its work.",
        ("flow",),
        "SELECT flow, extract(epoch FROM updated_at) FROM kairos.flow_watermark ORDER BY 1",
    ),
    Metric(
        "kairos_gate_decisions",
        "Decisions of the gate so far.",
        ("promote",),
        "SELECT promote::text, count(*) FROM kairos.gate_decision GROUP BY 1 ORDER BY 1",
    ),
    Metric(
        "kairos_gate_last_promote",
        "The gate's last decision: 1 yes, 0 no.",
        (),
        "SELECT promote::int FROM kairos.gate_decision ORDER BY decided_at DESC, decision DESC LIMIT 1",
    ),
    Metric(
        "kairos_gate_last_timestamp_seconds",
        "When the gate last decided.",
        (),
        "SELECT extract(epoch FROM max(decided_at)) FROM kairos.gate_decision",
    ),
    Metric(
        "kairos_alerts_open",
        "Alerts that are not resolved.",
        ("severity",),
        "SELECT severity, count(*) FILTER (WHERE a.status <> 'resolved') "
        "FROM unnest(ARRAY['critical', 'error', 'warning', 'info']) AS severity "
        "LEFT JOIN kairos.alert AS a USING (severity) GROUP BY 1 ORDER BY 1",
    ),
    Metric(
        "kairos_drift_checks",
        "Checks of the newest drift measurement, by verdict.",
        ("kind", "verdict"),
        _VERDICTS.format(table="drift_summary"),
    ),
    Metric(
        "kairos_quality_checks",
        "Checks of the newest quality measurement, by verdict.",
        ("kind", "verdict"),
        _VERDICTS.format(table="quality_summary"),
    ),
    Metric("kairos_plan_pushes", "Pushes of the newest live plan.", (), f"SELECT rows {_NEWEST_PLAN}"),
    Metric("kairos_plan_users", "Users of the newest live plan.", (), f"SELECT users {_NEWEST_PLAN}"),
    Metric(
        "kairos_plan_suppressions",
        "Pushes that policy held back from the newest live plan.",
        (),
        f"SELECT suppressions {_NEWEST_PLAN}",
    ),
    Metric(
        "kairos_plan_published_timestamp_seconds",
        "When the newest live plan was published.",
        (),
        f"SELECT extract(epoch FROM published_at) {_NEWEST_PLAN}",
    ),
    Metric(
        "kairos_plan_date_timestamp_seconds",
        "The day of the newest live plan, as its midnight in UTC.",
        (),
        f"SELECT extract(epoch FROM plan_date) {_NEWEST_PLAN}",
    ),
    Metric(
        "kairos_dispatch_pushes",
        "Pushes of the last seven days by what became of them.",
        ("state",),
        "SELECT state, count(*) FROM kairos.push_dispatch WHERE queued_at > now() - interval '7 days' "
        "GROUP BY 1 ORDER BY 1",
    ),
    Metric(
        "kairos_dispatch_oldest_due_timestamp_seconds",
        "Since when the push that waits longest should have gone out; absent when none waits.",
        (),
        "SELECT extract(epoch FROM min(send_at)) FROM kairos.push_dispatch WHERE finished_at IS NULL",
    ),
)
LAKE_ROWS = Metric("kairos_lake_rows", "Rows in the event lake.", ("table", "outcome"))
LAST_EVENT = Metric("kairos_last_event_timestamp_seconds", "The newest event that was ingested.")
FEATURE_ROWS = Metric("kairos_feature_rows", "Rows of all feature tables.")
FEATURES_AS_OF = Metric("kairos_features_timestamp_seconds", "The cut-off of the feature tables.")
FILED = (LAKE_ROWS, LAST_EVENT, FEATURE_ROWS, FEATURES_AS_OF)


def stored_samples(database: Database) -> Iterator[Sample]:
    """What the database tells, at one instant, read-only."""
    parts = []
    for number, metric in enumerate(STORED):
        names = [f"l{place}" for place in range(len(metric.labels))]
        labels = ", ".join(f"{name}::text" for name in names)
        parts.append(
            f"SELECT {number}, ARRAY[{labels}]::text[], v::float8 FROM ({metric.query}) "
            f"AS asked({', '.join([*names, 'v'])}) WHERE v IS NOT NULL"
        )
    for number, told, value in database.read_only(" UNION ALL ".join(parts))[1]:
        yield Sample(STORED[number], tuple(told), value)


def filed_samples(lake: EventLake, features: FeatureTables) -> Iterator[Sample]:
    """What the manifests of the lake and of the feature tables tell; nothing where they are not there."""
    manifest = lake.manifest()
    if manifest is not None:
        for table, counts in manifest.tables.items():
            yield Sample(LAKE_ROWS, (table, "accepted"), counts.accepted)
            yield Sample(LAKE_ROWS, (table, "quarantined"), counts.quarantined)
        if manifest.last_event is not None:
            yield Sample(LAST_EVENT, (), manifest.last_event.timestamp())
    built = features.manifest()
    if built is not None:
        yield Sample(FEATURE_ROWS, (), sum(built.rows.values()))
        yield Sample(FEATURES_AS_OF, (), built.as_of.timestamp())
