"""Quality checks tell a healthy week from a broken one, and name what broke."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from features.contracts import EVENTS, ITEMS, USERS
from monitoring.quality import QualityBounds, measure_quality
from monitoring.quality_check import Bound, QualityCheck, QualityReport, judge
from monitoring.shop_clock import ShopClock

AS_OF = datetime(2025, 6, 2, 4, tzinfo=UTC)
PER_DAY = 24


def healthy() -> pd.DataFrame:
    """Forty days of hourly purchases by three users of four items, in two stores."""
    moments = pd.date_range(AS_OF - timedelta(days=40), AS_OF - timedelta(hours=1), freq="h")
    numbers = range(len(moments))
    frame = pd.DataFrame(
        {
            "event_id": [f"e{n}" for n in numbers],
            "user_id": [f"u{n % 3}" for n in numbers],
            "item_id": [f"i{n % 4}" for n in numbers],
            "event_type": "purchase",
            "event_ts": moments,
            "amount": 1.0,
            "quantity": 1.0,
            "session_id": [f"s{n // 2}" for n in numbers],
            "store_id": [f"{n % 2}" for n in numbers],
        }
    )
    return EVENTS.split(frame, now=AS_OF + timedelta(days=1)).accepted


def shop() -> pd.DataFrame:
    """The same with forty visits an hour by as many users, none of whom is in the users table."""
    copies = [
        healthy().assign(
            event_id=lambda f, n=n: f"{n}-" + f["event_id"],
            session_id=lambda f, n=n: f"{n}-" + f["session_id"],
            user_id=f"v{n}",
        )
        for n in range(40)
    ]
    return pd.concat(copies, ignore_index=True)


def measured(events: pd.DataFrame, *, as_of: datetime = AS_OF, **shares: Any) -> QualityReport:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    items = ITEMS.split(pd.DataFrame({"item_id": [f"i{n}" for n in range(4)]}), now=AS_OF).accepted
    users = USERS.split(pd.DataFrame({"user_id": [f"u{n}" for n in range(3)]}), now=AS_OF).accepted
    for name, frame in {"events": events, "items": items, "users": users}.items():
        connection.register(name, frame)
    return measure_quality(connection, as_of=as_of, **shares)


def check(report: QualityReport, name: str, column: str | None = None) -> QualityCheck:
    return next(c for c in report.checks if c.name == name and column in (None, c.column))


def test_a_healthy_week_is_ok() -> None:
    report = measured(healthy(), quarantine_shares={"events": 0.0}, repeat_shares={"events": 0.0})
    assert report.verdict == "ok" and report.reasons == ()
    assert check(report, "freshness_hours").value == 1.0
    assert check(report, "volume_change").value == 0.0
    assert {row["column_name"] for row in report.rows()} >= {"event_ts", "event_id", "item_id", "events"}


def test_events_after_as_of_change_nothing() -> None:
    later = healthy().assign(event_ts=lambda f: f["event_ts"] + timedelta(days=40), user_id="stranger")
    together = pd.concat([healthy(), later.assign(event_id=lambda f: "later" + f["event_id"])])
    assert measured(together) == measured(healthy())


def test_a_stale_lake_fails() -> None:
    report = measured(healthy(), as_of=AS_OF + timedelta(days=4))
    assert report.verdict == "fail"
    assert check(report, "freshness_hours").value == 97.0
    assert check(report, "freshness_hours").bound == 72.0


def test_no_event_at_all_fails_without_an_error() -> None:
    report = measured(EVENTS.empty())
    assert report.verdict == "fail"
    assert check(report, "freshness_hours").value is None


def test_a_lost_week_fails_and_a_gained_one_warns() -> None:
    week = healthy()["event_ts"] >= AS_OF - timedelta(days=7)
    lost = healthy()[~week | (healthy().index % 5 == 0)]
    assert check(measured(lost), "volume_change").verdict == "fail"
    gained = pd.concat(
        [healthy(), healthy()[week].assign(event_id=lambda f: f["event_id"] + "+", amount=2.0)]
    )
    found = check(measured(gained), "volume_change")
    assert (found.verdict, found.value) == ("warn", 1.0)
    assert "336 events in 7 days against 168 a week in the 28 before (+100%)" in found.detail


def test_the_worst_day_is_named() -> None:
    age = (AS_OF - healthy()["event_ts"] - timedelta(microseconds=1)) // timedelta(days=1)
    found = check(measured(healthy()[age != 2]), "day_change")
    assert (found.verdict, found.value) == ("warn", 1.0)
    assert "2025-05-30 04:00 UTC" in found.detail


def test_a_column_that_goes_dark_fails() -> None:
    dark = healthy()
    dark.loc[dark["event_ts"] >= AS_OF - timedelta(days=7), "store_id"] = "unknown"
    report = measured(dark)
    assert check(report, "missing_rise", "store_id").value == 1.0
    assert report.reasons == ("fail: store_id: 100.0% null or unknown in 7 days, 0.0% in the 28 before",)


def test_a_change_of_the_event_mix_is_not_a_gap() -> None:
    opens = healthy().assign(event_type="app_open", event_id=lambda f: "o" + f["event_id"])
    opens["item_id"] = pd.Series(pd.NA, index=opens.index, dtype="string[pyarrow]")
    recent = opens["event_ts"] >= AS_OF - timedelta(days=7)
    mixed = pd.concat([healthy(), opens[~recent & (opens.index % 10 == 0)], opens[recent]])
    assert check(measured(mixed), "missing_rise", "item_id").value == 0.0


def test_doubled_deliveries_are_duplicates() -> None:
    doubled = pd.concat([healthy(), healthy().assign(event_id=lambda f: f["event_id"] + "again")])
    found = check(measured(doubled), "duplicate_share")
    assert (found.value, found.verdict) == (0.5, "fail")


@pytest.mark.parametrize(("column", "table"), [("item_id", "items"), ("user_id", "users")])
def test_events_of_strangers_are_counted(column: str, table: str) -> None:
    strange = healthy()
    strange.loc[strange.index % 4 == 0, column] = "stranger"
    found = check(measured(strange), "unjoined_share", column)
    assert (found.value, found.verdict) == (0.25, "fail")
    assert table in found.detail


def test_shares_from_the_ingest_are_judged() -> None:
    report = measured(
        healthy(), quarantine_shares={"events": 0.02, "items": 0.2}, repeat_shares={"users": 0.0}
    )
    assert check(report, "quarantine_share", "events").verdict == "warn"
    assert check(report, "quarantine_share", "items").verdict == "fail"
    assert report.reasons[0] == "fail: items: 20.00% of rows quarantined at ingest"


def test_bounds_are_inclusive_and_adjustable() -> None:
    assert [judge("x", "y", value, Bound(1, 2), "").verdict for value in (1, 1.5, 2, 2.1)] == [
        "ok",
        "warn",
        "warn",
        "fail",
    ]
    loose = QualityBounds(freshness_hours=Bound(1000, 2000))
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for contract, name in ((EVENTS, "events"), (ITEMS, "items"), (USERS, "users")):
        connection.register(name, healthy() if contract is EVENTS else contract.empty())
    report = measure_quality(connection, as_of=AS_OF + timedelta(days=4), bounds=loose)
    assert check(report, "freshness_hours").verdict == "ok"


def test_categories_never_seen_before_are_told_by_their_share() -> None:
    strange = healthy()
    week = strange["event_ts"] >= AS_OF - timedelta(days=7)
    strange.loc[week & (strange["store_id"] == "1"), "store_id"] = "mars"
    told = check(measured(strange), "unseen_share", "store_id")
    assert (told.value, told.verdict) == (0.5, "warn")
    assert check(measured(healthy()), "unseen_share", "store_id").value == 0.0


def test_numbers_far_outside_their_range_are_told() -> None:
    wild = healthy()
    wild["amount"] = 1.0 + wild.index % 10
    assert check(measured(wild), "range_share", "amount").value == 0.0
    wild.loc[wild["event_ts"] >= AS_OF - timedelta(days=1), "amount"] *= 100
    told = check(measured(wild), "range_share", "amount")
    assert told.verdict == "fail" and told.value == pytest.approx(1 / 7)


def test_hours_without_events_are_compared_with_their_own_hour_of_earlier_weeks() -> None:
    busy = shop()
    assert check(measured(busy), "dead_hours").value == 0.0
    since, until = AS_OF - timedelta(hours=5), AS_OF - timedelta(hours=2)
    told = check(measured(busy[(busy["event_ts"] < since) | (busy["event_ts"] >= until)]), "dead_hours")
    assert (told.value, told.verdict) == (3.0, "warn")
    assert told.detail == (
        "3 of the last day's 24 hours have hardly a visit, unlike that hour of earlier weeks; the newest "
        "from 2025-06-02 01:00 UTC"
    )
    # Every night is quiet, so that night was no exception.
    night = busy[busy["event_ts"].dt.hour > 3]
    assert check(measured(night), "dead_hours").value == 0.0


def test_late_events_are_told_by_their_share() -> None:
    late = check(measured(healthy(), late=(96, 960)), "late_share")
    assert (late.value, late.verdict) == (0.1, "warn")
    assert all(one.name != "late_share" for one in measured(healthy()).checks)


def test_hours_with_few_visits_are_empty_by_chance() -> None:
    rare = shop()
    rare = rare[rare["user_id"].isin([f"v{n}" for n in range(5)])]
    since, until = AS_OF - timedelta(hours=5), AS_OF - timedelta(hours=4)
    rare = rare[(rare["event_ts"] < since) | (rare["event_ts"] >= until)]
    assert check(measured(rare), "dead_hours").value == 0.0


def test_a_holiday_is_neither_a_bad_day_nor_stale_data() -> None:
    """The store is shut on 4 July."""
    events = healthy().assign(event_ts=lambda f: f["event_ts"] + timedelta(days=33))  # the last day is 4 July
    shut = events[events["event_ts"] < datetime(2025, 7, 4, 4, tzinfo=UTC)]
    as_of, clock = datetime(2025, 7, 5, 4, tzinfo=UTC), ShopClock("America/New_York", "US")
    found = measured(shut, as_of=as_of, clock=clock)
    assert check(found, "day_change").value == 0.0
    assert check(found, "freshness_hours").value == 1.0
    elsewhere = measured(shut, as_of=as_of)
    assert (check(elsewhere, "day_change").value, check(elsewhere, "freshness_hours").value) == (1.0, 25.0)


def test_before_a_feast_people_stock_up_and_shops_close_early() -> None:
    """Twice the visits two days ahead of 4 July, and none from 14:00 on its eve."""
    busy = shop().assign(event_ts=lambda f: f["event_ts"] + timedelta(days=32))  # the last day is 3 July
    eve, clock = datetime(2025, 7, 4, 4, tzinfo=UTC), ShopClock("America/New_York", "US")
    early = busy[busy["event_ts"] < eve - timedelta(hours=10)]
    day_before = busy["event_ts"].between(eve - timedelta(days=2), eve - timedelta(days=1), "left")
    twice = busy[day_before].assign(event_id=lambda f: "again-" + f["event_id"])
    rush = pd.concat([early, twice.assign(event_ts=lambda f: f["event_ts"] + timedelta(minutes=7))])
    found, elsewhere = measured(rush, as_of=eve, clock=clock), measured(rush, as_of=eve)
    assert check(found, "day_change").value == 0.0 and check(elsewhere, "day_change").value == 1.0
    assert all(one.name != "dead_hours" for one in found.checks)
    assert check(elsewhere, "dead_hours").value == 10.0


def test_a_week_with_a_feast_is_compared_without_it() -> None:
    events = healthy().assign(event_ts=lambda f: f["event_ts"] + timedelta(days=33))
    shut = events[events["event_ts"] < datetime(2025, 7, 4, 4, tzinfo=UTC)]
    as_of, clock = datetime(2025, 7, 5, 4, tzinfo=UTC), ShopClock("America/New_York", "US")
    found = check(measured(shut, as_of=as_of, clock=clock), "volume_change")
    assert found.value == 0.0 and found.detail.endswith("days of public holidays left out: 1")
    assert check(measured(shut, as_of=as_of), "volume_change").value == pytest.approx(1 / 7)


def test_our_own_pushes_are_neither_a_sign_of_life_nor_a_change_of_the_shop() -> None:
    """A shop's first week of pushes, twelve for each event of its own; and a source that died under them."""
    events = healthy()
    week = events[events["event_ts"] >= AS_OF - timedelta(days=7)]
    pushes = [
        week.assign(
            event_type=kind, event_id=kind + str(n) + week["event_id"], push_id=f"p{n}", channel="push"
        )
        for n in range(4)
        for kind in ("push_sent", "push_delivered", "push_opened")
    ]
    told = pd.concat([events, *pushes], ignore_index=True)
    found = measured(told)
    assert check(found, "volume_change").value == 0.0 and check(found, "day_change").value == 0.0
    assert check(found, "unseen_share", "event_type").value == 0.0
    own = told["event_type"].eq("purchase")
    died = measured(told[~own | (told["event_ts"] < AS_OF - timedelta(days=4))])
    assert check(died, "freshness_hours").verdict == "fail"


DAY = AS_OF - timedelta(days=1)


@pytest.mark.parametrize("hours", [0, 24, 72])
def test_a_day_that_came_twice_is_told_whatever_its_ids(hours: int) -> None:
    """As the same instants again, or as those of another day."""
    events = shop()
    assert check(measured(events), "day_repeated_rise").value == 0.0
    last = events["event_ts"] >= DAY
    source = (events["event_ts"] >= DAY - timedelta(hours=hours)) & (
        events["event_ts"] < AS_OF - timedelta(hours=hours)
    )
    events["amount"] = 1.0 + events.index * 0.01  # no two events alike
    again = events[source].assign(
        event_ts=lambda f: f["event_ts"] + timedelta(hours=hours),
        event_id=lambda f: "again-" + f["event_id"],
        session_id=lambda f: "again-" + f["session_id"],
    )
    found = measured(pd.concat([events, again], ignore_index=True))
    name = "day_replayed_rise" if hours else "day_repeated_rise"
    told = check(found, name)
    assert told.verdict == "warn" and told.value == pytest.approx(0.5), told
    replaced = measured(pd.concat([events[~last], again], ignore_index=True))
    assert check(replaced, "day_replayed_rise").value == (1.0 if hours else 0.0)


def test_gaps_and_strangers_of_one_day_are_told_beside_its_weekday() -> None:
    events = shop().assign(user_id=lambda f: "u" + f["user_id"].str[1:].astype(int).mod(3).astype(str))
    assert measured(events, as_of=AS_OF).verdict == "ok"
    last = events["event_ts"] >= DAY
    events.loc[last & (events.index % 5 == 0), "amount"] = np.nan
    events.loc[last & (events.index % 4 == 0), "item_id"] = "stranger"
    found = measured(events)
    assert check(found, "missing_rise", "amount").verdict == "ok", "a week dilutes a day"
    for name, column, value in (("day_missing_rise", "amount", 0.2), ("day_unjoined_rise", "item_id", 0.25)):
        told = check(found, name, column)
        assert told.verdict == "warn" and told.value == pytest.approx(value, abs=0.05)


def test_rare_values_that_come_and_go_every_week_are_not_unseen() -> None:
    events = shop()
    week = ((AS_OF - events["event_ts"]) // timedelta(days=7)).astype(str)
    rare = events.index % 25 == 0
    events.loc[rare, "store_id"] = "pop-up-" + week[rare]
    assert check(measured(events), "unseen_share", "store_id").verdict == "ok"
