"""The plan's published frames: columns, order and names that the push gateway reads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.scenes import SCENE_PARTS, UNKNOWN
from models.policy.rule import SUPPRESSION_COLUMNS

PUSH_COLUMNS = (
    *("push_id", "plan_date", "user_id", "slot", "send_at", "expires_at", "timezone", "scene", "channel"),
    *("item_id", "p_engage", "expected_value", "propensity", "reasons"),
    *("model_version", "policy_version"),
    *("experiment", "arm", "holdout"),
)
ITEM_COLUMNS = ("push_id", "rank", "item_id", "score", "reasons")


@dataclass(frozen=True)
class Plan:
    """What is sent, what is behind it, and what is not sent.

    Attributes:
        pushes: One row a push, `PUSH_COLUMNS`, by user and send time.
        items: One row a push and rank, `ITEM_COLUMNS`.
        suppressions: One row a push or item that policy stopped, `SUPPRESSION_COLUMNS`.
        summary: Counts for the run's report; `rule_<name>` counts ledger rows.
        model_version: Which model's scores it was made from.
    """

    pushes: pd.DataFrame
    items: pd.DataFrame
    suppressions: pd.DataFrame
    summary: dict[str, int] = field(default_factory=dict)
    model_version: str = ""


def push_id_of(plan_date: date, user_id: str, slot: str) -> str:
    """The push's name: the same plan date, user and slot always give the same 32 hex digits.

    Examples:
        >>> push_id_of(date(2017, 12, 4), "1", "evening")
        '5ce2486c13293e257e90d88764edce25'
    """
    return push_ids_of(plan_date, [user_id], [slot])[0]


def push_ids_of(plan_date: date, user_ids: Iterable[str], slots: Iterable[str]) -> list[str]:
    """`push_id_of` of each."""
    begun = hashlib.sha256(f"kairos|{plan_date.isoformat()}|".encode())
    names = []
    for user_id, slot in zip(user_ids, slots, strict=True):
        digest = begun.copy()
        digest.update(f"{user_id}|{slot}".encode())
        names.append(digest.hexdigest()[:32])
    return names


def plan_frames(
    chosen: pd.DataFrame,
    items: pd.DataFrame,
    ledger: Sequence[pd.DataFrame],
    policy_version: str,
    plan_date: date,
    model_version: str,
    counts: dict[str, int],
) -> Plan:
    """The plan from the chosen slots and their items, in published columns and a fixed order."""
    chosen = chosen.sort_values(["user_id", "send_epoch_seconds"], ignore_index=True)
    push_ids = np.array(push_ids_of(plan_date, chosen["user_id"], chosen["slot"]), dtype=object)
    of_push = pd.Index(chosen["slot_row"]).get_indexer(items["slot_row"])
    by_name = np.empty(len(push_ids), dtype=np.int64)  # numbers sort faster than names
    by_name[np.argsort(push_ids)] = np.arange(len(push_ids))
    rank = items["rank"].to_numpy(dtype=np.int64)
    order = np.lexsort([rank, by_name[of_push]])
    items, of_push, rank = items.iloc[order].reset_index(drop=True), of_push[order], rank[order]
    items = items.assign(push_id=push_ids[of_push], reasons=_ranked(rank))
    is_lead = rank == 1
    lead = np.empty(len(push_ids), dtype=np.int64)
    lead[of_push[is_lead]] = np.flatnonzero(is_lead)
    pushes = pd.DataFrame(
        {
            "push_id": push_ids,
            "plan_date": [plan_date] * len(chosen),
            "user_id": chosen["user_id"],
            "slot": chosen["slot"],
            "send_at": _instants(chosen["send_epoch_seconds"]),
            "expires_at": _instants(chosen["expires_epoch_seconds"]),
            "timezone": chosen["timezone"],
            "scene": _scenes(chosen),
            "channel": "push",
            "item_id": items["item_id"].to_numpy()[lead],
            "p_engage": chosen["p_engage"],
            "expected_value": chosen["expected_value"],
            "propensity": chosen["propensity"],
            "reasons": items["reasons"].to_numpy()[lead],
            "model_version": model_version,
            "policy_version": policy_version,
            "experiment": None,
            "arm": None,
            "holdout": False,
        },
        columns=list(PUSH_COLUMNS),
    )
    suppressions = _ordered(pd.concat(ledger, ignore_index=True))
    pushed = int(pushes["user_id"].nunique())
    by_rule = suppressions["rule"].value_counts().sort_index()
    summary = {
        **counts,
        "pushes": len(pushes),
        "users_pushed": pushed,
        "users_silent": counts["users"] - pushed,
        **{f"rule_{rule}": int(count) for rule, count in by_rule.items()},
    }
    return Plan(pushes, items[list(ITEM_COLUMNS)], suppressions, summary, model_version)


def with_reasons(plan: Plan, reasons: pd.DataFrame, max_reasons: int = 3) -> Plan:
    """The plan with words beside every item; a push takes its items' distinct reasons, best item first.

    Args:
        reasons: (push_id, item_id, reasons), `reasons` a list of {"code", "words"}; pushed items only.
    """
    keys = zip(reasons["push_id"], reasons["item_id"], strict=True)
    named = dict(zip(keys, reasons["reasons"], strict=True))
    found = zip(plan.items["push_id"], plan.items["item_id"], plan.items["reasons"], strict=True)
    items = plan.items.assign(reasons=_column(named.get((push, item), old) for push, item, old in found))
    gathered: dict[str, dict[str, dict[str, str]]] = {}
    for push, of_item in zip(items["push_id"], items["reasons"], strict=True):
        for reason in of_item:
            gathered.setdefault(push, {}).setdefault(reason["code"], reason)
    of_push = _column(list(gathered.get(push, {}).values())[:max_reasons] for push in plan.pushes["push_id"])
    return replace(plan, pushes=plan.pushes.assign(reasons=of_push), items=items)


def joined_plans(plans: Sequence[Plan]) -> Plan:
    """One plan of plans of different users, counts added up; each push names the model it came from."""
    if len(plans) == 1:
        return plans[0]
    names = dict.fromkeys(name for plan in plans for name in plan.summary)
    return Plan(
        pd.concat([plan.pushes for plan in plans], ignore_index=True),
        pd.concat([plan.items for plan in plans], ignore_index=True),
        pd.concat([plan.suppressions for plan in plans], ignore_index=True),
        {name: sum(plan.summary.get(name, 0) for plan in plans) for name in names},
        plans[0].model_version,
    )


def _ranked(rank: NDArray[np.int64]) -> NDArray[np.object_]:
    """What is said of an item until its own reasons are known; one object a rank, for there are few."""
    said = [
        [{"code": "top_score", "words": f"ranked {place} of what may be offered"}]
        for place in range(1, int(rank.max(initial=0)) + 1)
    ]
    return np.asarray(_column(said)[rank - 1])


def _column(values: Iterable[object]) -> NDArray[np.object_]:
    """One object a cell, even where the objects are lists of equal length."""
    listed = list(values)
    cells = np.empty(len(listed), dtype=object)
    cells[:] = listed
    return cells


def _instants(epoch_seconds: pd.Series) -> pd.Series:
    return pd.to_datetime(epoch_seconds.astype("int64"), unit="s", utc=True).astype("datetime64[us, UTC]")


def _scenes(chosen: pd.DataFrame) -> NDArray[np.object_]:
    """The scene assumed for each push; a region nobody told is the user's own, the channel is the push.

    One object a distinct scene, for there are few.
    """
    parts = [f"scene_{part}" for part in SCENE_PARTS]
    told = chosen[parts].astype(object).fillna(UNKNOWN)
    told["scene_region"] = told["scene_region"].where(told["scene_region"] != UNKNOWN, chosen["region"])
    kind = told.groupby(parts, sort=False, dropna=False).ngroup().to_numpy()
    first = np.unique(kind, return_index=True)[1]
    rows = told.iloc[first].itertuples(index=False)
    return _column([dict(zip(SCENE_PARTS, row, strict=True)) | {"channel": "push"} for row in rows])[kind]


def _ordered(ledger: pd.DataFrame) -> pd.DataFrame:
    """Ledger rows in the one order that does not depend on how they came about."""
    keys = [ledger[column].fillna("").astype(str).to_numpy(dtype=object) for column in SUPPRESSION_COLUMNS]
    codes = [pd.factorize(key, sort=True)[0] for key in keys]
    order = np.lexsort(codes[::-1]) if len(ledger) else np.zeros(0, dtype=np.int64)
    return ledger.iloc[order].reset_index(drop=True)
