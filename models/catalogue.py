"""The catalogue: the items that may be recommended at all, known before the first query is asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd

from features.errors import UsageError

UNKNOWN = "unknown"


@dataclass(frozen=True)
class CatalogueParams:
    """Which items are worth ranking.

    Attributes:
        min_users: Distinct users who must have bought the item before `as_of_epoch_seconds`.
        event_types: What counts as buying; a source that sells nothing has views at most.
        max_items: At most so many items, those with most users; None keeps all.
    """

    min_users: int = 30
    event_types: tuple[str, ...] = ("purchase",)
    max_items: int | None = None

    def __post_init__(self) -> None:
        if self.min_users < 1:
            raise UsageError(f"min_users == {self.min_users}, must be >= 1.")
        if self.max_items is not None and self.max_items < 1:
            raise UsageError(f"max_items == {self.max_items}, must be >= 1, or None to keep all.")


def eligible_items(
    interactions: pd.DataFrame,
    items: pd.DataFrame,
    *,
    as_of_epoch_seconds: int,
    params: CatalogueParams | None = None,
) -> pd.DataFrame:
    """Items that may be recommended, one row per item, sorted by item_id.

    An item qualifies when it is available, its category is known, and enough different users bought it
    early enough for its statistics to mean something.

    Args:
        interactions: Purchases with user_id, item_id, event_type and epoch_seconds.
        items: ITEMS rows with item_id, and available and category_path where the source has them.
        as_of_epoch_seconds: Purchases at or after this UTC instant are not counted.
        params: The bar an item must clear.

    Returns:
        (item_id, category, n_users); `n_users` counts distinct buyers before the instant.

    Raises:
        UsageError: No item qualifies.

    Examples:
        >>> bought = pd.DataFrame({"user_id": ["u", "v", "u"], "item_id": ["a", "a", "b"],
        ...                        "event_type": "purchase", "epoch_seconds": [1, 2, 3]})
        >>> listed = pd.DataFrame({"item_id": ["a", "b"], "category_path": ["food", "food"]})
        >>> eligible_items(bought, listed, as_of_epoch_seconds=9, params=CatalogueParams(min_users=2))
          item_id category  n_users
        0       a     food        2
    """
    params = params or CatalogueParams()
    category = _text_column(items, "category_path")
    known = category.notna() & ~category.isin(["", UNKNOWN])
    if not known.any():
        # A source without categories has nothing to exclude by: every item stays, as contracts.md promises.
        known[:] = True
    if "available" in items.columns:
        known &= items["available"].astype("boolean").fillna(True).to_numpy(dtype=bool)
    listed = pd.DataFrame(
        {"item_id": items.loc[known, "item_id"].astype("str"), "category": category[known].fillna(UNKNOWN)}
    ).drop_duplicates("item_id")

    early = interactions["epoch_seconds"].to_numpy() < as_of_epoch_seconds
    early &= interactions["event_type"].isin(params.event_types).to_numpy(dtype=bool)
    pairs = interactions.loc[early, ["user_id", "item_id"]].drop_duplicates()
    buyers = pairs["item_id"].astype("str").value_counts().rename("n_users")
    found = listed.merge(buyers[buyers >= params.min_users], left_on="item_id", right_index=True)
    if found.empty:
        raise UsageError(
            f"no item was bought by min_users == {params.min_users} users before "
            f"{datetime.fromtimestamp(as_of_epoch_seconds, UTC):%Y-%m-%d %H:%M} UTC; lower min_users "
            "(KAIROS_MIN_ITEM_USERS) or load more history."
        )
    if params.max_items is not None:
        found = found.sort_values(["n_users", "item_id"], ascending=[False, True]).head(params.max_items)
    return found.sort_values("item_id", ignore_index=True)


def _text_column(items: pd.DataFrame, name: str) -> pd.Series[str]:
    """The named column as text with missing values kept, all missing when the table lacks it."""
    if name not in items.columns:
        return pd.Series(pd.NA, index=items.index, dtype="object")
    return items[name].astype("object")
