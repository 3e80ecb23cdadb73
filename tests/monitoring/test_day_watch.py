"""A day's events and labels beside days like it: labels move where volumes stand still."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import duckdb
import pytest

from monitoring.day_watch import watch_day
from monitoring.drift_finding import WatchResult
from monitoring.label_frame import COLUMNS, REPEAT_DAYS, build_label_frame

DAY = date(2026, 3, 16)
SINCE = datetime(2025, 11, 10, tzinfo=UTC)
DAYS, USERS, ITEMS = 127, 60, 50


@pytest.fixture
def shop():
    """Sixty users who on most days look at four items and buy two, one of them as always."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(
        f"""
        CREATE TABLE events AS
        SELECT row_number() OVER () AS event_id, 'u' || u AS user_id,
            'i' || CASE WHEN n < 2 THEN u % 7 + n ELSE hash(u, n, d) % {ITEMS} END AS item_id,
            CASE WHEN n IN (0, 2) THEN 'purchase' ELSE 'view' END AS event_type,
            TIMESTAMPTZ '{SINCE.isoformat()}' + INTERVAL (d) DAY + INTERVAL (9 + (u + n) % 10) HOUR
                + INTERVAL ((u * 13 + d * 7) % 60) MINUTE AS event_ts,
            1.0 + hash(u, d, n) % 900 / 100 AS amount, 1.0 AS quantity,
            'u' || u || '/' || d AS session_id, NULL AS device, NULL AS network, NULL AS region,
            's' || (u % 2) AS store_id, NULL AS channel, NULL AS push_id, NULL AS query
        FROM range({DAYS}) days(d), range({USERS}) users(u), range(6) lines(n)
        WHERE hash(d, u) % 10 > 0
        """
    )
    connection.execute("CREATE TABLE items AS SELECT DISTINCT item_id, 'food' AS category_path FROM events")
    connection.execute("CREATE TABLE users AS SELECT DISTINCT user_id, 'UTC' AS timezone FROM events")
    connection.execute(
        "CREATE TABLE promotions "
        "(item_id TEXT, store_id TEXT, starts_at TIMESTAMPTZ, ends_at TIMESTAMPTZ, kind TEXT)"
    )
    yield connection
    connection.close()


def watched(shop: duckdb.DuckDBPyConnection) -> WatchResult:
    return watch_day(shop, DAY, since=SINCE, timezone="UTC", country="")


def test_an_ordinary_day_passes_and_both_frames_are_looked_at(shop) -> None:
    result = watched(shop)
    assert result.verdict == "pass" and len(result.reference) == 6
    told = {(one.slice, one.column) for one in result.findings}
    assert {("", "amount"), ("labels", "label"), ("labels", "is_repeat")} <= told


def test_purchases_that_arrive_as_views_move_labels(shop) -> None:
    shop.execute(
        f"UPDATE events SET event_type = 'view' WHERE CAST(event_ts AS DATE) = DATE '{DAY}' "
        "AND event_type = 'purchase' AND event_id % 10 > 0"
    )
    result = watched(shop)
    assert ("labels", "label") in {(one.slice, one.column) for one in result.alarms}


def test_items_that_nobody_knew_move_repeats_though_volumes_stand_still(shop) -> None:
    shop.execute(
        f"UPDATE events SET item_id = 'new' || (event_id % 97) WHERE CAST(event_ts AS DATE) = DATE '{DAY}'"
    )
    alarms = {one.column for one in watched(shop).alarms}
    assert "is_repeat" in alarms and "rows" not in alarms


def test_labels_that_are_not_there_yet_are_missed(shop) -> None:
    shop.execute(f"DELETE FROM events WHERE CAST(event_ts AS DATE) = DATE '{DAY}' AND hour(event_ts) >= 12")
    said = [one.words for one in watched(shop).alarms if (one.slice, one.column) == ("labels", "rows")]
    assert len(said) == 1 and said[0].endswith("(labels)"), said


def test_without_an_earlier_day_nothing_is_told(shop) -> None:
    shop.execute(f"DELETE FROM events WHERE CAST(event_ts AS DATE) < DATE '{DAY}'")
    assert watched(shop) == WatchResult((), "warn", ())


def test_a_label_counts_with_the_strongest_of_its_day_and_repeats_from_an_earlier_one(shop) -> None:
    shop.execute("DELETE FROM events")
    zone, first = "America/New_York", SINCE + timedelta(days=REPEAT_DAYS, hours=12)
    rows = [
        ("view", first),
        ("purchase", first + timedelta(hours=1)),
        ("view", first + timedelta(hours=15)),  # 22:00 there: the same day
        ("view", first + timedelta(hours=18)),
        ("purchase", first + timedelta(days=REPEAT_DAYS + 2)),
        ("search", first),
    ]
    for kind, moment in rows:
        shop.execute(
            "INSERT INTO events (event_id, user_id, item_id, event_type, event_ts) "
            "VALUES (1, 'u99', 'i1', ?, ?)",
            [kind, moment],
        )
    build_label_frame(shop, since=SINCE, default_timezone=zone)
    told = shop.sql(f"SELECT {', '.join(COLUMNS[:4])} FROM watched_labels ORDER BY local_day").fetchall()
    assert told == [
        ("purchase", "morning", "no", None),
        ("view", "night", "yes", 1),
        ("purchase", "morning", "no", None),
    ]
