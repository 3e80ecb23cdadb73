"""What could be pushed in each slot: its candidates, best first, with what the item rules read of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.calendar import DAYPARTS
from features.errors import KairosError
from features.scenes import SCENE_PARTS, UNKNOWN
from models.groups import best_first
from models.policy.columns import Columns, Level, Longs, Values
from models.policy.facts import PolicyContext, codes_of, sorted_codes
from models.policy.item_facts import item_facts, purchase_facts
from models.policy.params import PolicyParams
from models.price_medians import filled_prices, price_medians


@dataclass(frozen=True)
class OfferedItems:
    """Candidates by slot, then falling score, then item.

    Attributes:
        user_code, slot_order: Of each slot, which are ordered by them.
        scenes: `scene_<part>` of each slot.
        first: Each slot's first candidate; one more entry tells how many candidates there are.
        item_code: Each candidate's item.
        score: The ranker's, and
        value: what one engaged user's purchase chance of the candidate is worth.
        facts: (slot_row, item_id, category, category_code) and what the item rules read.
        prices_imputed: Candidates given, reachable or not, whose price was missing.
    """

    user_code: Longs
    slot_order: Longs
    scenes: dict[str, Values]
    first: Longs
    item_code: Longs
    score: NDArray[np.float64]
    value: NDArray[np.float64]
    facts: Columns
    prices_imputed: int

    @property
    def slot_row(self) -> Longs:
        """Each candidate's slot."""
        return np.asarray(self.facts.own["slot_row"])


def offered_items(
    scored: pd.DataFrame,
    user_ids: pd.Index,
    reachable: NDArray[np.bool_],
    context: PolicyContext,
    params: PolicyParams,
) -> OfferedItems:
    """The candidates of the users who may be reached.

    Args:
        scored: As `build_plan` takes it, in any order.
        user_ids: Everybody.
        reachable: One bool each.

    Raises:
        KairosError: A repeated candidate.
    """
    usual = context.usual_prices
    if usual is None:
        usual = price_medians(scored["price"], scored["category"])
    prices, imputed = filled_prices(scored["price"], scored["category"], usual)
    rows = np.flatnonzero(reachable[codes_of(user_ids, scored["user_id"])])
    own = scored if len(rows) == len(scored) else scored.iloc[rows]
    slot = codes_of(user_ids, own["user_id"]) * len(DAYPARTS) + codes_of(pd.Index(DAYPARTS), own["slot"])
    item, item_ids = sorted_codes(own["item_id"])
    _refuse_repeated(slot * max(len(item_ids), 1) + item)
    score = own["score"].to_numpy(dtype=float)
    order = best_first(slot, score, item)
    slot, item = slot[order], item[order]
    begins = np.flatnonzero(np.diff(slot, prepend=-1))
    first = np.append(begins, len(slot))
    user, place = np.divmod(slot[begins], len(DAYPARTS))
    worth = own["p_item"].to_numpy(dtype=float) * prices[rows] * params.margin
    category, categories = sorted_codes(own["category"])
    category = category[order]
    return OfferedItems(
        user,
        place,
        {f"scene_{part}": _scene_part(own, part, order[begins]) for part in SCENE_PARTS},
        first,
        item,
        score[order],
        worth[order],
        Columns(
            len(slot),
            {
                "slot_row": np.repeat(np.arange(len(begins)), np.diff(first)),
                "category_code": category,
                **purchase_facts(slot // len(DAYPARTS), item, user_ids, item_ids, context),
            },
            (
                item_facts(item, item_ids, context),
                Level(category, {"category": np.array([*categories, None], dtype=object)}),
            ),
        ),
        imputed,
    )


def _refuse_repeated(keys: Longs) -> None:
    ordered = np.sort(keys)
    if (ordered[1:] == ordered[:-1]).any():
        raise KairosError("some candidates are repeated; score each user, slot and item once.")


def _scene_part(scored: pd.DataFrame, part: str, rows: Longs) -> Values:
    """One part of the scene assumed in each slot; 'unknown' where nobody tells it."""
    if part not in scored:
        return np.full(len(rows), UNKNOWN, dtype=object)
    return scored[part].iloc[rows].to_numpy(dtype=object)
