"""Which items may be recommended."""

from __future__ import annotations

import pandas as pd
import pytest

from features.errors import UsageError
from models.catalogue import CatalogueParams, eligible_items

ITEMS = pd.DataFrame(
    {
        "item_id": ["a", "b", "c", "d", "e"],
        "category_path": ["x", "x", None, "x", "unknown"],
        "available": [True, None, True, False, True],
    }
)


def bought(rows):
    return pd.DataFrame(rows, columns=["user_id", "item_id", "epoch_seconds"]).assign(event_type="purchase")


def test_every_condition_bars_an_item():
    everywhere = bought([(user, item, 1) for user in "uv" for item in "abcde"])
    found = eligible_items(everywhere, ITEMS, as_of_epoch_seconds=2, params=CatalogueParams(min_users=2))
    assert found["item_id"].tolist() == ["a", "b"]
    assert found["n_users"].tolist() == [2, 2]


def test_only_distinct_early_buyers_count():
    rows = bought([("u", "a", 1), ("u", "a", 2), ("v", "a", 5), ("u", "b", 1), ("v", "b", 4)])
    found = eligible_items(rows, ITEMS, as_of_epoch_seconds=5, params=CatalogueParams(min_users=2))
    assert found["item_id"].tolist() == ["b"]
    views = rows.assign(event_type="view")
    with pytest.raises(UsageError, match="lower min_users"):
        eligible_items(views, ITEMS, as_of_epoch_seconds=9, params=CatalogueParams(min_users=1))


def test_a_source_that_sells_nothing_counts_what_it_has():
    views = bought([("u", "a", 1), ("v", "a", 2), ("u", "b", 1)]).assign(event_type="view")
    params = CatalogueParams(min_users=1, event_types=("view",))
    assert eligible_items(views, ITEMS, as_of_epoch_seconds=9, params=params)["n_users"].tolist() == [2, 1]
    few = CatalogueParams(min_users=1, event_types=("view",), max_items=1)
    assert eligible_items(views, ITEMS, as_of_epoch_seconds=9, params=few)["item_id"].tolist() == ["a"]
    with pytest.raises(UsageError, match="max_items == 0"):
        CatalogueParams(max_items=0)


def test_a_source_without_categories_or_stock_bars_nothing():
    rows = bought([("u", "a", 1), ("u", "c", 1)])
    found = eligible_items(
        rows, ITEMS[["item_id"]], as_of_epoch_seconds=5, params=CatalogueParams(min_users=1)
    )
    assert found[["item_id", "category"]].to_numpy().tolist() == [["a", "unknown"], ["c", "unknown"]]
