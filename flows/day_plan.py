"""One day's plan from scored candidates: policy's context read, items chosen, reasons told."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pandas as pd

from flows.fingerprints import code_fingerprint, fingerprint_of
from flows.model_files import read_models
from flows.moments import shop_timezone
from flows.scored_files import ScoredFiles
from flows.training_data import training_data
from flows.wiring import Stores
from models.explain import explain_items
from models.plan import Plan, PolicyContext, PolicyParams, build_plan
from models.plan_frames import with_reasons
from models.ranker import Ranker

_LOOK_BACK = timedelta(days=8)
"""Longer than any gap or cap looks back."""


def policy_params(stores: Stores) -> PolicyParams:
    """The policy that settings ask for."""
    settings = stores.settings
    return PolicyParams(
        default_timezone=shop_timezone(settings),
        default_quiet_start=settings.quiet_start,
        default_quiet_end=settings.quiet_end,
        default_max_per_day=settings.max_pushes_per_day,
        min_gap_hours=settings.min_gap_hours,
        min_expected_value=settings.min_push_value,
    )


def plan_inputs(stores: Stores, version: str, files: ScoredFiles, plan_date: date, as_of: datetime) -> str:
    """What the plan follows from: scores, policy, code, and what else is planned for the users."""
    planned = _planned(stores, as_of, plan_date)
    return fingerprint_of(
        version,
        files.candidates.name,
        policy_params(stores).version,
        code_fingerprint("models", "flows.day_plan"),
        pd.util.hash_pandas_object(planned, index=False).to_numpy().tolist(),
    )


def make_plan(stores: Stores, version: str, files: ScoredFiles, plan_date: date, as_of: datetime) -> Plan:
    """The day's plan with a reason beside every item."""
    data = training_data(as_of)
    plan = build_plan(
        files.read_candidates(),
        files.read_timing(),
        data.users,
        _context(stores, as_of, plan_date, data.items),
        policy_params(stores),
        plan_date,
        version,
    )
    ranker, _ = read_models(stores.registry.version_dir(version))
    return with_reasons(plan, _reasons(plan, files, ranker, stores.settings.threads))


def _context(stores: Stores, as_of: datetime, plan_date: date, items: pd.DataFrame) -> PolicyContext:
    connection = stores.lake.connect(as_of)
    try:
        purchases = connection.sql(
            """
            SELECT user_id, item_id, CAST(max(epoch(event_ts)) AS BIGINT) AS last_bought_epoch_seconds,
                   (max(epoch(event_ts)) - min(epoch(event_ts))) / 86400.0
                       / nullif(count(DISTINCT CAST(event_ts AS DATE)) - 1, 0) AS mean_gap_days
            FROM events WHERE event_type = 'purchase' AND item_id IS NOT NULL
            GROUP BY user_id, item_id
            """
        ).df()
        sent = connection.sql(
            "SELECT user_id, event_ts AS sent_at, channel FROM events WHERE event_type = 'push_sent'"
        ).df()
    finally:
        connection.close()
    pushes = [frame for frame in (sent, _planned(stores, as_of, plan_date)) if len(frame)]
    history = pd.concat(pushes, ignore_index=True) if pushes else sent
    return PolicyContext(as_of, items, purchases, history)


def _planned(stores: Stores, as_of: datetime, plan_date: date) -> pd.DataFrame:
    """(user_id, sent_at, channel) of earlier days' plans, and of this day's pushes that are already due."""
    earlier = stores.plans.planned_pushes(as_of - _LOOK_BACK, before=plan_date)
    due = stores.plans.pushes_already_due(plan_date, as_of)
    columns = ["user_id", "send_at", "channel"]
    planned = pd.concat([earlier[columns], due[columns]], ignore_index=True) if len(due) else earlier
    return planned.rename(columns={"send_at": "sent_at"})[["user_id", "sent_at", "channel"]]


def _reasons(plan: Plan, files: ScoredFiles, ranker: Ranker, threads: int) -> pd.DataFrame:
    """(push_id, item_id, reasons) of every pushed item, from the ranker's own contributions."""
    pushed = plan.items[["push_id", "item_id"]].merge(
        plan.pushes[["push_id", "user_id", "slot"]], on="push_id"
    )
    if pushed.empty:
        return pd.DataFrame({"push_id": [], "item_id": [], "reasons": []})
    scored = files.read_columns(["user_id", "slot", "item_id", *ranker.features])
    keys = ["user_id", "slot", "item_id"]
    scored = scored[scored["item_id"].isin(pushed["item_id"]) & scored["user_id"].isin(pushed["user_id"])]
    rows = pushed.merge(scored.astype(dict.fromkeys(keys, "object")), on=keys, how="left")
    contributions = ranker.contributions(rows, threads)
    told = explain_items(rows.assign(daypart=rows["slot"]), contributions, ranker.features)
    return rows[["push_id", "item_id"]].assign(reasons=pd.Series(told, dtype=object))
