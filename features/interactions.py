"""Interactions: the item-level events every feature table counts, with their local time and scene."""

from __future__ import annotations

from dataclasses import dataclass

from duckdb import DuckDBPyConnection, DuckDBPyRelation

from features.scenes import SCENE_PARTS


@dataclass(frozen=True)
class EventWeights:
    """How much each event type counts, in purchase equivalents; a type without weight is not counted."""

    view: float = 0.1
    add_to_cart: float = 0.4
    purchase: float = 1.0


def build_interactions(
    connection: DuckDBPyConnection,
    *,
    default_timezone: str = "UTC",
    weights: EventWeights = EventWeights(),
) -> DuckDBPyRelation:
    """Interactions in the user's local time, one row per counted event.

    Local time is computed from each user's IANA zone. An event without a session belongs to the
    user's local day. Lines with a negative quantity (goods brought back) are no interaction.

    Args:
        connection: Offers the views `events`, `users` and `items`; `events` holds only what is known.
        default_timezone: Used where the user or the user's zone is unknown.
        weights: Purchase equivalents per event type.

    Returns:
        (user_id, item_id, category, available, event_type, weight, event_ts, epoch_seconds, timezone,
        local_midnight_epoch_seconds, local_day, local_weekday, weekday, daypart, *SCENE_PARTS, session_id,
        quantity, amount), and split where events have it. `local_day`
        counts days since 1970-01-01, `local_weekday` is 0 on Monday and `weekday` the same as a string, a
        join key.
    """
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE event_weight AS SELECT unnest(?) AS event_type, unnest(?) AS weight",
        [["view", "add_to_cart", "purchase"], [weights.view, weights.add_to_cart, weights.purchase]],
    )
    connection.execute("CREATE OR REPLACE TEMP TABLE fallback AS SELECT ? AS timezone", [default_timezone])
    # What part of a public data set an event belongs to is read where it is told, by the benchmark alone.
    split = ", split" if "split" in connection.sql("FROM events").columns else ""
    return connection.sql(
        f"""
        WITH zoned AS (
            SELECT e.*, w.weight,
                   coalesce(nullif(u.timezone, 'unknown'), f.timezone) AS timezone,
                   coalesce(nullif(i.category_path, ''), 'unknown') AS category,
                   coalesce(i.available, TRUE) AS available
            FROM events e
            JOIN event_weight w USING (event_type)
            CROSS JOIN fallback f
            LEFT JOIN users u USING (user_id)
            LEFT JOIN items i USING (item_id)
            WHERE e.item_id IS NOT NULL AND coalesce(e.quantity, 1) >= 0 AND w.weight > 0
        ), localised AS (
            SELECT *, timezone(timezone, event_ts) AS local_ts FROM zoned
        ), dated AS (
            SELECT *, date_trunc('day', local_ts) AS local_date,
                   timezone(timezone, date_trunc('day', local_ts)) AS midnight
            FROM localised
        )
        SELECT user_id, item_id, category, available, event_type, weight, event_ts,
               CAST(floor(epoch(event_ts)) AS BIGINT) AS epoch_seconds,
               timezone,
               -- Where clocks go back over midnight it happens twice; the day begins at the first.
               CAST(epoch(midnight) AS BIGINT)
                   - CASE WHEN timezone(timezone, midnight - INTERVAL 3 HOUR) = local_date THEN 10800
                          WHEN timezone(timezone, midnight - INTERVAL 2 HOUR) = local_date THEN 7200
                          WHEN timezone(timezone, midnight - INTERVAL 1 HOUR) = local_date THEN 3600
                          ELSE 0 END
                   AS local_midnight_epoch_seconds,
               CAST(date_diff('day', DATE '1970-01-01', CAST(local_ts AS DATE)) AS BIGINT) AS local_day,
               CAST(isodow(local_ts) - 1 AS BIGINT) AS local_weekday,
               CAST(isodow(local_ts) - 1 AS VARCHAR) AS weekday,
               CASE WHEN hour(local_ts) < 6 THEN 'night'
                    WHEN hour(local_ts) < 10 THEN 'morning'
                    WHEN hour(local_ts) < 14 THEN 'midday'
                    WHEN hour(local_ts) < 17 THEN 'afternoon'
                    WHEN hour(local_ts) < 21 THEN 'evening'
                    ELSE 'late' END AS daypart,
               {", ".join(SCENE_PARTS)},
               coalesce(session_id, user_id || '@' || CAST(CAST(local_ts AS DATE) AS VARCHAR)) AS session_id,
               coalesce(quantity, 1) AS quantity,
               coalesce(amount, 0) AS amount{split}
        FROM dated
        """
    )
