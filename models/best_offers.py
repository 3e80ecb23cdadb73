"""The best items that policy allows in each slot, and which better ones it kept out.

Whether an item may go depends on the items before it alone, so a look at the best few of a slot is enough,
and only where too few of them pass is the whole slot gone through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from models.groups import place_within, rows_between
from models.offered_items import OfferedItems
from models.policy.columns import Columns, Level, Longs
from models.policy.params import PolicyParams
from models.policy.registry import ITEM_RULES
from models.policy.rule import kept_rows, stopped_rows

_LOOK = 2  # times the items of a push: how far down a slot one looks first
_KEPT = -1


@dataclass(frozen=True)
class Offers:
    """Items of pushes that could be made, by slot and rank.

    Attributes:
        rows: Row numbers of candidates.
        slot_row: Each one's slot.
        rank: From 1.
    """

    rows: Longs
    slot_row: Longs
    rank: Longs

    @classmethod
    def joined(cls, parts: Sequence[Offers]) -> Offers:
        """All of them, in this order."""
        nothing = np.zeros(0, dtype=np.int64)
        columns = ("rows", "slot_row", "rank")
        return cls(*(np.concatenate([nothing, *(getattr(part, name) for part in parts)]) for name in columns))

    def inside(self, slots: Longs) -> Offers:
        """Those of these slots."""
        wanted = np.isin(self.slot_row, slots)
        return Offers(self.rows[wanted], self.slot_row[wanted], self.rank[wanted])

    def led(self, lead: Longs) -> Offers:
        """The same with the item of each push that lies `lead` places after the best moved before it.

        Args:
            lead: One number an item, the same for all of a push.
        """
        rank = np.where(self.rank == lead + 1, 1, self.rank + (self.rank <= lead))
        order = np.lexsort([rank, self.slot_row])
        return Offers(self.rows[order], self.slot_row[order], rank[order])


class BestOffers:
    """Asks the item rules, as often as there are pushes to choose, and keeps what they stopped."""

    def __init__(self, offered: OfferedItems, slots: Columns, params: PolicyParams) -> None:
        self._offered = offered
        self._params = params
        self._pushed = np.zeros(offered.facts.length, dtype=bool)
        self._stopped_by = np.full(offered.facts.length, _KEPT, dtype=np.int8)
        keys = {name: slots.column(name) for name in ("user_id", "slot")}
        facts = offered.facts.with_own(pushed_that_day=self._pushed)
        self._facts = Columns(facts.length, facts.own, (*facts.levels, Level(offered.slot_row, keys)))

    def of(self, slots: Longs) -> Offers:
        """The best allowed items of each of `slots`, which ascend.

        What would have made it but for a rule is remembered; what was, of the same slots, is forgotten.
        """
        first, last = self._offered.first[slots], self._offered.first[slots + 1]
        most = self._params.max_items
        near = np.minimum(last, first + _LOOK * most)
        kept = self._allowed(rows_between(first, near))
        passed = np.bincount(self._offered.slot_row[kept], minlength=len(self._offered.first))[slots]
        deep = (passed < most) & (near < last)
        if deep.any():
            again = self._allowed(rows_between(first[deep], last[deep]))
            shallow = kept[~np.isin(self._offered.slot_row[kept], slots[deep])]
            kept = np.sort(np.concatenate([shallow, again]))
        slot_row = self._offered.slot_row[kept]
        rank = place_within(slot_row) + 1
        best = rank <= most
        return Offers(kept[best], slot_row[best], rank[best])

    def lose(self, slots: Longs) -> None:
        """Nothing; another push beat these slots, so that their items need no ledger row."""
        self._stopped_by[self._rows_of(slots)] = _KEPT

    def mark_pushed(self, users: Longs, slots: Longs, pushed: Offers) -> None:
        """Nothing; what was just pushed to a user is not offered to them again that day.

        Args:
            users: Of each of `slots`.
            slots: Still open, ascending.
        """
        if len(slots) == 0:
            return
        offered = self._offered
        span = int(offered.item_code.max()) + 1
        taken = offered.user_code[pushed.slot_row] * span + offered.item_code[pushed.rows]
        rows = self._rows_of(slots)
        of_user = np.repeat(users, np.diff(offered.first)[slots])
        self._pushed[rows] |= np.isin(of_user * span + offered.item_code[rows], taken)

    def suppressions(self) -> list[pd.DataFrame]:
        """Ledger rows of the items that rules kept out, by rule."""
        return [
            stopped_rows(rule, self._facts, np.flatnonzero(self._stopped_by == number), self._params)
            for number, rule in enumerate(ITEM_RULES)
        ]

    def _allowed(self, rows: Longs) -> Longs:
        """The rows that pass every item rule."""
        first = self._offered.first[self._offered.slot_row[rows]]
        self._stopped_by[rows] = _KEPT
        would_make_it = rows - first < self._params.max_items
        for number, rule in enumerate(ITEM_RULES):
            kept = kept_rows(rule, self._facts, rows, self._params)
            self._stopped_by[rows[~kept & would_make_it]] = number
            rows, would_make_it = rows[kept], would_make_it[kept]
        return rows

    def _rows_of(self, slots: Longs) -> Longs:
        return rows_between(self._offered.first[slots], self._offered.first[slots + 1])
