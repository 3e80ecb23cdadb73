"""What decides the rankings at large, feature by feature and in the themes that a CRM manager thinks in.

Source: Lundberg et al., "From local explanations to global understanding with explainable AI" (2020).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.explain import reason_of

USER_AT_LARGE = "user"
OTHER = "other"
THEMES: Mapping[str, tuple[str, ...]] = {
    "What the user buys again and again": ("due_again", "recurring_taste"),
    "Categories the user buys from": ("category_habit",),
    "What goes with the user's purchases, what similar users buy": (
        *("bought_together", "similar_users", "similar_items", "expected"),
    ),
    "Promotions": ("promotion", "price_cut", "rivals"),
    "Time of day, weekday and season": (
        *("usual_time", "item_time", "item_day", "category_day", "season", "holiday", "payday"),
    ),
    "Store, region, device and channel": (
        *("store", "usual_store", "store_time", "region", "device", "network", "channel", "weather"),
    ),
    "What sells well, what is new, what is trending": (
        *("popular", "price", "trending", "new_item", "newcomers"),
    ),
    "Pushes sent and opened before": ("opens_pushes",),
    "How active the user is": (USER_AT_LARGE, "basket_size"),
    "Anything else": (OTHER,),
}
"""Titles and the reason codes under each; the order is that in which a person would tell it."""


def theme_of(feature_name: str) -> str:
    """The theme a feature belongs to, by its reason.

    Examples:
        >>> theme_of("promo_days_left"), theme_of("user_tenure_days")
        ('Promotions', 'How active the user is')
    """
    reason = reason_of(feature_name)
    code = reason.code if reason else USER_AT_LARGE if feature_name.startswith("user_") else OTHER
    return next((title for title, codes in THEMES.items() if code in codes), "Anything else")


def theme_shares(importance: Iterable[Mapping[str, Any]], value: str = "gain") -> list[dict[str, Any]]:
    """Each theme's part of the total importance, largest first.

    Args:
        importance: Rows with 'feature' and `value`, such as those of `Ranker.importance`.

    Returns:
        [{"theme", "share", "features": the most important first}]; shares add up to 1.

    Examples:
        >>> rows = [{"feature": "promo_active", "gain": 3.0}, {"feature": "season", "gain": 1.0}]
        >>> [(row["theme"], row["share"]) for row in theme_shares(rows)]
        [('Promotions', 0.75), ('Time of day, weekday and season', 0.25)]
    """
    frame = pd.DataFrame(list(importance), columns=["feature", value])
    total = float(frame[value].sum())
    if not total:
        return []
    frame = frame.assign(theme=frame["feature"].map(theme_of)).sort_values(value, ascending=False)
    rows = [
        {
            "theme": str(theme),
            "share": float(part[value].sum() / total),
            "features": [str(name) for name in part["feature"]],
        }
        for theme, part in frame.groupby("theme", sort=False)
    ]
    return sorted(rows, key=lambda row: (-float(str(row["share"])), str(row["theme"])))


def contribution_shares(
    contributions: NDArray[np.float64], feature_names: Sequence[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(by feature, by theme): mean absolute contributions as shares, largest first.

    A theme's features are added up in each row before the absolute value, so that two features which pull
    against each other count as little as they move together.

    Args:
        contributions: rows x features or rows x (features + 1), as `Ranker.contributions` gives them.
        feature_names: Of the columns, in order.

    Returns:
        [{"feature", "share"}] and [{"theme", "share"}].
    """
    names = list(feature_names)
    values = np.asarray(contributions, dtype=np.float64)[:, : len(names)]
    titles = list(THEMES)
    member = np.zeros((len(names), len(titles)))
    member[np.arange(len(names)), [titles.index(theme_of(name)) for name in names]] = 1.0
    by_feature = np.abs(values).mean(axis=0) if len(values) else np.zeros(len(names))
    by_theme = np.abs(values @ member).mean(axis=0) if len(values) else np.zeros(len(titles))
    return _shares("feature", names, by_feature), _shares("theme", titles, by_theme)


def _shares(key: str, names: Sequence[str], values: NDArray[np.float64]) -> list[dict[str, Any]]:
    total = float(values.sum())
    rows = [
        {key: name, "share": float(value / total)}
        for name, value in zip(names, values, strict=True)
        if value > 0
    ]
    return sorted(rows, key=lambda row: (-float(str(row["share"])), str(row[key])))
