"""Which pushes are made: item rules, expected value, and each user's best slots within the caps.

Now and then a slot or the first item is chosen by chance instead, where exploration is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from models.policy.below_value import push_costs
from models.policy.exploration import draws, soft_choice
from models.policy.facts import hours_to_nearest, push_keys
from models.policy.params import PolicyParams
from models.policy.registry import AFTER_A_CHOICE_RULES, ITEM_RULES, PUSH_RULES
from models.policy.rule import Rule, kept_by, ledger_rows
from models.vocabulary import Longs

Stopped = list[tuple[Rule, pd.DataFrame]]


@dataclass(frozen=True)
class Choice:
    """The chosen pushes and what lost.

    Attributes:
        pushes: Chosen rows of `slots`, with `slot_row`, `expected_value` (costs taken off) and `propensity`:
            how likely this slot with this first item was to be chosen, the day's earlier choices given.
        items: (slot_row, rank from 1, item_id, score), one row an item of a chosen push.
        suppressions: Ledger rows of items and slots that lost.
    """

    pushes: pd.DataFrame
    items: pd.DataFrame
    suppressions: pd.DataFrame


def choose_pushes(
    slots: pd.DataFrame, candidates: pd.DataFrame, params: PolicyParams, plan_date: date
) -> Choice:
    """The best slots of each user, one round a push of the day, until the cap or the slots are used up.

    Args:
        slots: Slots that policy left open, index 0..n-1, with the facts of `slot_facts`.
        candidates: (slot_row, place, user_id, slot, item_id, item_code, category, category_code, score,
            value) plus item facts, by slot and falling score; `place` counts from 0 within the slot and
            `value` is what one engaged user's purchase chance of the item is worth.
        plan_date: With the user it seeds what is chosen by chance.
    """
    slots = slots.assign(slot_row=np.arange(len(slots)))
    candidates = candidates.assign(pushed_that_day=False)
    ledger: list[pd.DataFrame] = []
    chosen: list[pd.DataFrame] = []
    chosen_items: list[pd.DataFrame] = []
    lost: list[pd.Series] = []  # slots another push beat: their items need no ledger row
    still_open = slots
    stopped: Stopped = []
    while len(still_open):
        inside = candidates["slot_row"].isin(still_open["slot_row"])
        offers, newly_stopped = _offers(candidates[inside.to_numpy()], params)
        stopped = [(rule, _without(rows, still_open["slot_row"])) for rule, rows in stopped] + newly_stopped
        worth = offers["value"].groupby(offers["slot_row"]).sum()
        still_open = still_open[still_open["slot_row"].isin(worth.index)]
        chance = still_open["p_reach"].fillna(still_open["p_engage"])
        cost = push_costs(still_open["recent_pushes"].to_numpy(dtype=float), params)
        value = chance.to_numpy() * worth.reindex(still_open["slot_row"]).to_numpy() - cost
        still_open = _passing(
            PUSH_RULES, still_open.assign(expected_value=value, push_cost=cost), params, ledger
        )
        best, offered = _picked(still_open, offers, params, plan_date, len(chosen))
        chosen.append(best)
        chosen_items.append(offered)
        rest = _without(still_open, best["slot_row"])
        still_open = _passing(AFTER_A_CHOICE_RULES, _beside(rest, best), params, ledger)
        lost.append(_without(rest, still_open["slot_row"])["slot_row"])
        candidates = _marked(candidates, slots, still_open, chosen_items[-1])
    beaten = pd.concat(lost) if lost else pd.Series(dtype=np.int64)
    ledger += [ledger_rows(rule, _without(rows, beaten), params) for rule, rows in stopped]
    items = pd.concat(chosen_items) if chosen_items else candidates.assign(rank=0)[:0]
    return Choice(
        pd.concat(chosen, ignore_index=True)
        if chosen
        else slots.assign(expected_value=0.0, propensity=1.0)[:0],
        items[["slot_row", "rank", "item_id", "score"]].astype({"item_id": object}).reset_index(drop=True),
        pd.concat(ledger, ignore_index=True) if ledger else pd.DataFrame(),
    )


def _offers(candidates: pd.DataFrame, params: PolicyParams) -> tuple[pd.DataFrame, Stopped]:
    """(the best allowed items of each slot with `rank`, what item rules kept out of the top, by rule)."""
    stopped: Stopped = []
    for rule in ITEM_RULES:
        kept = kept_by(rule, candidates, params)
        would_have_made_it = ~kept & (candidates["place"].to_numpy() < params.max_items)
        stopped.append((rule, candidates[would_have_made_it]))
        candidates = candidates[kept]
    rank = candidates.groupby("slot_row", sort=False).cumcount() + 1
    return candidates.assign(rank=rank)[(rank <= params.max_items).to_numpy()], stopped


def _picked(
    slots: pd.DataFrame, offers: pd.DataFrame, params: PolicyParams, plan_date: date, push_of_day: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(one slot a user with `propensity` and `tried`, its items with the pick at rank 1)."""
    slots = slots.sort_values(["user_code", "slot_order"], ignore_index=True)
    order = slots.sort_values(
        ["user_code", "expected_value", "p_engage", "slot_order"], ascending=[True, False, False, True]
    )
    best = order.drop_duplicates("user_code").index.to_numpy()
    if params.exploration_share == 0:
        picked = slots.loc[best].assign(propensity=1.0, tried=False)
        return picked, offers[offers["slot_row"].isin(picked["slot_row"]).to_numpy()]
    first = np.flatnonzero(~slots["user_code"].duplicated())
    draw = draws(slots["user_id"].iloc[first].tolist(), plan_date, push_of_day)
    options = np.diff(np.append(first, len(slots)))
    slot, likely = soft_choice(options, best - first, draw[:, 0], params)
    picked = slots.iloc[first + slot]
    offers = offers[offers["slot_row"].isin(picked["slot_row"]).to_numpy()]
    row = pd.Series(np.arange(len(picked)), index=picked["slot_row"].to_numpy())
    of_push = row.reindex(offers["slot_row"]).to_numpy(dtype=np.int64)
    items = np.bincount(of_push, minlength=len(picked))
    lead, lead_likely = soft_choice(items, np.zeros_like(items), draw[:, 1], params)
    picked = picked.assign(propensity=likely * lead_likely, tried=slot != best - first)
    return picked, _led(offers, lead[of_push])


def _led(offers: pd.DataFrame, lead: Longs) -> pd.DataFrame:
    """`offers` with the item of each push that lies `lead` places after the best moved before it."""
    rank = offers["rank"].to_numpy()
    moved = np.where(rank == lead + 1, 1, rank + (rank <= lead))
    return offers.assign(rank=moved).sort_values(["slot_row", "rank"])


def _passing(
    rules: Sequence[Rule], rows: pd.DataFrame, params: PolicyParams, ledger: list[pd.DataFrame]
) -> pd.DataFrame:
    for rule in rules:
        kept = kept_by(rule, rows, params)
        ledger.append(ledger_rows(rule, rows[~kept], params))
        rows = rows[kept]
    return rows


def _without(rows: pd.DataFrame, slot_rows: pd.Series) -> pd.DataFrame:
    return rows[~rows["slot_row"].isin(slot_rows).to_numpy()]


def _beside(rest: pd.DataFrame, best: pd.DataFrame) -> pd.DataFrame:
    """The users' other slots, now that each has one more push that day."""
    sent = np.sort(push_keys(best["user_code"].to_numpy(), best["send_epoch_seconds"].to_numpy()))
    near = hours_to_nearest(rest["user_code"].to_numpy(), rest["send_epoch_seconds"].to_numpy(), sent)
    words = best["slot"].astype(object) + np.where(best["tried"], " was tried instead", " is worth more")
    winner = rest["user_code"].map(pd.Series(words.to_numpy(), index=best["user_code"].to_numpy()))
    return rest.assign(
        pushes_that_day=rest["pushes_that_day"] + 1,
        pushes_that_week=rest["pushes_that_week"] + 1,
        recent_pushes=rest["recent_pushes"] + 1.0,
        hours_to_nearest_push=np.fmin(rest["hours_to_nearest_push"], near),
        chosen=winner,
    )


def _marked(
    candidates: pd.DataFrame, slots: pd.DataFrame, still_open: pd.DataFrame, pushed: pd.DataFrame
) -> pd.DataFrame:
    """Candidates of the slots still open, those just pushed to their user marked."""
    rows = candidates[candidates["slot_row"].isin(still_open["slot_row"]).to_numpy()]
    user_of = slots["user_code"].to_numpy()
    span = int(max(candidates["item_code"].max(), 0)) + 1 if len(candidates) else 1
    taken = user_of[pushed["slot_row"]] * span + pushed["item_code"].to_numpy()
    again = np.isin(user_of[rows["slot_row"]] * span + rows["item_code"].to_numpy(), taken)
    return rows.assign(pushed_that_day=rows["pushed_that_day"].to_numpy() | again)
