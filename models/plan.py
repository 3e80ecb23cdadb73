"""The push plan: the slot with the best expected value for each user, and why every other push stays unsent.

One push is a user, a slot and the best few items that policy allows. Its expected value is
`p_reach * sum over its items of p_item * price * margin - what pushes of late make it cost`, where `p_reach`
is the chance that a session starts soon after it is sent (`p_engage`, the whole slot's, where no hours are
known). The slot, with its best minute, its scene and its items, that maximises it wins; where none exceeds
the least value, silence does.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.calendar import DAYPARTS
from features.errors import KairosError
from features.scenes import SCENE_PARTS
from models.choice import choose_pushes
from models.offered_items import offered_items
from models.plan_frames import Plan, plan_frames
from models.policy.below_value import BELOW_VALUE
from models.policy.columns import Columns, Longs, columns_of
from models.policy.facts import PolicyContext, codes_of, push_times, sorted_codes, user_facts
from models.policy.params import PolicyParams
from models.policy.registry import SLOT_RULES, USER_RULES
from models.policy.rule import ledger_rows, passing
from models.policy.slot_facts import slot_facts
from models.send_time import Doubles, arrivals

_CERTAIN = 1.0 - 1e-9  # a chance of 1 would be endlessly many sessions
_PUSHED = (
    *("user_id", "slot", "send_epoch_seconds", "expires_epoch_seconds", "timezone", "region", "p_engage"),
    *(f"scene_{part}" for part in SCENE_PARTS),
)
"""What is published of a chosen slot."""

__all__ = ["Plan", "PolicyContext", "PolicyParams", "build_plan"]


def build_plan(
    scored: pd.DataFrame,
    timing: pd.DataFrame,
    users: pd.DataFrame,
    context: PolicyContext,
    params: PolicyParams,
    plan_date: date,
    model_version: str,
    hours: pd.DataFrame | None = None,
) -> Plan:
    """The plan of one local day; every user has a push or at least one suppression. Row order is irrelevant.

    To bound the ledger, an item's suppression is recorded only where the item would otherwise have made the
    push: it is among its slot's best `max_items` by score, and the slot was not lost to a better one.

    Args:
        scored: (user_id, slot, item_id, category, score, p_item, price) and the scene parts that are known;
            one row a candidate; `p_item` is the calibrated probability that the item is bought, `price` may
            be null.
        timing: (user_id, slot, p_engage); every pair in `scored` must be here.
        users: USERS rows; ids that only `scored` knows have no consent.
        context: Items, purchases and earlier pushes, as of the plan's knowledge cut-off.
        plan_date: The local day on which each user's push is sent.
        model_version: Which model's scores these are.
        hours: Each user's share of sessions by local hour: index user_id, 24 columns, all > 0; who is not
            there comes evenly. None: nothing is known, and a push goes as early as it may in its slot.

    Raises:
        KairosError: A repeated candidate, a score that is no number, a slot without `p_engage`.
    """
    _check(scored)
    mentioned = [sorted_codes(frame["user_id"])[1] for frame in (users, scored)]
    user_ids = mentioned[0].union(mentioned[1])
    people = user_facts(users, user_ids, context, params, plan_date)
    ledger: list[pd.DataFrame] = []
    everybody = Columns(len(people), columns_of(people))
    reached = passing(USER_RULES, everybody, np.arange(len(people)), params, ledger)
    reachable = np.zeros(len(people), dtype=bool)
    reachable[reached] = True

    offered = offered_items(scored, user_ids, reachable, context, params)
    expected = None if hours is None else _arrivals(timing, hours, user_ids)
    sent = push_times(context, params, user_ids)
    keys = (offered.user_code, offered.slot_order)
    slots = slot_facts(*keys, people, sent, context.as_of, plan_date, params, expected)
    slots = slots.with_own(p_engage=_engagement(*keys, timing, user_ids), **offered.scenes)
    is_open = passing(SLOT_RULES, slots, np.arange(slots.length), params, ledger)
    reachable[offered.user_code] = False
    silent = people.loc[reachable, ["user_id"]]
    silent = silent.assign(expected_value=0.0, note="; there is nothing to offer")
    ledger.append(ledger_rows(BELOW_VALUE, silent, params))

    choice = choose_pushes(slots, is_open, offered, params, plan_date)
    counts = {
        "users": len(people),
        "candidates": len(scored),
        "timezones_assumed": int((~people["timezone_known"]).sum()),
        "prices_imputed": offered.prices_imputed,
    }
    chosen = slots.frame(_PUSHED, choice.rows).assign(
        slot_row=choice.rows, expected_value=choice.expected_value, propensity=choice.propensity
    )
    items = offered.facts.frame(["item_id"], choice.offers.rows).assign(
        slot_row=choice.offers.slot_row, rank=choice.offers.rank, score=offered.score[choice.offers.rows]
    )
    ledger += choice.suppressions
    return plan_frames(chosen, items, ledger, params.version, plan_date, model_version, counts)


def _check(scored: pd.DataFrame) -> None:
    strange = sorted(set(scored["slot"].unique()) - set(DAYPARTS))
    if strange:
        raise KairosError(
            f"slot == {strange[0]!r}, must be one of {', '.join(DAYPARTS)}; correct the candidates."
        )
    score, p_item = (scored[name].to_numpy(dtype=float) for name in ("score", "p_item"))
    broken = int((~(np.isfinite(score) & np.isfinite(p_item))).sum())
    if broken:
        raise KairosError(f"{broken} candidates have no finite score or p_item; check the ranker's input.")


def _engagement(
    user_code: Longs, slot_order: Longs, timing: pd.DataFrame, user_ids: pd.Index
) -> NDArray[np.float64]:
    """P(engage) of each slot.

    Raises:
        KairosError: `timing` lacks one.
    """
    count = len(DAYPARTS)
    of_user, of_slot = codes_of(user_ids, timing["user_id"]), codes_of(pd.Index(DAYPARTS), timing["slot"])
    told = (of_user >= 0) & (of_slot >= 0)
    found = np.full(len(user_ids) * count, np.nan)
    np.fmax.at(found, (of_user * count + of_slot)[told], timing["p_engage"].to_numpy(dtype=float)[told])
    p_engage = found[user_code * count + slot_order]
    lacking = int(np.isnan(p_engage).sum())
    if lacking:
        raise KairosError(
            f"{lacking} scored slots have no p_engage; predict timing for the same users and slots."
        )
    return np.asarray(p_engage)


def _arrivals(timing: pd.DataFrame, hours: pd.DataFrame, user_ids: pd.Index) -> Doubles:
    """Sessions expected of each user by each hour of the day; none in dayparts that timing does not tell."""
    of_user = codes_of(user_ids, timing["user_id"])
    of_slot = codes_of(pd.Index(DAYPARTS), timing["slot"])
    told = of_user >= 0
    p_engage = np.zeros((len(user_ids), len(DAYPARTS)))
    p_engage[of_user[told], of_slot[told]] = timing["p_engage"].to_numpy(dtype=float)[told]
    shares = hours.reindex(user_ids).to_numpy(dtype=float)
    shares = np.where(np.isnan(shares), 1.0 / shares.shape[1], shares)
    return arrivals(np.clip(p_engage, 0.0, _CERTAIN), shares)
