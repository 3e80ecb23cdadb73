"""The push plan: the slot with the best expected value for each user, and why every other push stays unsent.

One push is a user, a slot and the best few items that policy allows. Its expected value is
`p_reach * sum over its items of p_item * price * margin - what pushes of late make it cost`, where `p_reach`
is the chance that a session starts soon after it is sent (`p_engage`, the whole slot's, where no hours are
known). The slot, with its best minute, its scene and its items, that maximises it wins; where none exceeds
the least value, silence does.
"""

from __future__ import annotations

from datetime import date
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.calendar import DAYPARTS
from features.errors import KairosError
from features.scenes import SCENE_PARTS, UNKNOWN
from models.choice import choose_pushes
from models.plan_frames import Plan, plan_frames
from models.policy.below_value import BELOW_VALUE
from models.policy.facts import PolicyContext, codes_of, push_times, sorted_codes, user_facts
from models.policy.item_facts import item_facts
from models.policy.params import PolicyParams
from models.policy.registry import SLOT_RULES, USER_RULES
from models.policy.rule import Rule, kept_by, ledger_rows
from models.policy.slot_facts import slot_facts
from models.send_time import Doubles, arrivals

_CERTAIN = 1.0 - 1e-9  # a chance of 1 would be endlessly many sessions

__all__ = ["Plan", "PolicyContext", "PolicyParams", "build_plan", "expected_prices"]


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
    reachable = people.index[_passing(USER_RULES, people, params, ledger)].to_numpy()

    candidates, prices_imputed = _candidates(scored, user_ids, reachable, context, params)
    slots, slot_row = _slots(candidates, timing, user_ids)
    expected = None if hours is None else _arrivals(timing, hours, user_ids)
    sent = push_times(context, params, user_ids)
    facts = slot_facts(slots, people, sent, context.as_of, plan_date, params, expected)
    is_open = _passing(SLOT_RULES, facts, params, ledger)
    silent = people.loc[np.setdiff1d(reachable, slots["user_code"]), ["user_id"]]
    silent = silent.assign(expected_value=0.0, note="; there is nothing to offer")
    ledger.append(ledger_rows(BELOW_VALUE, silent, params))

    renumbered = np.cumsum(is_open) - 1
    kept = is_open[slot_row]
    choice = choose_pushes(
        facts[is_open].reset_index(drop=True),
        candidates[kept].assign(slot_row=renumbered[slot_row[kept]]).reset_index(drop=True),
        params,
        plan_date,
    )
    ledger.append(choice.suppressions)
    counts = {
        "users": len(people),
        "candidates": len(scored),
        "timezones_assumed": int((~people["timezone_known"]).sum()),
        "prices_imputed": prices_imputed,
    }
    return plan_frames(choice.pushes, choice.items, ledger, params.version, plan_date, model_version, counts)


def expected_prices(prices: pd.Series, categories: pd.Series) -> tuple[NDArray[np.float64], int]:
    """(a price for every row, how many were missing).

    A gap takes its category's median, else the overall one.
    Without any known price every item counts as 1, so that values still order by probability.

    Examples:
        >>> expected_prices(pd.Series([2.0, 4.0, None, None]), pd.Series(["a", "a", "a", "b"]))
        (array([2., 4., 3., 3.]), 2)
    """
    known = pd.to_numeric(prices, errors="coerce").astype(float)
    missing = int(known.isna().sum())
    if missing:
        overall = 1.0 if missing == len(known) else float(known.median())
        known = known.fillna(known.groupby(categories).transform("median")).fillna(overall)
    return np.asarray(known, dtype=np.float64), missing


def _check(scored: pd.DataFrame) -> None:
    strange = sorted(set(scored["slot"].unique()) - set(DAYPARTS))
    if strange:
        raise KairosError(
            f"slot == {strange[0]!r}, must be one of {', '.join(DAYPARTS)}; correct the candidates."
        )
    broken = int((~np.isfinite(scored[["score", "p_item"]].to_numpy(dtype=float))).any(axis=1).sum())
    if broken:
        raise KairosError(f"{broken} candidates have no finite score or p_item; check the ranker's input.")


def _ids(values: pd.Series) -> NDArray[Any]:
    return values.to_numpy(dtype=object)


def _labelled(codes: NDArray[np.int64], names: Any) -> pd.Categorical:
    """Codes that read as names: a million of them sort and filter like integers."""
    return pd.Categorical.from_codes(cast(Any, codes), pd.Index(names))


def _scene_part(scored: pd.DataFrame, part: str) -> pd.Categorical:
    """One part of the scene assumed for each candidate; 'unknown' where nobody tells it."""
    if part not in scored:
        return pd.Categorical([UNKNOWN]).take(np.zeros(len(scored), dtype=np.intp))
    return _labelled(*sorted_codes(scored[part]))


def _candidates(
    scored: pd.DataFrame,
    user_ids: pd.Index,
    reachable: NDArray[np.int64],
    context: PolicyContext,
    params: PolicyParams,
) -> tuple[pd.DataFrame, int]:
    """(reachable users' candidates with facts, by user, slot, falling score and item; prices imputed)."""
    prices, missing = expected_prices(scored["price"], scored["category"])
    slots = pd.Index(DAYPARTS)
    of_user, of_slot = codes_of(user_ids, scored["user_id"]), codes_of(slots, scored["slot"])
    of_item, item_ids = sorted_codes(scored["item_id"])
    of_category, categories = sorted_codes(scored["category"])
    score = scored["score"].to_numpy(dtype=float)
    order = np.lexsort([of_item, -score, of_slot, of_user])
    order = order[np.isin(of_user[order], reachable)]
    user_codes, item_codes, slot_order = of_user[order], of_item[order], of_slot[order]
    frame = pd.DataFrame(
        {
            "user_code": user_codes,
            "slot_order": slot_order,
            "user_id": _labelled(user_codes, user_ids),
            "slot": _labelled(slot_order, slots),
            **{f"scene_{part}": _scene_part(scored, part)[order] for part in SCENE_PARTS},
            "item_id": _labelled(item_codes, item_ids),
            "item_code": item_codes,
            "category": _labelled(of_category[order], categories),
            "category_code": of_category[order],
            "score": score[order],
            "value": scored["p_item"].to_numpy(dtype=float)[order] * prices[order] * params.margin,
        }
    )
    if frame.duplicated(["user_code", "slot_order", "item_code"]).any():
        raise KairosError("some candidates are repeated; score each user, slot and item once.")
    facts = item_facts(user_codes, item_codes, user_ids, item_ids, context)
    place = frame.groupby(user_codes * len(slots) + slot_order, sort=False).cumcount()
    return pd.concat([frame, facts, place.rename("place")], axis=1), missing


def _slots(
    candidates: pd.DataFrame, timing: pd.DataFrame, user_ids: pd.Index
) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """(one row per user and slot that has candidates, each candidate's row number in it)."""
    count = len(DAYPARTS)
    keys = candidates["user_code"].to_numpy() * count + candidates["slot_order"].to_numpy()
    distinct, first, row = np.unique(keys, return_index=True, return_inverse=True)
    timing = timing[timing["user_id"].isin(user_ids)]
    at = codes_of(user_ids, timing["user_id"]) * count + codes_of(pd.Index(DAYPARTS), timing["slot"])
    p_engage = pd.Series(timing["p_engage"].to_numpy(dtype=float), index=at)
    p_engage = p_engage.groupby(level=0).max().reindex(distinct)
    if p_engage.isna().any():
        lacking = int(p_engage.isna().sum())
        raise KairosError(
            f"{lacking} scored slots have no p_engage; predict timing for the same users and slots."
        )
    scene = [f"scene_{part}" for part in SCENE_PARTS]
    slots = pd.DataFrame(
        {
            "user_code": distinct // count,
            "slot_order": distinct % count,
            "slot": np.array(DAYPARTS, dtype=object)[distinct % count],
            **{name: _ids(candidates[name].iloc[first]) for name in scene},
            "p_engage": p_engage.to_numpy(),
        }
    )
    return slots, row


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


def _passing(
    rules: tuple[Rule, ...], facts: pd.DataFrame, params: PolicyParams, ledger: list[pd.DataFrame]
) -> NDArray[np.bool_]:
    """One bool a row of `facts`: passed every rule. What is stopped goes to the ledger, once each."""
    passed = np.ones(len(facts), dtype=bool)
    for rule in rules:
        rows = np.flatnonzero(passed)
        kept = kept_by(rule, facts.iloc[rows], params)
        ledger.append(ledger_rows(rule, facts.iloc[rows[~kept]], params))
        passed[rows[~kept]] = False
    return passed
