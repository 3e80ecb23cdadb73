"""Promotions from their announcement to a week after their end: tables by hand, phases by property."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.promotion import (
    ANNOUNCED_DAYS,
    HISTORY_DAYS,
    ITEM_PROMOTION,
    ITEM_REGION_PROMOTION,
    ITEM_STORE_PROMOTION,
    PROMOTION_TABLES,
    REMEMBERED_DAYS,
    relevant_promotions,
)
from features.promotion_phase import PHASES, PROMOTION_AT_REQUEST, SCOPES

MONDAY = datetime(2017, 3, 6, tzinfo=UTC)
AS_OF = datetime(2017, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
WEEK = 7 * DAY
NAMES = ["item_id", "category_path", "region", "store_id", "starts_at", "ends_at", "kind", "discount"]


def promotions(*rows: tuple) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=NAMES).astype({"discount": "float64"})
    texts = ["item_id", "category_path", "region", "store_id", "kind"]
    times = ["starts_at", "ends_at"]
    return frame.astype(dict.fromkeys(texts, "string") | dict.fromkeys(times, "datetime64[us, UTC]"))


def shop_with(open_shop, *rows: tuple, items: pd.DataFrame | None = None):
    more = {} if items is None else {"items": items}
    events = pd.DataFrame({"event_ts": [MONDAY], "user_id": ["u0"]})
    return open_shop(events, promotions=promotions(*rows), **more)


def at(scope: str, table: pd.DataFrame, moment: datetime) -> dict:
    """The request's answer at `moment` from the newest of the table's rows; nothing elsewhere."""
    known = table[table["event_timestamp"] <= moment].sort_values("event_timestamp").tail(1)
    row: dict[str, object] = {"request_epoch_seconds": moment.timestamp()}
    for other, declared in zip(SCOPES, PROMOTION_TABLES, strict=True):
        for column in declared.columns:
            empty = None if column.dtype == "str" else np.nan
            row[column.name] = known[column.name].iloc[0] if other == scope and len(known) else empty
    return PROMOTION_AT_REQUEST.transform(pd.DataFrame([row])).iloc[0].to_dict()


def test_one_row_a_start_and_one_an_announcement_that_is_news(open_shop) -> None:
    shop = shop_with(
        open_shop,
        ("i0", None, None, "s0", MONDAY, MONDAY + WEEK, "mailer", 0.1),
        ("i0", None, None, "s0", MONDAY, MONDAY + 2 * WEEK, "display", 0.3),
        ("i0", None, None, "s0", MONDAY + WEEK, MONDAY + 2 * WEEK, "display", None),
        ("i0", None, None, "s0", MONDAY + 5 * WEEK, MONDAY + 6 * WEEK, "mailer", None),
        ("i1", None, "r0", "unknown", MONDAY, MONDAY + WEEK, "display", 0.5),
        ("i1", None, None, None, MONDAY, MONDAY + WEEK, "coupon", 0.5),
    )
    relation = relevant_promotions(shop, MONDAY)
    rows = ITEM_STORE_PROMOTION.build(relation, MONDAY).df().sort_values("event_timestamp", ignore_index=True)
    weeks = [-1, 0, 1, 4, 5]  # announced, started; its end is the second one's start; announced, started
    assert rows["event_timestamp"].tolist()[:3] == [MONDAY + week * WEEK for week in weeks][:3]
    assert rows["promo_store_kind"].tolist()[1:3] == ["display|mailer", "display"]
    assert rows["promo_store_ends_epoch_seconds"].tolist()[1:3] == [(MONDAY + 2 * WEEK).timestamp()] * 2
    assert rows["promo_store_discount"].iloc[1] == 0.3
    following = rows["promo_store_next_epoch_seconds"].tolist()
    assert following[:2] == [MONDAY.timestamp(), (MONDAY + WEEK).timestamp()]
    assert np.isnan(following[2])
    assert len(ITEM_REGION_PROMOTION.build(relation, MONDAY).df()) == 2
    assert ITEM_PROMOTION.build(relation, MONDAY).df()["promo_all_kind"].dropna().tolist() == ["coupon"]


def test_a_category_means_its_items_and_those_of_what_is_below(open_shop) -> None:
    paths = {"a": "food", "b": "food > bread", "c": "foodstuff", "d": "drinks"}
    items = pd.DataFrame({"item_id": list(paths), "category_path": list(paths.values()), "available": True})
    shop = shop_with(open_shop, (None, "food", None, "s0", MONDAY, MONDAY + WEEK, "mailer", 0.1), items=items)
    assert sorted(relevant_promotions(shop, MONDAY).df()["item_id"]) == ["a", "b"]
    sold = shop.sql("SELECT 'b' AS item_id")
    assert relevant_promotions(shop, MONDAY, sold).df()["item_id"].tolist() == ["b"]


@pytest.mark.parametrize(
    ("days_from_cut_off", "kept"),
    [(-HISTORY_DAYS - 8, False), (-HISTORY_DAYS - 6, True), (0, True), (13, True), (14, False)],
)
def test_promotions_near_the_cut_off_are_relevant(open_shop, days_from_cut_off: int, kept: bool) -> None:
    start = AS_OF + timedelta(days=days_from_cut_off)
    shop = shop_with(open_shop, ("a", None, None, "s0", start, start + WEEK, "mailer", 0.1))
    assert len(relevant_promotions(shop, AS_OF).df()) == kept


def test_a_promotion_without_an_end_ends_some_day(open_shop) -> None:
    shop = shop_with(open_shop, ("a", None, None, None, MONDAY, None, "mailer", None))
    table = ITEM_PROMOTION.build(relevant_promotions(shop, MONDAY), MONDAY).df()
    assert at("all", table, MONDAY + 60 * DAY)["promo_phase"] == "running"
    assert at("all", table, MONDAY + 91 * DAY)["promo_phase"] == "after"


@pytest.mark.parametrize(
    ("days", "phase", "active"),
    [
        (-7.01, "none", 0.0),
        (-7.0, "before", 0.0),
        (-0.001, "before", 0.0),
        (0.0, "first_day", 1.0),
        (0.999, "first_day", 1.0),
        (1.0, "running", 1.0),
        (5.999, "running", 1.0),
        (6.0, "last_day", 1.0),
        (6.999, "last_day", 1.0),
        (7.0, "after", 0.0),
        (13.999, "after", 0.0),
        (14.0, "none", 0.0),
    ],
)
def test_the_phases_of_a_week(open_shop, days: float, phase: str, active: float) -> None:
    shop = shop_with(open_shop, ("i0", None, None, "s0", MONDAY, MONDAY + WEEK, "mailer", 0.25))
    table = ITEM_STORE_PROMOTION.build(relevant_promotions(shop, MONDAY), MONDAY).df()
    answer = at("store", table, MONDAY + timedelta(days=days))
    assert (answer["promo_phase"], answer["promo_active"]) == (phase, active)
    running = active == 1.0
    assert answer["promo_scope"] == ("store" if running else "none")
    assert answer["promo_kind_active"] == ("mailer" if running else "none")
    assert answer["promo_discount_active"] == pytest.approx(0.25 if running else np.nan, nan_ok=True)
    assert answer["promo_days_left"] == pytest.approx(7 - days if running else np.nan, nan_ok=True)
    assert answer["promo_days_since_start"] == pytest.approx(days if running else np.nan, nan_ok=True)
    assert answer["promo_days_to_next"] == pytest.approx(-days if phase == "before" else np.nan, nan_ok=True)
    assert answer["promo_days_since_end"] == pytest.approx(
        days - 7 if phase == "after" else np.nan, nan_ok=True
    )


spans = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), min_size=1, max_size=5)
moments = st.one_of(st.integers(-8, 90).map(float), st.floats(-10, 95))


@settings(max_examples=12, deadline=None)
@given(st.lists(spans, min_size=10, max_size=30), st.lists(moments, min_size=4, max_size=4))
def test_the_phase_is_what_the_promotions_themselves_say(open_shop, items, asked) -> None:
    """The table's newest row at any moment tells the same as all promotions known then."""
    rows = [
        (f"i{item}", None, None, None, MONDAY + start * DAY, MONDAY + (start + length) * DAY, "x", None)
        for item, found in enumerate(items)
        for start, length in found
    ]
    as_of = MONDAY + 70 * DAY
    shop = shop_with(open_shop, *rows)
    table = ITEM_PROMOTION.build(relevant_promotions(shop, as_of), as_of).df()
    assert not table.duplicated(["item_id", "event_timestamp"]).any()
    for item, found in enumerate(items):
        own = table[table["item_id"] == f"i{item}"]
        for days in asked:
            moment = MONDAY + timedelta(seconds=round(days * 86_400))
            check_phase(at("all", own, moment), found, (moment - MONDAY) / DAY)


def check_phase(answer: dict, found: list[tuple[int, int]], days: float) -> None:
    runs = [start + length for start, length in found if start <= days < start + length]
    ahead = [start - days for start, _ in found if 0 < start - days <= ANNOUNCED_DAYS]
    past = [days - start - length for start, length in found if start + length <= days]
    assert answer["promo_active"] == bool(runs)
    assert answer["promo_phase"] in PHASES
    assert answer["promo_days_to_next"] == pytest.approx(min(ahead, default=np.nan), nan_ok=True)
    if runs:
        assert answer["promo_days_left"] == pytest.approx(max(runs) - days)
        return
    lately = [ago for ago in past if ago < REMEMBERED_DAYS]
    assert answer["promo_days_since_end"] == pytest.approx(min(lately, default=np.nan), nan_ok=True)
    assert answer["promo_phase"] == ("before" if ahead else "after" if lately else "none")


def test_the_nearest_promotion_is_the_one_told() -> None:
    now = MONDAY.timestamp()
    row: dict[str, object] = {"request_epoch_seconds": now}
    for scope, left in zip(SCOPES, (-1.0, 3.0, 9.0), strict=True):
        row |= {
            f"promo_{scope}_kind": scope,
            f"promo_{scope}_starts_epoch_seconds": now - 5 * 86_400,
            f"promo_{scope}_ends_epoch_seconds": now + left * 86_400,
            f"promo_{scope}_discount": left,
            f"promo_{scope}_next_epoch_seconds": np.nan,
        }
    answer = PROMOTION_AT_REQUEST.transform(pd.DataFrame([row])).iloc[0]
    assert (answer["promo_scope"], answer["promo_kind_active"]) == ("region", "region")
    assert (answer["promo_days_left"], answer["promo_discount_active"]) == (3.0, 3.0)
    assert np.isnan(answer["promo_days_since_end"])
