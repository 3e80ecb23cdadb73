"""Rule kill_switch: what somebody has stopped by hand is not planned, whatever it is worth.

The same switches are asked again when the gateway reads, for what was planned before.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.categories import in_category
from models.policy.params import PolicyParams
from models.policy.rule import Rule

STOP_COLUMNS = ("scope", "target", "why")
CHANNEL = "push"


def is_switched_on(rows: pd.DataFrame, params: PolicyParams) -> NDArray[np.bool_]:
    """Whether no switch stops the row; `switched_off` says which does, '' if none.

    Examples:
        >>> is_switched_on(pd.DataFrame({"switched_off": ["", "all: incident"]}), PolicyParams()).tolist()
        [True, False]
    """
    return np.asarray(rows["switched_off"] == "", dtype=bool)


def everything_off(stops: pd.DataFrame) -> str:
    """The switch that stops every push of a plan, '' when none does.

    Args:
        stops: `STOP_COLUMNS`, the switches that are on. Scope campaign stops no plan: an experiment is
            assigned later.

    Examples:
        >>> on = [("item", "i1", "recall"), ("all", "", "incident")]
        >>> stops = pd.DataFrame(on, columns=list(STOP_COLUMNS))
        >>> everything_off(stops), everything_off(stops[:1])
        ('everything: incident', '')
    """
    for scope, target, why in _rows(stops):
        if scope == "all":
            return f"everything: {why}"
        if scope == "channel" and target == CHANNEL:
            return f"channel {target}: {why}"
    return ""


def items_off(items: pd.DataFrame, stops: pd.DataFrame) -> pd.Series:
    """The switch that stops each item, '' where none does; one text a row of `items`.

    Args:
        items: (item_id, category_path); without `category_path` no category is known.
        stops: `STOP_COLUMNS`.

    Examples:
        >>> items = pd.DataFrame({"item_id": ["i1", "i2"], "category_path": ["food > fish", "home"]})
        >>> stops = pd.DataFrame([("category", "food", "recall")], columns=list(STOP_COLUMNS))
        >>> items_off(items, stops).tolist()
        ['category food: recall', '']
    """
    off = pd.Series("", index=items.index, dtype=object)
    for scope, target, why in _rows(stops):
        if scope == "item":
            hit = items["item_id"].astype("object") == target
        elif scope == "category" and "category_path" in items:
            hit = in_category(items["category_path"], target)
        else:
            continue
        off = off.mask(hit & (off == ""), f"{scope} {target}: {why}")
    return off


def _rows(stops: pd.DataFrame) -> list[tuple[str, str, str]]:
    listed = stops[list(STOP_COLUMNS)].to_numpy(dtype=object)
    return [(str(scope), str(target), str(why)) for scope, target, why in listed]


def _words(rows: pd.DataFrame, params: PolicyParams) -> list[str]:
    return rows["switched_off"].astype(str).tolist()


KILL_SWITCH = Rule("kill_switch", ("switched_off",), is_switched_on, _words)
