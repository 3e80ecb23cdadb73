"""What is known of a brand-new user, item or scene: which features are missing, and which have a prior."""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.tables import FEATURE_TABLES, ON_DEMAND

NOW = 1_490_000_000.0
USER = {"user_id"}
ITEM = {"item_id"}


def answers(new: set[str]) -> pd.Series:
    """Every on-demand feature at a request whose keys in `new` were never seen, all others often."""
    stored: dict[str, object] = {}
    for table in FEATURE_TABLES:
        unknown = bool(set(table.keys) & new)
        for column in table.columns:
            if column.dtype == "str":
                stored[column.name] = None if unknown else "display"
            elif unknown:
                stored[column.name] = np.nan
            elif column.name.endswith("_epoch_seconds"):
                back = (
                    20.0 if column.name.endswith(("_first_epoch_seconds", "_starts_epoch_seconds")) else 2.0
                )
                stored[column.name] = NOW - back * 86_400.0
            else:
                stored[column.name] = 8.0 if len(table.keys) == 1 else 2.0
    request = {"request_epoch_seconds": NOW, "local_day": 17_240.0, "local_hour": 17.0, "country": "US"}
    found = {}
    for view in ON_DEMAND:
        inputs = {
            c.name: [stored[c.name]] for t in FEATURE_TABLES if t.name in view.tables for c in t.columns
        }
        row = view.transform(pd.DataFrame(inputs | {name: [request[name]] for name in view.request})).iloc[0]
        found |= {column.name: row[column.name] for column in view.columns}
    return pd.Series(found)


def missing(new: set[str]) -> set[str]:
    found = answers(new)
    known = answers(set())
    return {name for name in found.index if pd.isna(found[name]) and not pd.isna(known[name])}


def test_what_is_missing_for_a_new_user() -> None:
    of_scenes = {
        f"user_{scene}_days_since_last"
        for scene in ("device", "network", "region", "store", "channel", "weather")
    }
    of_repeats = {
        f"user_{what}_{name}"
        for what in ("item", "category")
        for name in (*("days_since_last", "mean_gap_days", "last_gap_days", "due", "share", "recent_share"),)
    }
    assert missing(USER) == of_scenes | of_repeats | {
        *("user_trend", "user_days_since_last", "user_mean_gap_days", "user_due", "user_tenure_days"),
        *("user_items_per_session", "user_amount_per_session"),
        *("user_item_units", "user_item_share_of_category"),
        *("user_push_days_since_sent", "user_push_days_since_open", "user_push_dismiss_rate"),
    }


def test_a_new_user_is_taken_for_everybody() -> None:
    found = answers(USER)
    assert found["user_daypart_share"] == found["daypart_share"] == found["user_push_daypart_share"]
    assert found["user_weekday_share"] == found["weekday_share"]
    assert found["user_push_open_rate"] == 1.0, "everybody's, here one open a push"
    assert found["user_device_share"] == 1.0, "the scene's part of all sessions"
    rates = [name for name in found.index if name.startswith("user_") and "_rate_" in name]
    assert len(rates) > 8
    assert all(found[name] == 0.0 for name in rates), "none yet is known to be none"


def test_what_is_missing_for_a_new_item() -> None:
    of_scenes = {
        f"item_{scene}_share_90d" for scene in ("device", "network", "region", "store", "channel", "weather")
    } | {
        f"item_{scene}_{name}"
        for scene in ("region", "store")
        for name in ("days_since_sold", "mean_gap_days", "absence", "part_of_item")
    }
    windows = {f"item_trend_{window}" for window in ("1d", "7d", "30d")}
    windows |= {f"item_price_{window}" for window in ("1d", "2d", "3d", "7d")}
    of_repeats = {f"user_item_{n}" for n in ("days_since_last", "mean_gap_days", "last_gap_days", "due")}
    assert missing(ITEM) == of_scenes | windows | of_repeats | {
        *("item_trend", "item_age_days", "item_days_since_sold", "item_price", "item_share_90d"),
        *("user_item_share", "user_item_units"),
        *("promo_days_since_end",),
    }


def test_a_new_item_is_taken_for_its_category() -> None:
    found = answers(ITEM)
    for what in ("daypart", "weekday"):
        assert found[f"item_{what}_share"] == found[f"category_{what}_share"]
        assert found[f"item_{what}_lift"] == 1.0
    for scene in ("device", "network", "region", "channel", "weather"):
        assert found[f"item_{scene}_lift"] == found[f"category_{scene}_lift"]
    assert found["promo_phase"] == "none" and found["promo_active"] == 0.0
    assert found["item_rate_90d"] == 0.0 and found["item_share_of_category"] == 0.0


def test_what_is_missing_in_a_new_store() -> None:
    of_item = {f"item_store_{name}" for name in ("rate_90d", "share_30d", "days_since_sold", "mean_gap_days")}
    of_user = {f"user_store_{name}" for name in ("share", "rate_90d", "days_since_last")}
    of_item |= {"item_store_absence", "item_store_part_of_item"}
    windows = {f"store_trend_{window}" for window in ("1h", "1d", "7d", "30d")}
    assert missing({"store_id"}) == of_item | of_user | windows


def test_null_means_what_the_declaration_says() -> None:
    """A column that says what missing means for a newcomer is missing then, and no other one is."""
    everything = {key for table in FEATURE_TABLES for key in table.keys}
    gone = answers(everything)
    for view in ON_DEMAND:
        for column in view.columns:
            never = column.null_means == "never null"
            by_country = "country" in column.null_means
            assert pd.isna(gone[column.name]) == (not never and not by_country), column.name
