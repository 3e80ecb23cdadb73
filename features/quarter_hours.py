"""Events by quarters of an hour in their user's local time: what visits are made of."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pandas as pd
from duckdb import DuckDBPyConnection, DuckDBPyRelation

from features.calendar import DAYPART_START_HOUR, offset_changes
from features.counters import GRID_SECONDS, UNITS
from features.scenes import SCENE_PARTS, UNKNOWN

_AN_HOUR, _A_DAY = 3_600 // GRID_SECONDS, 86_400 // GRID_SECONDS
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday


def quarter_hours(
    connection: DuckDBPyConnection, weights: Mapping[str, float], *, default_timezone: str, where: str
) -> DuckDBPyRelation:
    """One row an event of these types, with the local time of its quarter of an hour.

    No clock has changed within a quarter of an hour since 1972, so a zone's offset is looked up once for
    each of its periods instead of once for each event.

    Args:
        connection: Offers the views `events`, `users` and `items`; gets the temporary table `zone_periods`.
        weights: Purchase equivalents by event type; a type without positive weight is left out.
        default_timezone: Used where the user or the user's zone is unknown.
        where: SQL condition on the events `e`, written by us.

    Returns:
        (user_id, item_id, category, event_type, session_id, *SCENE_PARTS, daypart, weekday, bucket,
        epoch_seconds, weight, quantity, amount); the last three in whole ten-thousandths, `bucket` counts
        quarters of an hour since 1970, `weekday` is '0' on Monday. An event without a session belongs to its
        user's local day.

    Raises:
        UsageError: A user's zone is no IANA zone.
    """
    connection.register("zone_periods_frame", _periods(connection, default_timezone))
    connection.execute("CREATE OR REPLACE TEMP TABLE zone_periods AS SELECT * FROM zone_periods_frame")
    connection.unregister("zone_periods_frame")
    counted = {kind: round(weight * UNITS) for kind, weight in weights.items() if weight > 0}
    weight = " ".join(f"WHEN {sql_text(kind)} THEN {units}" for kind, units in counted.items())
    kinds = ", ".join(sql_text(kind) for kind in counted) or "NULL"
    starts = sorted(DAYPART_START_HOUR.items(), key=lambda start: start[1], reverse=True)
    daypart = " ".join(f"WHEN local_hour >= {hour} THEN {sql_text(name)}" for name, hour in starts)
    return connection.sql(
        f"""
        WITH timed AS (
            SELECT e.*, epoch_us(event_ts) // 1000000 AS epoch_seconds,
                   epoch_us(event_ts) // {GRID_SECONDS * 1_000_000} AS bucket
            FROM events e WHERE e.event_type IN ({kinds}) AND {where}
        ), localised AS (
            SELECT timed.*, coalesce(nullif(i.category_path, ''), '{UNKNOWN}') AS category,
                   bucket + p.quarters AS local_quarter,
                   (bucket + p.quarters) // {_AN_HOUR} % 24 AS local_hour,
                   (bucket + p.quarters) // {_A_DAY} AS local_day
            FROM timed
            LEFT JOIN users u USING (user_id)
            LEFT JOIN items i USING (item_id)
            JOIN zone_periods p
              ON p.timezone = coalesce(nullif(u.timezone, '{UNKNOWN}'), {sql_text(default_timezone)})
             AND bucket >= p.begins AND bucket < p.ends
        )
        SELECT user_id, item_id, category, event_type,
               coalesce(session_id, user_id || '@' || local_day) AS session_id, {", ".join(SCENE_PARTS)},
               CASE {daypart} END AS daypart,
               ((local_day + {_EPOCH_WEEKDAY}) % 7)::VARCHAR AS weekday,
               bucket, epoch_seconds,
               CASE event_type {weight or "WHEN NULL THEN NULL"} END::BIGINT AS weight,
               round(coalesce(quantity, 1) * {UNITS})::BIGINT AS quantity,
               round(coalesce(amount, 0) * {UNITS})::BIGINT AS amount
        FROM localised
        """
    )


def sql_text(value: str) -> str:
    """The SQL literal of a text."""
    return "'" + value.replace("'", "''") + "'"


def _periods(connection: DuckDBPyConnection, default_timezone: str) -> pd.DataFrame:
    """(timezone, begins, ends, quarters): the offset of every zone in use, by buckets."""
    zones = connection.execute("SELECT DISTINCT timezone FROM users WHERE timezone IS NOT NULL").fetchall()
    names = sorted({str(row[0]) for row in zones} - {UNKNOWN} | {default_timezone})
    bounds = connection.execute("SELECT epoch_us(min(event_ts)), epoch_us(max(event_ts)) FROM events")
    first, last = (int(bound or 0) // 1_000_000 for bound in bounds.fetchall()[0])
    years = [datetime.fromtimestamp(second, UTC).year for second in (first, last)]
    periods: list[tuple[str, int, int, int]] = []
    for name in names:
        starts, offsets = offset_changes(name, years[0], years[1])
        begins = [int(start) // GRID_SECONDS for start in starts]
        ends = [*begins[1:], last // GRID_SECONDS + 1]
        quarters = [int(offset) // GRID_SECONDS for offset in offsets]
        periods += zip([name] * len(begins), begins, ends, quarters, strict=True)
    return pd.DataFrame(periods, columns=["timezone", "begins", "ends", "quarters"])
