"""Flow `train`: past occasions become a ranker and a timing model, judged beside their peers."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_image_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from features.tables import SERVICES
from flows.feature_versions import features_fingerprint
from flows.fingerprints import code_fingerprint, commit
from flows.materialize import ensure_features, resolved_as_of
from flows.model_files import (
    staged,
    write_evaluation,
    write_models,
    write_reference,
)
from flows.model_version import drift_reference, is_judged, judge, make_ranker, make_timing
from flows.progress import step
from flows.run_name import run_name
from flows.task_policy import check_deadline
from flows.training_data import read_queries, training_data
from flows.training_plan import training_plan, version_of
from flows.wiring import Stores, open_stores, sole_writer
from infra.sources import reality_note
from infra.watermarks import advance_watermark
from monitoring.chart_parts import as_data_uri
from monitoring.evaluation_page import evaluation_page, pictures

REPORT_KIND = "evaluation"


@flow(name="train", flow_run_name=run_name, timeout_seconds=4 * 3600, persist_result=False)
def train(as_of: datetime | None = None) -> str:
    """Fit ranker and timing model on what was known at `as_of`; the result is the challenger.

    Args:
        as_of: Knowledge cut-off: nothing at or after it is known.

    Returns:
        The model version, which is the same as long as data, features, code and settings are.
    """
    check_deadline("train")
    stores = open_stores()
    as_of = resolved_as_of(stores, as_of)
    plan = training_plan(stores.settings)
    version = version_of(plan, as_of, features_fingerprint(stores, as_of))
    with sole_writer(stores.settings):
        ensure_features(stores, as_of)
    with sole_writer(stores.settings), step("train") as current:
        folder = stores.registry.version_dir(version)
        known = folder.exists() and version in {one.version for one in stores.registry.list_versions()}
        if known and is_judged(stores.registry, version):
            current.skip(f"unchanged: {version}")
        else:
            make_version(version, as_of)
            current.say(f"{version}, judged on {plan.queries.test_weeks} later weeks")
        if stores.registry.challenger() != version and stores.registry.champion() != version:
            stores.registry.move_alias("challenger", version, "flow train", f"trained as of {as_of}")
        advance_watermark(stores.database, "train", as_of, version)
    show_evaluation(stores, version)
    return version


def show_evaluation(stores: Stores, version: str) -> Path:
    """Where the evaluation's page is now; its table and pictures are artifacts of the run."""
    evaluation = stores.registry.read(version).metrics
    title = f"Model {version}, evaluated"
    told = reality_note(stores.settings.source)
    note = f"**{told}**\n\n" if told else ""
    path = stores.reports.write_html(REPORT_KIND, version, evaluation_page(evaluation | {"title": title}))
    create_markdown_artifact(
        f"{note}{evaluation_markdown(evaluation)}\n\nEverything else: `{path}`",
        key="evaluation",
        description=f"{version} beside its peers",
    )
    for name, (words, drawn) in pictures(evaluation).items():
        create_image_artifact(
            as_data_uri(drawn), key=f"{REPORT_KIND}-{name}", description=f"{version}: {words}"
        )
    return path


@task(name="make version", task_run_name="make version {version}", cache_policy=NO_CACHE)
def make_version(version: str, as_of: datetime) -> None:
    """Nothing; the version's folder is complete and the registry knows it."""
    stores = open_stores()
    plan = training_plan(stores.settings)
    with staged(stores.registry.version_dir(version)) as folder:
        data = training_data(as_of)
        queries = read_queries(data, plan.queries)
        ranker = make_ranker(stores, data, queries, plan)
        timing, timing_evaluation = make_timing(stores, data, queries, plan)
        write_models(folder, ranker, timing)
        evaluation = judge(stores, data, queries, ranker, plan, version)
        evaluation |= timing_evaluation | {
            "importance": ranker.importance().head(40).to_dict("records"),
            "made_at": datetime.now(UTC).isoformat(),
        }
        write_evaluation(folder, evaluation)
        write_reference(folder, drift_reference(stores, data, ranker, timing, plan))
    lineage = {
        "as_of": as_of.isoformat(),
        "lake": stores.lake.fingerprint(),
        "features": features_fingerprint(stores, as_of),
        "source": stores.settings.source.partition("://")[0],
        "plan": repr(plan),
        "feature_services": [service.name for service in SERVICES],
        "scene_taxonomy": data.scenes.version if data.scenes is not None else "",
        "code": code_fingerprint("features", "models"),
        "commit": commit(),
    }
    stores.registry.register(version, evaluation, lineage)


def evaluation_markdown(evaluation: dict[str, Any]) -> str:
    """Ranking and timing beside their peers, as a page."""
    lines = ["| model | NDCG@10 | 95 % CI | Recall@20 |", "|---|---:|---|---:|"]
    for name, metrics in evaluation["models"].items():
        ndcg = metrics["ndcg@10"]
        lines.append(
            f"| {name} | {ndcg['mean']:.4f} | {ndcg['low']:.4f} .. {ndcg['high']:.4f} "
            f"| {metrics['recall@20']['mean']:.4f} |"
        )
    lines += ["", "| timing | top-1 slot | top-2 | log-loss | ECE |", "|---|---:|---:|---:|---:|"]
    for row in evaluation["timing"]:
        lines.append(
            f"| {row['model']} | {row['top1']:.3f} | {row['top2']:.3f} "
            f"| {row['log_loss']:.4f} | {row['ece']:.4f} |"
        )
    return "\n".join(lines)
