"""Which pushes are made: item rules, expected value, and each user's best slots within the daily cap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from models.policy.facts import hours_to_nearest, push_keys
from models.policy.params import PolicyParams
from models.policy.registry import AFTER_A_CHOICE_RULES, ITEM_RULES, PUSH_RULES
from models.policy.rule import Rule, kept_by, ledger_rows

Stopped = list[tuple[Rule, pd.DataFrame]]


@dataclass(frozen=True)
class Choice:
    """The chosen pushes and what lost.

    Attributes:
        pushes: Chosen rows of `slots`, with `slot_row` and `expected_value`.
        items: (slot_row, rank from 1, item_id, score), one row an item of a chosen push.
        suppressions: Ledger rows of items and slots that lost.
    """

    pushes: pd.DataFrame
    items: pd.DataFrame
    suppressions: pd.DataFrame


def choose_pushes(slots: pd.DataFrame, candidates: pd.DataFrame, params: PolicyParams) -> Choice:
    """The best slots of each user, one round a push of the day, until the cap or the slots are used up.

    Args:
        slots: Slots that policy left open, index 0..n-1, with the facts of `slot_facts`.
        candidates: (slot_row, place, user_id, slot, item_id, item_code, category, category_code, score,
            value) plus item facts, by slot and falling score; `place` counts from 0 within the slot and
            `value` is what one engaged user's purchase chance of the item is worth.
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
        still_open = still_open.assign(
            expected_value=still_open["p_engage"] * worth.reindex(still_open["slot_row"]).to_numpy()
        )
        still_open = _passing(PUSH_RULES, still_open, params, ledger)
        best = still_open.sort_values(
            ["user_code", "expected_value", "p_engage", "slot_order"], ascending=[True, False, False, True]
        ).drop_duplicates("user_code")
        chosen.append(best)
        chosen_items.append(offers[offers["slot_row"].isin(best["slot_row"])])
        rest = _without(still_open, best["slot_row"])
        still_open = _passing(AFTER_A_CHOICE_RULES, _beside(rest, best), params, ledger)
        lost.append(_without(rest, still_open["slot_row"])["slot_row"])
        candidates = _marked(candidates, slots, still_open, chosen_items[-1])
    beaten = pd.concat(lost) if lost else pd.Series(dtype=np.int64)
    ledger += [ledger_rows(rule, _without(rows, beaten), params) for rule, rows in stopped]
    items = pd.concat(chosen_items) if chosen_items else candidates.assign(rank=0)[:0]
    return Choice(
        pd.concat(chosen, ignore_index=True) if chosen else slots.assign(expected_value=0.0)[:0],
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
    winner = rest["user_code"].map(best.set_index("user_code")["slot"])
    return rest.assign(
        pushes_that_day=rest["pushes_that_day"] + 1,
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
