"""A feature view that stops, has holes, leaves its range or does not know the day's keys says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import duckdb
import pandas as pd

from monitoring.quality_check import QualityCheck
from monitoring.view_quality import ViewShape, measure_view

AS_OF = datetime(2025, 6, 2, 4, tzinfo=UTC)
WEEK = timedelta(days=7)
VIEW = ViewShape("user_activity", ("user_id",), ("user_sessions", "user_gap"), ("user_store",))


def rows() -> pd.DataFrame:
    """Five weeks of a row an hour, of ten users in turn."""
    moments = pd.date_range(AS_OF - 5 * WEEK, AS_OF - timedelta(hours=1), freq="h")
    numbers = range(len(moments))
    return pd.DataFrame(
        {
            "user_id": [f"u{n % 10}" for n in numbers],
            "event_timestamp": moments,
            "user_sessions": [float(n % 7) for n in numbers],
            "user_gap": 2.0 + pd.Series([n % 3 for n in numbers]),
            "user_store": [f"s{n % 4}" for n in numbers],
        }
    )


def checks(table: pd.DataFrame, shape: ViewShape = VIEW, users: int = 10) -> dict[str, QualityCheck]:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.register(shape.name, table)
    events = pd.DataFrame({"user_id": [f"u{n}" for n in range(users)], "event_type": "purchase"})
    connection.register("events", events.assign(event_ts=AS_OF - timedelta(days=1), item_id="i1"))
    return {check.name: check for check in measure_view(connection, shape, AS_OF)}


def recent(table: pd.DataFrame) -> pd.Series:
    return table["event_timestamp"] >= AS_OF - WEEK


def test_a_healthy_view_is_ok_in_every_check() -> None:
    found = checks(rows())
    assert {check.verdict for check in found.values()} == {"ok"}
    assert set(found) == {"view_rows_lost", "view_missing_rise", "view_range_excess", "view_unknown_keys"}


def test_a_view_without_new_rows_fails_unless_it_may_rest() -> None:
    old = rows()[lambda table: ~recent(table)]
    assert checks(old)["view_rows_lost"].verdict == "fail"
    assert checks(old, replace(VIEW, may_rest=True))["view_rows_lost"].verdict == "warn"
    assert checks(old)["view_rows_lost"].detail == "user_activity: 0 new rows in 7 days, usually 168"


def test_the_column_with_most_new_holes_is_named() -> None:
    holes = rows()
    holes.loc[recent(holes), "user_gap"] = None
    worst = checks(holes)["view_missing_rise"]
    assert (worst.column, worst.verdict, worst.value) == ("user_activity.user_gap", "fail", 1.0)


def test_values_far_outside_their_range_are_told_with_both() -> None:
    wild = rows()
    wild.loc[recent(wild), "user_sessions"] *= 100
    worst = checks(wild)["view_range_excess"]
    assert (worst.column, worst.verdict) == ("user_activity.user_sessions", "fail")
    assert worst.detail == "user_activity.user_sessions: 0..600, before 0..6"


def test_keys_without_a_row_count_and_other_keys_are_not_asked_for() -> None:
    assert checks(rows(), users=40)["view_unknown_keys"].value == 0.75
    table = rows().rename(columns={"user_id": "store_id"})
    assert "view_unknown_keys" not in checks(table, replace(VIEW, keys=("store_id",)))


def test_later_rows_change_nothing() -> None:
    later = rows().assign(event_timestamp=lambda table: table["event_timestamp"] + 6 * WEEK, user_gap=1e9)
    assert checks(pd.concat([rows(), later])) == checks(rows())
