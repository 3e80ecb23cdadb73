"""Scenes fall back on their parents: store < region < all, item < category < all."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.push import PUSH_AT_REQUEST
from features.scene_affinity import ITEM_SCENE, USER_SCENE
from features.scene_rhythm import SCENE_RHYTHM
from features.table import OnDemand
from features.tables import FEATURE_TABLES

NOW = 1_490_000_000.0


def asked(view: OnDemand, **known: float) -> pd.Series:
    """The view's answer where only these columns are known; `x_rate` stands for a decayed count now."""
    row: dict[str, object] = {"request_epoch_seconds": NOW, "local_day": 17_000.0, "local_hour": 10.0}
    for table in FEATURE_TABLES:
        for column in table.columns if table.name in view.tables else ():
            row[column.name] = None if column.dtype == "str" else np.nan
    for name, value in known.items():
        if name.endswith("_rate"):
            prefix = name.removesuffix("_rate")
            row |= {
                f"{prefix}_decayed_{days}d": value for days in (30, 90) if f"{prefix}_decayed_{days}d" in row
            }
            row |= {f"{prefix}_last_epoch_seconds": NOW, f"{prefix}_sessions": value}
        else:
            assert name in row, name
            row[name] = value
    return view.transform(pd.DataFrame([row])).iloc[0]


EVERYBODY = {"market_rate": 1_000.0, "item_rate": 20.0, "category_rate": 100.0}


def test_an_unknown_scene_is_like_everywhere() -> None:
    answer = asked(ITEM_SCENE, **EVERYBODY)
    for scene in ("device", "network", "region", "store", "channel", "weather"):
        assert answer[f"item_{scene}_lift"] == answer[f"category_{scene}_lift"] == 1.0
        assert answer[f"item_{scene}_share_90d"] == answer["item_share_90d"] == pytest.approx(0.02)
    assert np.isnan(answer["item_store_rate_90d"]) and np.isnan(answer["item_store_share_30d"])


def test_a_new_store_is_like_its_region() -> None:
    region = {"region_rate": 200.0, "item_region_rate": 12.0, "category_region_rate": 20.0}
    alone = asked(ITEM_SCENE, **EVERYBODY, **region)
    assert alone["item_region_lift"] == pytest.approx((12 + 5 * 1.0) / (4 + 5))
    assert alone["item_store_lift"] == pytest.approx(alone["item_region_lift"])
    assert alone["item_store_share_90d"] == pytest.approx(alone["item_region_share_90d"])
    told = asked(ITEM_SCENE, **EVERYBODY, **region, store_rate=100.0, item_store_rate=0.0)
    assert told["item_store_lift"] < alone["item_store_lift"]
    much = asked(ITEM_SCENE, **EVERYBODY | {"item_rate": 900.0}, store_rate=500.0, item_store_rate=900.0)
    assert much["item_store_lift"] == pytest.approx(2.0, rel=0.02), "with many sessions the store speaks"


def test_a_new_item_is_like_its_category() -> None:
    answer = asked(
        ITEM_SCENE, market_rate=1_000.0, category_rate=100.0, device_rate=500.0, category_device_rate=90.0
    )
    assert answer["category_device_lift"] == pytest.approx((90 + 5) / (50 + 5))
    assert answer["item_device_lift"] == answer["category_device_lift"]
    assert np.isnan(answer["item_device_share_90d"]) and np.isnan(answer["item_share_90d"])


def test_an_item_that_is_long_gone_from_a_shelf_is_absent() -> None:
    day = 86_400.0
    known = {
        "item_store_visits": 11.0,
        "item_store_first_epoch_seconds": NOW - 60 * day,
        "item_store_began_epoch_seconds": NOW - 40 * day,
        "item_store_last_epoch_seconds": NOW - 40 * day,
    }
    answer = asked(ITEM_SCENE, **EVERYBODY, **known)
    assert answer["item_store_mean_gap_days"] == pytest.approx(2.0)
    assert answer["item_store_absence"] == pytest.approx(20.0)


def test_a_users_share_of_a_store_follows_the_region() -> None:
    known = {"market_sessions": 1_000.0, "region_sessions": 100.0, "store_sessions": 50.0}
    new = asked(USER_SCENE, **known)
    assert new["user_region_share"] == pytest.approx(0.1)
    assert new["user_store_share"] == pytest.approx(0.05)
    local = asked(USER_SCENE, **known, user_sessions=18.0, user_region_sessions=18.0)
    assert local["user_region_share"] == pytest.approx((18 + 0.2) / 20)
    assert local["user_store_share"] == pytest.approx(2 * 0.91 * 0.5 / 20)
    lost = asked(USER_SCENE, market_sessions=1_000.0, user_sessions=18.0)
    assert np.isnan(lost["user_store_share"]) and np.isnan(lost["user_store_rate_90d"])


def test_a_scene_has_its_own_hours() -> None:
    shop = {"market_sessions": 10_000.0, "daypart_sessions": 2_000.0}
    everyones = asked(SCENE_RHYTHM, **shop)["store_daypart_share"]
    assert everyones == pytest.approx(0.2, abs=1e-3)
    region = asked(SCENE_RHYTHM, **shop, region_sessions=80.0, region_daypart_sessions=80.0)
    assert region["region_daypart_share"] == pytest.approx((80 + 20 * everyones) / 100)
    assert region["store_daypart_share"] == region["region_daypart_share"]
    assert region["device_daypart_share"] == everyones


def test_pushes_that_were_never_sent_are_missing() -> None:
    nobody = asked(PUSH_AT_REQUEST)
    assert (
        nobody[["user_push_days_since_sent", "user_push_days_since_open", "user_push_open_rate"]].isna().all()
    )
    assert nobody["user_push_sent_rate_30d"] == 0.0
    new = asked(PUSH_AT_REQUEST, market_push_sent_sessions=100.0, market_push_opened_sessions=20.0)
    assert new["user_push_open_rate"] == pytest.approx(0.2)
    assert np.isnan(new["user_push_dismiss_rate"])
    keen = asked(
        PUSH_AT_REQUEST,
        market_push_sent_sessions=100.0,
        market_push_opened_sessions=20.0,
        user_push_sent_sessions=10.0,
        user_push_opened_sessions=10.0,
        user_push_opened_daypart_sessions=7.0,
        user_push_opened_last_epoch_seconds=NOW - 86_400.0,
    )
    assert keen["user_push_open_rate"] == pytest.approx(0.6)
    assert keen["user_push_dismiss_rate"] == 0.0
    assert keen["user_push_days_since_open"] == 1.0
    assert keen["user_push_daypart_share"] == pytest.approx((7 + 3 / 6) / 13)
