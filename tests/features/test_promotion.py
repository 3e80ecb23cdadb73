"""Promotions from their first instant to their last, worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from features.promotion import HISTORY_DAYS, ITEM_STORE_PROMOTION, PROMOTION_AT_REQUEST, relevant_promotions

MONDAY = datetime(2017, 3, 6, tzinfo=UTC)
AS_OF = datetime(2017, 6, 1, tzinfo=UTC)


def promotions(*rows: tuple) -> pd.DataFrame:
    names = ["item_id", "store_id", "starts_at", "ends_at", "kind", "discount"]
    return pd.DataFrame(rows, columns=names).astype({"discount": "float64"})


def requested(seconds_after_start: float, days: float = 7.0, **columns: object) -> dict:
    start = MONDAY.timestamp()
    row = {
        "promo_kind": "mailer",
        "promo_ends_epoch_seconds": start + days * 86_400,
        "promo_discount": 0.25,
        "request_epoch_seconds": start + seconds_after_start,
        **columns,
    }
    return PROMOTION_AT_REQUEST.transform(pd.DataFrame([row])).iloc[0].to_dict()


def test_promotions_that_start_together_are_one_row(open_shop) -> None:
    week = timedelta(days=7)
    shop = open_shop(
        pd.DataFrame({"event_ts": [MONDAY], "user_id": ["u0"]}),
        promotions=promotions(
            ("i0", "s0", MONDAY, MONDAY + week, "mailer", 0.1),
            ("i0", "s0", MONDAY, MONDAY + 2 * week, "display", 0.3),
            ("i0", "s1", MONDAY, MONDAY + week, "display", None),
            ("i0", "s0", MONDAY + week, MONDAY + 2 * week, "display", None),
            ("i1", "unknown", MONDAY, MONDAY + week, "display", 0.5),
            (None, "s0", MONDAY, MONDAY + week, "display", 0.5),
            ("i1", None, MONDAY, MONDAY + week, "display", 0.5),
        ),
    )
    rows = ITEM_STORE_PROMOTION.build(shop.table("promotions"), MONDAY).df()
    rows = rows.sort_values(["store_id", "event_timestamp"], ignore_index=True)
    assert rows["store_id"].tolist() == ["s0", "s0", "s1"]
    assert rows["promo_kind"].tolist() == ["display|mailer", "display", "display"]
    assert rows["event_timestamp"].tolist() == [MONDAY, MONDAY + week, MONDAY]
    assert rows["promo_ends_epoch_seconds"].iloc[0] == (MONDAY + 2 * week).timestamp()
    assert rows["promo_discount"].iloc[0] == 0.3
    assert rows["promo_discount"].iloc[1:].isna().all()


@pytest.mark.parametrize(
    ("seconds", "active", "days_left"),
    [(0, 1.0, 7.0), (6.5 * 86_400, 1.0, 0.5), (7 * 86_400 - 1, 1.0, 1 / 86_400), (7 * 86_400, 0.0, np.nan)],
)
def test_a_promotion_runs_until_its_end(seconds: float, active: float, days_left: float) -> None:
    answer = requested(seconds)
    assert answer["promo_active"] == active
    assert answer["promo_days_left"] == pytest.approx(days_left, nan_ok=True)
    assert answer["promo_kind_active"] == ("mailer" if active else "none")
    assert answer["promo_discount_active"] == pytest.approx(0.25 if active else np.nan, nan_ok=True)


def test_no_promotion_and_no_discount_told() -> None:
    nothing = requested(0, promo_kind=None, promo_ends_epoch_seconds=np.nan, promo_discount=np.nan)
    assert (nothing["promo_active"], nothing["promo_kind_active"]) == (0.0, "none")
    untold = requested(0, promo_discount=np.nan)
    assert untold["promo_active"] == 1.0
    assert np.isnan(untold["promo_discount_active"])


@pytest.mark.parametrize(
    ("days_from_cut_off", "kept"),
    [(-HISTORY_DAYS - 1, False), (-HISTORY_DAYS, True), (0, True), (13, True), (14, False)],
)
def test_promotions_near_the_cut_off_are_relevant(open_shop, days_from_cut_off: int, kept: bool) -> None:
    start = AS_OF + timedelta(days=days_from_cut_off)
    announced = promotions(*[(item, "s0", start, start + timedelta(days=7), "mailer", 0.1) for item in "ab"])
    buyers = [(f"u{n}", "a", True) for n in range(10)] + [(f"u{n}", "b", True) for n in range(9)]
    buyers += [("u9", "b", False)] * 5
    shop = open_shop(pd.DataFrame({"event_ts": [MONDAY], "user_id": ["u0"]}), promotions=announced)
    bought = pd.DataFrame(buyers, columns=["user_id", "item_id", "available"])
    shop.register("interactions", bought)
    found = relevant_promotions(shop, AS_OF).df()
    assert found["item_id"].tolist() == (["a"] if kept else [])
