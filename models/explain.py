"""Why an item is in a push, in words a CRM manager understands.

LightGBM's contributions (SHAP values) are summed by reason code; the codes that speak most for the item are
told with the numbers of its features.

Source: Lundberg et al., "Consistent Individualized Feature Attribution for Tree Ensembles" (2018).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.reasons import BEST_MATCH, REASONS, Reason


def explain_items(
    features: pd.DataFrame,
    contributions: NDArray[np.float64],
    feature_names: Sequence[str],
    max_reasons: int = 3,
) -> list[list[dict[str, str]]]:
    """One list of {"code", "words"} a row, strongest first; never empty.

    Args:
        features: What the words quote: the model's features and, where known, the slot's `daypart`; one row a
            pushed item.
        contributions: (rows, features) or (rows, features + 1) as `pred_contrib` gives them.
        feature_names: Of the contributions' columns, in order.
        max_reasons: At most so many codes an item.

    Raises:
        ValueError: Shapes disagree.

    Examples:
        >>> bought = pd.DataFrame({"user_item_mean_gap_days": [9.0], "user_item_days_since_last": [10.2]})
        >>> explain_items(bought, np.array([[0.5, 0.1]]), list(bought.columns))
        [[{'code': 'due_again', 'words': 'bought every 9 days, last 10 days ago'}]]
    """
    if contributions.shape[0] != len(features) or contributions.shape[1] - len(feature_names) not in (0, 1):
        raise ValueError(
            f"contributions have shape {contributions.shape}, must be ({len(features)}, "
            f"{len(feature_names)}) or one column more; explain the rows that were scored."
        )
    of_feature = [reason_of(name) for name in feature_names]
    reasons = [reason for reason in dict.fromkeys(of_feature) if reason is not None]
    weights = np.stack(
        [
            contributions[:, [place for place, found in enumerate(of_feature) if found == reason]].sum(axis=1)
            for reason in reasons
        ]
        or [np.zeros(len(features))],
        axis=1,
    )
    order = np.argsort(-weights, axis=1, kind="stable")
    rows = features.to_dict("records")
    return [
        _reasons_of(row, [reasons[place] for place in places if weight[place] > 0], max_reasons)
        for row, weight, places in zip(rows, weights, order, strict=True)
    ]


def reason_of(feature_name: str) -> Reason | None:
    """The reason a feature belongs to: that of the longest matching prefix.

    Examples:
        >>> reason_of("user_item_due").code, reason_of("user_tenure_days")
        ('due_again', None)
    """
    matching = [prefix for prefix in REASONS if feature_name.startswith(prefix)]
    return REASONS[max(matching, key=len)] if matching else None


def _reasons_of(
    row: Mapping[Hashable, object], candidates: Sequence[Reason], max_reasons: int
) -> list[dict[str, str]]:
    told = []
    for reason in candidates:
        words = reason.words(row)
        if words is not None:
            told.append({"code": reason.code, "words": words})
        if len(told) == max_reasons:
            break
    return told or [dict(BEST_MATCH)]
