"""What the rules read of candidate items: the catalogue's word, switches, the user's own purchases."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.policy.columns import Level, Longs, Values
from models.policy.facts import PolicyContext, codes_of
from models.policy.kill_switch import items_off

Doubles = NDArray[np.float64]


def item_facts(of_row: Longs, item_ids: pd.Index, context: PolicyContext) -> Level:
    """(item_id, in_catalogue, switched_off, available, stock, sensitive), one of each an item.

    Args:
        of_row: Each candidate's item, a place in `item_ids`.
    """
    catalogue = context.items.drop_duplicates("item_id").set_index("item_id")
    rows = catalogue.reindex(item_ids)
    off = items_off(rows.assign(item_id=item_ids).reset_index(drop=True), context.stops)

    def number(name: str) -> Doubles:
        values = rows[name] if name in rows else pd.Series(np.nan, index=rows.index)
        return pd.to_numeric(values, errors="coerce").to_numpy(dtype=float, na_value=np.nan)

    return Level(
        of_row,
        {
            "item_id": item_ids.to_numpy(),
            "in_catalogue": np.asarray(item_ids.isin(catalogue.index)),
            "switched_off": off.to_numpy(dtype=object),
            "available": number("available"),
            "stock": number("stock"),
            "sensitive": number("sensitive") == 1.0,
        },
    )


def purchase_facts(
    user_codes: Longs, item_codes: Longs, user_ids: pd.Index, item_ids: pd.Index, context: PolicyContext
) -> dict[str, Values]:
    """(days_since_bought, mean_gap_days) of each (user, item) pair; nan if never bought."""
    purchases = context.purchases
    users, items = codes_of(user_ids, purchases["user_id"]), codes_of(item_ids, purchases["item_id"])
    wanted = (users >= 0) & (items >= 0)
    bought = purchases[wanted]
    keys = users[wanted] * np.int64(len(item_ids)) + items[wanted]
    if len(keys) == 0:
        never = np.broadcast_to(np.float64(np.nan), len(user_codes))
        return {"days_since_bought": never, "mean_gap_days": never}
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    sought = user_codes * np.int64(len(item_ids)) + item_codes
    place = np.minimum(np.searchsorted(keys, sought), len(keys) - 1)
    found = keys[place] == sought
    last, gap = (
        np.where(found, bought[name].to_numpy(dtype=float, na_value=np.nan)[order][place], np.nan)
        for name in ("last_bought_epoch_seconds", "mean_gap_days")
    )
    return {"days_since_bought": (context.as_of.timestamp() - last) / 86_400.0, "mean_gap_days": gap}
