"""A user's plan in plain words."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pandas as pd

from features.calendar import zone_named

RULE_WORDS = {
    "no_consent": "did not agree to pushes",
    "quiet_hours": "falls into quiet hours",
    "daily_cap": "enough pushes that day",
    "weekly_cap": "enough pushes that week",
    "min_gap": "too soon after the last push",
    "below_value": "not worth an interruption",
    "unavailable": "not in stock",
    "recently_bought": "bought just now",
    "sensitive": "a sensitive item",
    "diversity": "too much of one kind",
    "expired": "its time is over",
    "kill_switch": "pushes are switched off",
}
_LEDGER_LINES = 8

_WHEN = {"night": "at night", "midday": "at midday", "late": "late in the evening"}


@dataclass(frozen=True)
class UserPlan:
    """One user's day.

    Attributes:
        pushes: Rows of `push_plan` for the user, as published.
        items: Rows of `push_plan_item` behind them.
        suppressions: Rows of `suppression` for the user.
        titles: item_id -> title.
        stopped: push_id -> why the gateway may not send it any more; empty when it may send all.
    """

    user_id: str
    plan_date: date
    pushes: pd.DataFrame
    items: pd.DataFrame
    suppressions: pd.DataFrame
    titles: Mapping[str, str]
    stopped: Mapping[str, str] = field(default_factory=dict)


def plan_in_words(plan: UserPlan, ledger_lines: int = _LEDGER_LINES) -> list[str]:
    """What the user gets and why, then what stays unsent and why, one line each.

    Args:
        ledger_lines: At most so many lines about what stays unsent.
    """
    day = f"{plan.plan_date:%A} {plan.plan_date.day} {plan.plan_date:%B %Y}"
    if plan.pushes.empty:
        lines = [f"User {plan.user_id}, {day}: no push."]
    else:
        lines = [f"User {plan.user_id}, {day}:"]
        for push in plan.pushes.to_dict("records"):
            lines += _push_lines(plan, push)
    return lines + _ledger_in_words(plan, ledger_lines)


def _push_lines(plan: UserPlan, push: Mapping[Hashable, Any]) -> list[str]:
    timezone = str(push["timezone"])
    sent = pd.Timestamp(push["send_at"]).tz_convert(zone_named(timezone))
    store = _store_words(push["scene"])
    items = plan.items[plan.items["push_id"] == push["push_id"]].sort_values("rank")
    first = plan.titles.get(str(push["item_id"]), str(push["item_id"]))
    lines = [
        f"  {sent:%H:%M} ({push['slot']}, {timezone}{store}): {first}",
        f"    why: {_reason_words(push['reasons'])}",
        f"    chance of engaging in this slot {push['p_engage']:.1%}, "
        f"expected value {push['expected_value']:.3f}" + _chance_words(push),
    ]
    if (why := plan.stopped.get(str(push["push_id"]))) is not None:
        lines.insert(1, f"    NOT SENT{'' if push['holdout'] else ' ANY MORE'}: {why}")
    others = [plan.titles.get(item, item) for item in items["item_id"].astype(str) if item != push["item_id"]]
    return [*lines, f"    with it: {', '.join(others)}"] if others else lines


def _ledger_in_words(plan: UserPlan, limit: int) -> list[str]:
    lines = []
    # What stopped a whole push says more than what kept one item out of it.
    for row in sorted(plan.suppressions.to_dict("records"), key=lambda row: _given(row.get("item_id"))):
        slot, item = row.get("slot"), row.get("item_id")
        what = plan.titles.get(str(item), str(item)) if _given(item) else "any push"
        when = f" {_WHEN.get(str(slot), f'in the {slot}')}" if _given(slot) else ""
        rule = str(row["rule"])
        lines.append(f"  not {what}{when}: {RULE_WORDS.get(rule, rule)} ({row['detail']})")
    shown = lines[:limit]
    return [*shown, f"  and {len(lines) - limit:,} more not sent"] if len(lines) > limit else shown


def _reason_words(reasons: object) -> str:
    listed = reasons if isinstance(reasons, Sequence) and not isinstance(reasons, str) else ()
    return "; ".join(str(reason["words"]) for reason in listed) or "the best value of the day"


def _chance_words(push: Mapping[Hashable, Any]) -> str:
    """How likely the choice was, where chance had a say."""
    propensity, experiment = push["propensity"], push["experiment"]
    if _given(experiment):
        return f"; arm {push['arm']} of experiment {experiment}, with probability {propensity:.1%}"
    return "" if propensity >= 1.0 else f"; one of several, chosen with probability {propensity:.1%}"


def _store_words(scene: object) -> str:
    store = scene.get("store_id", "unknown") if isinstance(scene, Mapping) else "unknown"
    return "" if store == "unknown" else f", store {store}"


def _given(value: object) -> bool:
    return value is not None and not pd.isna(value)  # type: ignore[call-overload]
