"""What a cycle left in the stores, gathered for its summary and for the gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from flows.data_drift import data_drift_subject
from flows.gate import GateVerdict, Health
from flows.model_files import read_evaluation
from flows.model_version import OURS
from flows.moments import local_date, shop_timezone
from flows.monitor import drift_subject
from flows.plans import sample_user_plans
from flows.quality import quality_subject
from flows.summary import CycleSummary, RankingRow
from flows.wiring import Stores
from infra.plan_store import PublishedBatch
from infra.report_store import DATA_DRIFT
from infra.sources import reality_note
from models.evaluation import Estimate
from models.gate import FAIL, PASS, WARN

_SILENT = """
    SELECT count(DISTINCT s.user_id) FROM kairos.suppression s
    JOIN kairos.push_batch b USING (batch_id)
    WHERE b.plan_date = '{day}' AND b.status = 'live' AND NOT EXISTS (
        SELECT 1 FROM kairos.push_plan p WHERE p.batch_id = s.batch_id AND p.user_id = s.user_id)
"""


def health_of(stores: Stores, version: str, as_of: datetime, plan_date: date) -> Health:
    """The verdicts that `monitor` wrote on this data and on this version's scores."""
    quality = stores.reports.latest_quality(subject=quality_subject(stores, as_of))
    drift = stores.reports.latest_drift(subject=drift_subject(stores, version, as_of, plan_date))
    day = local_date(as_of, shop_timezone(stores.settings)) - timedelta(days=1)
    beside = stores.reports.latest_drift(subject=data_drift_subject(stores, day), kind=DATA_DRIFT)
    pages = [row["report"] for row in drift if row["report"] is not None]
    return Health(
        quality=_worst(quality),
        quality_detail="; ".join(_measure_words(row) for row in quality if row["verdict"] != "ok"),
        quality_as_of=quality[0]["as_of"] if quality else None,
        drift=drift[0]["details"].get("report_verdict", _worst(drift)) if drift else None,
        drift_columns=tuple(_measure_words(row) for row in drift if row["verdict"] != "ok"),
        drift_as_of=drift[0]["as_of"] if drift else None,
        report=Path(pages[0]) if pages else None,
        data_drift=None if not beside else beside[0]["details"].get("report_verdict"),
    )


def read_outcome(
    stores: Stores,
    verdict: GateVerdict,
    health: Health,
    batch: PublishedBatch | None,
    as_of: datetime,
    plan_date: date,
) -> CycleSummary:
    """Everything the end of a cycle tells a person."""
    evaluation = read_evaluation(stores.registry.version_dir(verdict.version))
    return CycleSummary(
        as_of=as_of,
        plan_date=plan_date,
        challenger=verdict.version,
        champion=stores.registry.champion(),
        ranking=ranking_rows(evaluation),
        evaluated_on=evaluation_words(evaluation),
        promote=verdict.promoted or verdict.stage is not None,
        became=verdict.words,
        reasons=verdict.reasons,
        drift=_drift_words(health),
        report=health.report,
        batch_id=batch.batch_id if batch else None,
        pushes=batch.rows if batch else 0,
        users=batch.users if batch else 0,
        silent_users=_silent_users(stores, plan_date),
        checksum=batch.checksum if batch else "",
        changed=batch is not None and batch.changed,
        samples=sample_user_plans(stores, plan_date) if batch else (),
        note=reality_note(stores.settings.source),
    )


def ranking_rows(evaluation: Mapping[str, Any]) -> tuple[RankingRow, ...]:
    """Our metrics, then the peers', the best first, each with our lead over it."""
    leads = {row["baseline"]: row["ndcg@10"] for row in evaluation["differences"] if row["model"] == OURS}
    rows = [
        RankingRow(
            model=name,
            ndcg=Estimate(**metrics["ndcg@10"]),
            recall=Estimate(**metrics["recall@20"]),
            lead=Estimate(**leads[name]) if name in leads else None,
        )
        for name, metrics in evaluation["models"].items()
    ]
    return tuple(sorted(rows, key=lambda row: (row.lead is not None, -row.ndcg.mean, row.model)))


def evaluation_words(evaluation: Mapping[str, Any]) -> str:
    """What the metrics are over, and how much was trained on."""
    weeks = evaluation["weeks"]
    return (
        f"{evaluation['n_queries']:,} baskets of {evaluation['n_users']:,} users in the last {weeks['test']} "
        f"weeks; trained on {weeks['train']} weeks"
    )


def _worst(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """The worst verdict; None when nothing was measured."""
    if not rows:
        return None
    found = {row["verdict"] for row in rows}
    return FAIL if "fail" in found else WARN if "warn" in found else PASS


def _measure_words(row: Mapping[str, Any]) -> str:
    """As the gate quotes a measure: 'item_price wasserstein 0.61, limit 0.50'."""
    if row["value"] is None:
        return f"{row['column_name']} {row['measure']}"
    limit = "" if row["threshold"] is None else f", limit {row['threshold']:.3g}"
    return f"{row['column_name']} {row['measure']} {row['value']:.3g}{limit}"


def _drift_words(health: Health) -> str:
    if health.drift is None:
        return "not measured"
    moved = "; ".join(health.drift_columns[:3])
    more = f" and {len(health.drift_columns) - 3} more" if len(health.drift_columns) > 3 else ""
    return (
        f"{health.drift}: {moved}{more}" if moved else f"{health.drift}: as a week before the model's cut-off"
    )


def _silent_users(stores: Stores, plan_date: date) -> int:
    _, rows = stores.database.read_only(_SILENT.format(day=plan_date.isoformat()))
    return int(rows[0][0])
