"""A challenger in shadow: it scores and plans the day's users as the champion does, and is sent to nobody."""

from __future__ import annotations

from datetime import date, datetime

import pandas as pd
from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from features.user_parts import UserPart
from flows.day_plan import make_plan
from flows.planners import part_of, trial_users
from flows.progress import step
from flows.scored_shards import ScoredShards
from flows.wiring import Stores, open_stores
from infra.rollout_store import Rollout
from monitoring.shadow import CANDIDATE_COLUMNS, PUSH_COLUMNS, ShadowMeasure, compare_shadow

KIND = "shadow"
_COMPARED_USERS = 5_000
"""Enough for shares to the per cent, few enough to plan for twice."""


@task(name="measure shadow", cache_policy=NO_CACHE)
def measure_shadow(
    rollout: Rollout, champion: ScoredShards, challenger: ScoredShards, as_of: datetime, plan_date: date
) -> list[ShadowMeasure]:
    """The comparison on one day's users, stored; the worst measure first.

    Args:
        champion: Its scores of everybody.
        challenger: Its scores of its `trial_users`.
    """
    stores = open_stores()
    with step("shadow") as current:
        part = _compared(challenger, trial_users(rollout))
        found = compare_shadow(
            _candidates(champion, part),
            _candidates(challenger, part),
            _pushes(stores, rollout.champion, champion, part, as_of, plan_date),
            _pushes(stores, rollout.version, challenger, part, as_of, plan_date),
        )
        stores.reports.append_drift(
            subject=rollout.version,
            as_of=as_of,
            kind=KIND,
            rows=[_row(one) for one in found],
            reference=rollout.champion,
        )
        current.say(f"{found[0].verdict}: {'; '.join(one.words for one in found[:2])}")
    create_markdown_artifact(
        shadow_markdown(rollout, found), key="shadow", description=f"{rollout.version} beside the champion"
    )
    return found


def _compared(challenger: ScoredShards, part: UserPart) -> UserPart:
    """Of the users in shadow so many as are compared."""
    scored = challenger.read_columns(["user_id"])["user_id"].nunique()
    share = min(1.0, _COMPARED_USERS / max(scored, 1))
    return UserPart(part.salt, part.low, part.low + (part.high - part.low) * share)


def _candidates(files: ScoredShards, part: UserPart) -> pd.DataFrame:
    """The part's candidates, a shard at a time: all of them may not fit."""
    shards = (shard.read_columns(list(CANDIDATE_COLUMNS)) for shard in files.shards)
    return pd.concat([part.of(rows) for rows in shards], ignore_index=True)


def _pushes(
    stores: Stores, version: str, files: ScoredShards, part: UserPart, as_of: datetime, plan_date: date
) -> pd.DataFrame:
    threads = stores.settings.threads
    plans = (
        make_plan(stores, version, part_of(shard, part), plan_date, as_of, threads) for shard in files.shards
    )
    return pd.concat([plan.pushes[list(PUSH_COLUMNS)] for plan in plans], ignore_index=True)


def _row(one: ShadowMeasure) -> dict[str, object]:
    low, high = one.bearable
    finite = one.value if abs(one.value) < float("inf") else None
    return {
        "column_name": "plan" if one.name.startswith(("plan", "lead")) else "score",
        "measure": one.name,
        "value": finite,
        "threshold": low if low > 0 else None,
        "verdict": one.verdict,
        "details": {"words": one.words, "most": high if high < float("inf") else None},
    }


def shadow_markdown(rollout: Rollout, found: list[ShadowMeasure]) -> str:
    """The comparison as a page."""
    lines = [f"`{rollout.version}` beside `{rollout.champion}`", "", "| measure | value | verdict |"]
    lines.append("|---|---:|---|")
    lines += [f"| {one.name.replace('_', ' ')} | {one.value:.3f} | {one.verdict} |" for one in found]
    return "\n".join(lines)
