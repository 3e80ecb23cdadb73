"""Flow `estimate_experiment`: what arms would have earned, by past plans that chance had a say in.

Each past day is planned again as of its own cut-off, as each arm would have planned it under the policy that
is in effect now; nothing is published.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from prefect import flow
from prefect.artifacts import create_markdown_artifact

from features.calendar import local_midnight
from features.errors import RefusedError
from flows.candidate_scores import files_of, score_candidates
from flows.day_plan import bare_plan
from flows.experiment_launch import arm_words
from flows.materialize import ensure_features, resolved_as_of
from flows.model_files import read_models
from flows.moments import local_date, shop_timezone
from flows.planners import Planner, arm_planner
from flows.progress import step
from flows.run_name import run_name
from flows.wiring import Stores, open_stores, sole_writer
from infra.plan_store import BatchOrigin
from infra.sources import reality_note
from models.experiments.split import Arm
from monitoring.experiments.form import ExperimentForm, design_of
from monitoring.experiments.off_policy import OffPolicyReadout, off_policy_readout
from monitoring.experiments.replay import CHOICE, Replay, compared_choices

_REWARD = {"push_conversion": "purchase", "open_rate": "push_opened"}
"""Metric -> the event that counts for it; any other primary is told as pushes that sold."""


@flow(name="estimate_experiment", flow_run_name=run_name, timeout_seconds=12 * 3600, persist_result=False)
def estimate_experiment(
    experiment: ExperimentForm, days: int = 7, as_of: datetime | None = None
) -> list[dict[str, Any]]:
    """What each arm of a proposed experiment would have earned a push, by the newest days that are settled.

    Args:
        experiment: As it would be launched.
        days: How many plan dates.
        as_of: Knowledge cut-off.

    Returns:
        One entry an arm that pushes otherwise: its estimates with intervals, diagnostics and the replay.

    Raises:
        RefusedError: No plan of those days is settled, chance had no say in them, or no arm can be replayed.
    """
    stores = open_stores()
    as_of = resolved_as_of(stores, as_of)
    zone = shop_timezone(stores.settings)
    design = design_of(experiment, local_midnight(experiment.start, zone))
    arms = [
        arm for arm in design.split.arms if arm.is_sent and (arm.model_version or arm.policy or arm.timing)
    ]
    if not arms:
        raise RefusedError("no arm pushes otherwise by model, policy or timing; there is nothing to replay.")
    metric = experiment.primary if experiment.primary in _REWARD else "push_conversion"
    settled = timedelta(days=design.window_days + design.settling_days)
    batches = _batches(stores, local_date(as_of - settled, zone), days)
    found: list[dict[str, Any]] = []
    with sole_writer(stores.settings):
        try:
            again: dict[str, list[pd.DataFrame]] = {arm.name: [] for arm in arms}
            logged = []
            for number, batch in enumerate(batches):
                ensure_features(stores, batch.as_of)
                with step("replay") as current:
                    logged.append(_logged(stores, batch, _REWARD[metric], design.window_days, as_of))
                    for arm in arms:
                        again[arm.name].append(
                            _replayed(stores, arm_planner(batch.model_version, arm), batch)
                        )
                    current.say(f"{batch.plan_date}, {number + 1} of {len(batches)} days")
        finally:
            ensure_features(stores, as_of)
    log = pd.concat(logged, ignore_index=True)
    for arm in arms:
        choices, replay = compared_choices(log, pd.concat(again[arm.name], ignore_index=True))
        found.append(_told(arm, metric, off_policy_readout(choices), replay))
    create_markdown_artifact(
        estimate_markdown(found, reality_note(stores.settings.source)),
        key="experiment-estimate",
        description=f"{experiment.name}, before it starts",
    )
    return found


def estimate_markdown(found: list[dict[str, Any]], note: str = "") -> str:
    """The estimates as an artifact; `note` comes first."""
    lines = [*((f"**{note}**", "") if note else ()), "| arm | estimate | a push | 95 % interval |"]
    lines.append("|---|---|---:|---|")
    for one in found:
        lines.append(f"| as logged | mean | {one['logged']:.5f} | |")
        lines += [
            f"| {one['arm']} | {row['method']} | {row['value']:.5f} | {row['low']:.5f} .. {row['high']:.5f} |"
            for row in one["estimates"]
        ]
    return "\n".join([*lines, "", *(f"- {words}" for one in found for words in one["words"])])


def _batches(stores: Stores, before: date, days: int) -> list[BatchOrigin]:
    """The live batches of the newest `days` plan dates before that day, the oldest first.

    Raises:
        RefusedError: There is none.
    """
    first, last = before - timedelta(days=days), before - timedelta(days=1)
    found = stores.plans.live_origins(first, last)
    if not found:
        raise RefusedError(
            f"no plan of {first}..{last} is published, whose outcomes would be settled by now; plan and send "
            "some days first, or take more --days."
        )
    return found


def _logged(
    stores: Stores, batch: BatchOrigin, event_type: str, window_days: float, as_of: datetime
) -> pd.DataFrame:
    """`LOGGED` rows of the day's pushes that were sent."""
    plan = stores.plans.read_published(batch.plan_date)
    plan = plan[plan["holdout"].eq(False)]
    lead = stores.plans.read_items(batch.plan_date)
    plan = plan.merge(lead.loc[lead["rank"] == 1, ["push_id", "score"]], on="push_id")
    connection = stores.lake.connect(as_of, since=batch.as_of)
    try:
        connection.register("plan", plan[["push_id", "send_at"]])
        told = connection.sql(
            "SELECT push_id, bool_or(event_type = 'push_sent') AS was_sent, "
            f"CAST(coalesce(bool_or(event_type = '{event_type}' AND event_ts < send_at + INTERVAL "
            f"{window_days * 86_400:.0f} SECOND), false) AS DOUBLE) AS reward "
            "FROM events JOIN plan USING (push_id) GROUP BY push_id"
        ).df()
    finally:
        connection.close()
    rows = plan.merge(told[told["was_sent"]], on="push_id")
    p_sale = np.zeros(len(rows))
    for version, mine in rows.groupby("model_version"):
        ranker, _ = read_models(stores.registry.version_dir(str(version)))
        at = rows.index.get_indexer(mine.index)
        p_sale[at] = mine["p_engage"] * ranker.chances(mine["score"].to_numpy(dtype=np.float64))
    return rows.assign(p_sale=p_sale)[[*CHOICE, "propensity", "reward", "experiment"]]


def _replayed(stores: Stores, planner: Planner, batch: BatchOrigin) -> pd.DataFrame:
    """`CHOICE` rows of the day as the planner would have planned it, taking the best each time."""
    version, slots = planner.version, planner.slots
    score_candidates(version, batch.as_of, batch.plan_date, None, slots=slots)
    files = files_of(stores, version, batch.as_of, batch.plan_date, slots=slots)
    policy = {**dict(planner.policy), "exploration_share": 0.0}
    ranker, _ = read_models(stores.registry.version_dir(version))
    told = []
    for shard in files.shards:
        made = bare_plan(stores, version, shard, batch.plan_date, batch.as_of, policy, slots)
        lead = made.items.loc[made.items["rank"] == 1, ["push_id", "score"]]
        rows = made.pushes.merge(lead, on="push_id")
        p_sale = rows["p_engage"] * ranker.chances(rows["score"].to_numpy(dtype=np.float64))
        told.append(rows.assign(p_sale=p_sale)[list(CHOICE)])
    return pd.concat(told, ignore_index=True)


def _told(arm: Arm, metric: str, found: OffPolicyReadout, replay: Replay) -> dict[str, Any]:
    """One arm's entry, JSON-ready."""
    same = replay.same / replay.compared
    words = [
        *(f"{arm.name}: {warning}" for warning in found.warnings),
        f"{arm.name} ({arm_words(arm)}): {metric} of {found.rows:,} pushes to {found.units:,} users; it "
        f"chooses the same slot and item in {same:.1%}; the log is worth {found.effective_rows:,.0f} of "
        f"its own pushes, mean weight {found.mean_weight:.3f}, largest {found.largest_weight:.1f}",
        f"{arm.name}: not compared: {replay.only_logged:,} user-days that it would leave silent, "
        f"{replay.only_replayed:,} that only it would push, {replay.several:,} with more than one push, "
        f"{replay.in_experiments:,} pushes of experiments",
    ]
    return {
        "arm": arm.name,
        "metric": metric,
        "logged": found.logged,
        "estimates": [asdict(one) for one in found.estimates],
        "rows": found.rows,
        "users": found.units,
        "effective_rows": found.effective_rows,
        "mean_weight": found.mean_weight,
        "largest_weight": found.largest_weight,
        "warnings": list(found.warnings),
        "replay": asdict(replay),
        "words": words,
    }
