"""What the rules read of candidate items: the catalogue's word, the user's own purchases, switches."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.policy.facts import PolicyContext, codes_of
from models.policy.kill_switch import items_off


def item_facts(
    user_codes: NDArray[np.int64],
    item_codes: NDArray[np.int64],
    user_ids: pd.Index,
    item_ids: pd.Index,
    context: PolicyContext,
) -> pd.DataFrame:
    """One row a candidate.

    Returns:
        (in_catalogue, switched_off, available, stock, sensitive, days_since_bought, mean_gap_days).
    """
    catalogue = context.items.drop_duplicates("item_id").set_index("item_id")
    known = np.asarray(item_ids.isin(catalogue.index))
    rows = catalogue.reindex(item_ids)
    off = items_off(rows.assign(item_id=item_ids).reset_index(drop=True), context.stops)

    def number(name: str) -> NDArray[np.float64]:
        values = rows[name] if name in rows else pd.Series(np.nan, index=rows.index)
        return pd.to_numeric(values, errors="coerce").to_numpy(dtype=float, na_value=np.nan)[item_codes]

    last, gap = _purchase_facts(user_codes, item_codes, user_ids, item_ids, context.purchases)
    return pd.DataFrame(
        {
            "in_catalogue": known[item_codes],
            "switched_off": pd.Categorical(off).take(item_codes),
            "available": number("available"),
            "stock": number("stock"),
            "sensitive": number("sensitive") == 1.0,
            "days_since_bought": (context.as_of.timestamp() - last) / 86_400.0,
            "mean_gap_days": gap,
        }
    )


def _purchase_facts(
    user_codes: NDArray[np.int64],
    item_codes: NDArray[np.int64],
    user_ids: pd.Index,
    item_ids: pd.Index,
    purchases: pd.DataFrame,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(last purchase in epoch seconds, mean gap in days) of each (user, item) pair; nan if never bought."""
    users, items = codes_of(user_ids, purchases["user_id"]), codes_of(item_ids, purchases["item_id"])
    wanted = (users >= 0) & (items >= 0)
    bought = purchases[wanted]
    keys = users[wanted] * np.int64(len(item_ids)) + items[wanted]
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    sought = user_codes * np.int64(len(item_ids)) + item_codes
    never = np.full(len(sought), np.nan)
    if len(keys) == 0:
        return never, never.copy()
    place = np.minimum(np.searchsorted(keys, sought), len(keys) - 1)
    found = keys[place] == sought
    last, gap = (
        np.where(found, bought[name].to_numpy(dtype=float, na_value=np.nan)[order][place], np.nan)
        for name in ("last_bought_epoch_seconds", "mean_gap_days")
    )
    return last, gap
