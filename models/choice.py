"""Which pushes are made: item rules, expected value, and each user's best slots within the caps.

Now and then a slot or the first item is chosen by chance instead, where exploration is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.best_offers import BestOffers, Offers
from models.offered_items import OfferedItems
from models.policy.below_value import push_costs
from models.policy.columns import Columns, Longs
from models.policy.exploration import draws, soft_choice
from models.policy.facts import hours_to_nearest, push_keys
from models.policy.params import PolicyParams
from models.policy.registry import AFTER_A_CHOICE_RULES, PUSH_RULES
from models.policy.rule import passing

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Choice:
    """The chosen pushes and what lost.

    Attributes:
        rows: Row numbers of the chosen slots.
        expected_value: Of each, costs taken off.
        propensity: How likely this slot with this first item was to be chosen, the day's earlier choices
            given.
        offers: Their items.
        suppressions: Ledger rows of items and slots that lost.
    """

    rows: Longs
    expected_value: Doubles
    propensity: Doubles
    offers: Offers
    suppressions: list[pd.DataFrame]


def choose_pushes(
    slots: Columns, is_open: Longs, offered: OfferedItems, params: PolicyParams, plan_date: date
) -> Choice:
    """The best slots of each user, one round a push of the day, until the cap or the slots are used up.

    Args:
        slots: From `slot_facts`, with `p_engage`, by user and time of day.
        is_open: Rows of the slots that policy left open.
        offered: The candidates of `slots`.
        plan_date: With the user it seeds what is chosen by chance.
    """
    ledger: list[pd.DataFrame] = []
    picks: list[_Pick] = []
    best = BestOffers(offered, slots, params)
    reach = slots.column("p_reach")
    chance = np.where(np.isnan(reach), slots.column("p_engage"), reach)
    user = slots.column("user_code")
    slots = slots.with_own(
        **{name: slots.column(name) for name in ("pushes_that_day", "pushes_that_week")},
        chosen=np.full(slots.length, None, dtype=object),
    )
    still_open = is_open
    while len(still_open):
        offers = best.of(still_open)
        worth = np.bincount(offers.slot_row, offered.value[offers.rows], minlength=slots.length)
        has_any = np.bincount(offers.slot_row, minlength=slots.length) > 0
        cost = push_costs(slots.column("recent_pushes"), params)
        slots = slots.with_own(expected_value=chance * worth - cost, push_cost=cost)
        still_open = passing(PUSH_RULES, slots, still_open[has_any[still_open]], params, ledger)
        pick = _picked(slots, still_open, offers, params, plan_date, len(picks))
        picks.append(pick)
        is_rest = np.zeros(slots.length, dtype=bool)
        is_rest[still_open] = True
        is_rest[pick.rows] = False
        rest = np.flatnonzero(is_rest)
        slots = _beside(slots, rest, pick)
        still_open = passing(AFTER_A_CHOICE_RULES, slots, rest, params, ledger)
        best.lose(np.setdiff1d(rest, still_open, assume_unique=True))
        best.mark_pushed(user[still_open], still_open, pick.offers)
    nothing = np.zeros(0)
    return Choice(
        np.concatenate([nothing.astype(np.int64), *(pick.rows for pick in picks)]),
        np.concatenate([nothing, *(pick.expected_value for pick in picks)]),
        np.concatenate([nothing, *(pick.propensity for pick in picks)]),
        Offers.joined([pick.offers for pick in picks]),
        [*ledger, *best.suppressions()],
    )


@dataclass(frozen=True)
class _Pick:
    """One push a user: its slot, whether chance chose it, and its items with the first one at rank 1."""

    rows: Longs
    expected_value: Doubles
    propensity: Doubles
    tried: NDArray[np.bool_]
    offers: Offers


def _picked(
    slots: Columns, rows: Longs, offers: Offers, params: PolicyParams, plan_date: date, push_of_day: int
) -> _Pick:
    """One of each user's `rows`, which are ordered by user and time of day."""
    user = slots.column("user_code", rows)
    first = np.flatnonzero(np.diff(user, prepend=-1))
    value, p_engage = slots.column("expected_value"), slots.column("p_engage", rows)
    by_worth = np.lexsort([np.arange(len(rows)), -p_engage, -value[rows], user])
    best = by_worth[first]
    if params.exploration_share == 0:
        chosen = rows[best]
        sure = np.ones(len(chosen))
        return _Pick(chosen, value[chosen], sure, np.zeros(len(chosen), dtype=bool), offers.inside(chosen))
    draw = draws(slots.column("user_id", rows[first]).tolist(), plan_date, push_of_day)
    slot, likely = soft_choice(np.diff(np.append(first, len(rows))), best - first, draw[:, 0], params)
    chosen = rows[first + slot]
    inside = offers.inside(chosen)
    of_push = np.searchsorted(chosen, inside.slot_row)
    items = np.bincount(of_push, minlength=len(chosen))
    lead, lead_likely = soft_choice(items, np.zeros_like(items), draw[:, 1], params)
    tried = slot != best - first
    return _Pick(chosen, value[chosen], likely * lead_likely, tried, inside.led(lead[of_push]))


def _beside(slots: Columns, rest: Longs, pick: _Pick) -> Columns:
    """The slots, now that the users of `rest` have one more push that day."""
    user = slots.column("user_code")
    winner = user[pick.rows]
    sent = np.sort(push_keys(winner, slots.column("send_epoch_seconds", pick.rows)))
    near = hours_to_nearest(user[rest], slots.column("send_epoch_seconds", rest), sent)
    why = np.array([" is worth more", " was tried instead"], dtype=object)[pick.tried.astype(np.int64)]
    words = slots.column("slot", pick.rows) + why
    changed = {
        "pushes_that_day": slots.column("pushes_that_day", rest) + 1,
        "pushes_that_week": slots.column("pushes_that_week", rest) + 1,
        "recent_pushes": slots.column("recent_pushes", rest) + 1.0,
        "hours_to_nearest_push": np.fmin(slots.column("hours_to_nearest_push", rest), near),
        "chosen": words[np.searchsorted(winner, user[rest])],
    }
    columns = {name: slots.column(name).copy() for name in changed}
    for name, values in changed.items():
        columns[name][rest] = values
    return slots.with_own(**columns)
