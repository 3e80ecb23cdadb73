"""One day's plan from scored candidates: policy's context read, items chosen, reasons told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from flows.fingerprints import code_fingerprint, fingerprint_of
from flows.model_files import read_models
from flows.moments import shop_timezone
from flows.scored_shards import ScoredShard, ScoredShards
from flows.training_data import training_data
from flows.wiring import Stores
from models.explain import explain_items
from models.hour_profile import basket_sessions, hour_profiles
from models.plan import Plan, PolicyContext, PolicyParams, build_plan
from models.plan_frames import with_reasons
from models.policy.kill_switch import STOP_COLUMNS
from models.ranker import Ranker
from models.usual_slots import USUAL

_LOOK_BACK = timedelta(days=9)
"""Longer than any gap or cap looks back, a week of local days in any zone."""


def policy_params(stores: Stores) -> PolicyParams:
    """The policy that settings ask for."""
    settings = stores.settings
    return PolicyParams(
        default_timezone=shop_timezone(settings),
        default_quiet_start=settings.quiet_start,
        default_quiet_end=settings.quiet_end,
        default_max_per_day=settings.max_pushes_per_day,
        max_per_week=settings.max_pushes_per_week,
        min_gap_hours=settings.min_gap_hours,
        country_quiet=settings.country_quiet,
        quiet_action=settings.quiet_action,
        recently_bought_fraction=settings.recently_bought_fraction,
        allow_sensitive=settings.allow_sensitive,
        max_per_category=settings.max_items_per_category,
        margin=settings.push_margin,
        min_expected_value=settings.min_push_value,
        fatigue_cost=settings.fatigue_cost,
        exploration_share=settings.exploration_share,
    )


def plan_inputs(stores: Stores, version: str, files: ScoredShards, plan_date: date, as_of: datetime) -> str:
    """What the plan follows from: scores, policy, code, stops, and what else is planned for the users."""
    planned = _planned(stores, as_of, plan_date)
    return fingerprint_of(
        version,
        files.candidates.name,
        policy_params(stores).version,
        code_fingerprint("models", "flows.day_plan"),
        pd.util.hash_pandas_object(planned, index=False).to_numpy().tolist(),
        _stops(stores).to_numpy().tolist(),
        stores.stops.withdrawn_by_hand(),
    )


def make_plan(
    stores: Stores,
    version: str,
    files: ScoredShard,
    plan_date: date,
    as_of: datetime,
    threads: int,
    policy: Mapping[str, Any] | None = None,
    slots: Sequence[str] = (),
) -> Plan:
    """The day's plan of the shard's users with a reason beside every item; arguments as of `bare_plan`."""
    plan = bare_plan(stores, version, files, plan_date, as_of, policy, slots)
    ranker, _ = read_models(stores.registry.version_dir(version))
    return with_reasons(plan, _reasons(plan, files, ranker, threads))


def bare_plan(
    stores: Stores,
    version: str,
    files: ScoredShard,
    plan_date: date,
    as_of: datetime,
    policy: Mapping[str, Any] | None = None,
    slots: Sequence[str] = (),
) -> Plan:
    """The same without reasons, for who only wants to know what would be pushed.

    Args:
        policy: What differs from the settings' policy.
        slots: Parts of the day that were scored; none: all. Without a timing model (`USUAL`) a push goes at
            everybody's best minute of the part, not at the user's own.
    """
    data = training_data(as_of)
    timing = files.read_timing()
    gone = data.users["user_id"].isin(stores.stops.withdrawn_by_hand())
    users = files.own(data.users.assign(push_consent=data.users["push_consent"] & ~gone))
    candidates = files.read_candidates()
    return build_plan(
        candidates,
        timing,
        users,
        replace(
            _context(stores, as_of, plan_date, data.items, users[["user_id"]]),
            usual_prices=data.usual_prices,
        ),
        replace(policy_params(stores), **(policy or {})),
        plan_date,
        version,
        hours_of(as_of, timing["user_id"].unique().tolist(), plan_date, own=USUAL not in slots),
    )


def hours_of(as_of: datetime, users: Sequence[str], plan_date: date, own: bool = True) -> pd.DataFrame:
    """Each user's share of baskets by local hour, as of the cut-off: index user_id, 24 columns.

    A user's row follows from that user's own baskets and from everybody's, not from who else is asked about.

    Args:
        own: Whether the user's own baskets have a say.
    """
    sessions = _baskets(as_of)
    rows = pd.DataFrame({"user_id": np.asarray(users, dtype=object)})
    rows["local_day"] = (plan_date - date(1970, 1, 1)).days
    rows["cutoff_epoch_seconds"] = int(as_of.timestamp())
    if not own:
        nobody = hour_profiles(sessions, rows[:1].assign(user_id=""))
        return pd.DataFrame(np.repeat(nobody, len(rows), axis=0), index=rows["user_id"])
    return pd.DataFrame(hour_profiles(sessions, rows), index=rows["user_id"])


@lru_cache(maxsize=1)
def _baskets(as_of: datetime) -> pd.DataFrame:
    """Everybody's baskets, which every shard of a run asks for."""
    return basket_sessions(training_data(as_of).log)


def _stops(stores: Stores) -> pd.DataFrame:
    """`STOP_COLUMNS` of the switches that are on."""
    on = [(stop.scope, stop.target, stop.why) for stop in stores.stops.active()]
    return pd.DataFrame(on, columns=list(STOP_COLUMNS))


def _context(
    stores: Stores, as_of: datetime, plan_date: date, items: pd.DataFrame, users: pd.DataFrame
) -> PolicyContext:
    """What policy must know of these users; of others it would only cost."""
    connection = stores.lake.connect(as_of)
    try:
        connection.register("planned_users", users)
        purchases = connection.sql(
            """
            SELECT user_id, item_id, CAST(max(epoch(event_ts)) AS BIGINT) AS last_bought_epoch_seconds,
                   (max(epoch(event_ts)) - min(epoch(event_ts))) / 86400.0
                       / nullif(count(DISTINCT CAST(event_ts AS DATE)) - 1, 0) AS mean_gap_days
            FROM events SEMI JOIN planned_users USING (user_id)
            WHERE event_type = 'purchase' AND item_id IS NOT NULL
            GROUP BY user_id, item_id
            """
        ).df()
        sent = connection.sql(
            "SELECT user_id, event_ts AS sent_at, channel, push_id FROM events "
            f"WHERE event_type = 'push_sent' AND event_ts >= TIMESTAMPTZ '{(as_of - _LOOK_BACK).isoformat()}'"
        ).df()
    finally:
        connection.close()
    history = counted_once(sent, _planned(stores, as_of, plan_date))
    return PolicyContext(as_of, items, purchases, history, _stops(stores))


def counted_once(sent: pd.DataFrame, planned: pd.DataFrame) -> pd.DataFrame:
    """(user_id, sent_at, channel) of everything sent, and planned but not told as sent.

    A push of ours comes back as a push_sent event that names it; counted twice it would use up caps twice.

    Args:
        sent, planned: (user_id, sent_at, channel, push_id); `push_id` is null where the sender named none.
    """
    planned = planned[~planned["push_id"].isin(sent["push_id"].dropna())]
    frames = [frame for frame in (sent, planned) if len(frame)]
    return (pd.concat(frames, ignore_index=True) if frames else sent).drop(columns="push_id")


def _planned(stores: Stores, as_of: datetime, plan_date: date) -> pd.DataFrame:
    """(user_id, sent_at, channel, push_id) of earlier days' plans, and of this day's pushes already due."""
    earlier = stores.plans.planned_pushes(as_of - _LOOK_BACK, before=plan_date)
    due = stores.plans.pushes_already_due(plan_date, as_of)
    columns = ["user_id", "send_at", "channel", "push_id"]
    planned = pd.concat([earlier[columns], due[columns]], ignore_index=True) if len(due) else earlier
    return planned.rename(columns={"send_at": "sent_at"})[["user_id", "sent_at", "channel", "push_id"]]


def _reasons(plan: Plan, files: ScoredShard, ranker: Ranker, threads: int) -> pd.DataFrame:
    """(push_id, item_id, reasons) of every pushed item, from the ranker's own contributions."""
    pushed = plan.items[["push_id", "item_id"]].merge(
        plan.pushes[["push_id", "user_id", "slot"]], on="push_id"
    )
    if pushed.empty:
        return pd.DataFrame({"push_id": [], "item_id": [], "reasons": []})
    keys = ["user_id", "slot", "item_id"]
    rows = pushed.merge(files.read_rows(pushed[keys], list(ranker.features)), on=keys, how="left")
    contributions = ranker.contributions(rows, threads)
    told = explain_items(rows.assign(daypart=rows["slot"]), contributions, ranker.features)
    return rows[["push_id", "item_id"]].assign(reasons=pd.Series(told, dtype=object))
