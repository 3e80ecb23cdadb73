"""Ages, rates and shares at the request's instant, worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.price import PRICE
from features.recency import days_since, decayed_now, mean_gap_days, ratio, shrunk_share, trend
from features.user_item import REPEAT_AT_REQUEST

DAY = 86_400.0
NOW = 1_490_000_000.0


def stored(prefix: str, sessions: float, first: float, last: float, **columns: float) -> dict[str, float]:
    """A counted row by the days that its first and last session lie back; each session is a purchase."""
    times = {f"{name}_epoch_seconds": NOW - last * DAY for name in ("last", "began")}
    times["first_epoch_seconds"] = NOW - first * DAY
    values = {"sessions": sessions, "visits": sessions, **times, "previous_epoch_seconds": np.nan, **columns}
    return {f"{prefix}_{name}": value for name, value in values.items()}


def frame_of(*parts: dict[str, float]) -> pd.DataFrame:
    row = {"request_epoch_seconds": NOW}
    for part in parts:
        row |= part
    return pd.DataFrame([row])


def test_a_count_halves_with_every_half_life() -> None:
    frame = frame_of(stored("x", 3.0, 90.0, 60.0, decayed_30d=2.0))
    assert days_since(frame, "x_last_epoch_seconds").item() == 60.0
    assert decayed_now(frame, "x", 30).item() == 0.5


def test_what_was_never_seen_has_rate_zero_and_no_age() -> None:
    frame = frame_of(stored("x", np.nan, np.nan, np.nan, decayed_30d=np.nan))
    assert decayed_now(frame, "x", 30).item() == 0.0
    assert np.isnan(days_since(frame, "x_last_epoch_seconds").item())
    assert np.isnan(mean_gap_days(frame, "x").item())


@pytest.mark.parametrize(("sessions", "gap"), [(1.0, np.nan), (2.0, 30.0), (4.0, 10.0)])
def test_the_mean_gap_needs_two_sessions(sessions: float, gap: float) -> None:
    frame = frame_of(stored("x", sessions, 40.0, 10.0))
    assert mean_gap_days(frame, "x").item() == pytest.approx(gap, nan_ok=True)


def test_the_mean_gap_of_a_looker_counts_visits_not_weights() -> None:
    """Five visits that only viewed weigh half a purchase: the gap is still that between visits."""
    frame = frame_of(stored("x", 0.5, 40.0, 0.0, visits=5.0))
    assert mean_gap_days(frame, "x").item() == 10.0


def test_the_last_bits_of_a_decayed_count_do_not_show() -> None:
    low, high = (
        decayed_now(frame_of(stored("x", 1.0, 9.0, 3.0, decayed_30d=value)), "x", 30).item()
        for value in (0.1 + 0.2, 0.3)
    )
    assert low == high


def test_a_trend_is_shrunk_to_one() -> None:
    def of(short: float, long: float) -> float:
        return trend(pd.DataFrame({"x_last_24h": [short], "x_last_240h": [long]}), "x", 24, 240).item()

    assert of(0.0, 0.0) == 1.0
    assert of(5.0, 50.0) == 1.0
    assert of(11.0, 20.0) == 4.0
    assert of(0.0, 10.0) == 0.5
    assert np.isnan(of(np.nan, np.nan))


def test_a_price_lately_is_shrunk_to_the_usual_one() -> None:
    def of(paid: float, units: float, usually_paid: float, usual_units: float) -> float:
        lately = {f"item_paid_last_{hours}h": paid for hours in (24, 48, 72, 168)}
        lately |= {f"item_sold_last_{hours}h": units for hours in (24, 48, 72, 168)}
        usual = {"item_paid_last_2160h": usually_paid, "item_sold_last_2160h": usual_units}
        answer = PRICE.transform(pd.DataFrame([lately | usual])).iloc[0]
        assert answer.nunique(dropna=False) == 1
        return float(answer.iloc[0])

    assert of(0.0, 0.0, 40.0, 20.0) == 1.0, "nothing sold lately: the usual price"
    assert of(4.0, 2.0, 40.0, 20.0) == 1.0
    assert of(2.0, 2.0, 40.0, 20.0) == 0.75, "half price for two units, and two at the usual"
    assert np.isnan(of(0.0, 0.0, 0.0, 0.0))
    assert np.isnan(of(np.nan, np.nan, np.nan, np.nan))


def test_shares_divide_by_what_is_there() -> None:
    part, whole = pd.Series([1.0, 1.0, 1.0, np.nan]), pd.Series([4.0, 0.0, np.nan, 2.0])
    assert ratio(part, whole).tolist() == pytest.approx([0.25, np.nan, np.nan, np.nan], nan_ok=True)
    assert shrunk_share(part, whole, 0.5, 4.0).tolist() == [3 / 8, 3 / 4, 3 / 4, 1 / 3]


def test_an_item_bought_every_ten_days_and_eight_days_ago_is_nearly_due() -> None:
    item = stored("user_item", 4.0, 38.0, 8.0, decayed_30d=2.0, decayed_90d=3.0, quantity=8.0)
    item["user_item_previous_epoch_seconds"] = NOW - 20.0 * DAY
    category = stored("user_category", 5.0, 90.0, 8.0, decayed_30d=2.0, decayed_90d=6.0)
    user = stored("user", 16.0, 160.0, 8.0, decayed_30d=8.0)
    answer = REPEAT_AT_REQUEST.transform(frame_of(item, category, user)).iloc[0]
    assert answer["user_item_mean_gap_days"] == 10.0
    assert answer["user_item_days_since_last"] == 8.0
    assert answer["user_item_due"] == pytest.approx(0.8)
    assert answer["user_item_last_gap_days"] == 12.0
    assert answer["user_item_units"] == 2.0
    assert answer["user_item_share"] == 0.25
    assert answer["user_item_recent_share"] == pytest.approx(0.25)
    assert answer["user_item_share_of_category"] == pytest.approx(0.5)
    assert answer["user_item_rate_30d"] == pytest.approx(2.0 * 2.0 ** (-8 / 30))
