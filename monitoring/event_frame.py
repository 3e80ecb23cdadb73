"""The view that data drift is watched on: one row an event, as it came, with what is true around it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from datetime import date

from duckdb import DuckDBPyConnection

from features.calendar import DAYPART_START_HOUR
from monitoring.drift_counts import PeriodCounts, SliceCounts

PROMOTIONS = "promotions"
"""A slice that counts promotions instead of events: how many run on the day."""

VIEW = "watched_events"
PERIOD = "local_day"
SLICES = ("event_type", "daypart", "device", "network", "region", "store_id", "channel")
NUMBERS = ("amount", "quantity", "unit_price", "price_ratio", "basket_lines", "user_gap_days", "user_events")
CATEGORIES = (
    "event_type",
    "local_hour",
    "department",
    "promotion",
    "device",
    "network",
    "region",
    "store_id",
    "channel",
)
COLUMNS = (*NUMBERS, *CATEGORIES)

LEFT_OUT = ("push_sent", "push_delivered", "push_opened", "push_dismissed", "opt_out", "complaint")
"""What we do ourselves, and answers to it: a campaign is no drift."""

SHOPS_OWN = "event_type NOT IN ('" + "', '".join(LEFT_OUT) + "')"
"""The condition that leaves them out; nor are they a sign of life: pushes go on when a source has died."""

_QUERY = """
CREATE OR REPLACE TEMP TABLE {view} AS
WITH told AS (
    SELECT e.event_id, e.user_id, e.item_id, e.event_type, e.event_ts, e.amount, e.quantity,
        coalesce(e.session_id, e.user_id || '/' || CAST(CAST(e.event_ts AS DATE) AS VARCHAR)) AS session_id,
        nullif(e.device, 'unknown') AS device, nullif(e.network, 'unknown') AS network,
        nullif(e.region, 'unknown') AS region, nullif(e.store_id, 'unknown') AS store_id,
        nullif(e.channel, 'unknown') AS channel,
        timezone(coalesce(nullif(u.timezone, 'unknown'), $zone), e.event_ts) AS local_time,
        trim(split_part(i.category_path, '>', 1)) AS department
    FROM events e LEFT JOIN users u USING (user_id) LEFT JOIN items i ON i.item_id = e.item_id
    WHERE e.event_ts >= $since AND e.{shops_own}
),
promoted AS (
    SELECT event_id, min(kind) AS kind FROM (
        SELECT t.event_id, p.kind FROM told t JOIN promotions p
            ON p.item_id = t.item_id AND p.store_id = t.store_id
            AND t.event_ts >= p.starts_at AND t.event_ts < p.ends_at
        UNION ALL
        SELECT t.event_id, p.kind FROM told t JOIN promotions p
            ON p.item_id = t.item_id AND p.store_id IS NULL
            AND t.event_ts >= p.starts_at AND t.event_ts < p.ends_at
    ) GROUP BY event_id
),
sessions AS (
    SELECT session_id, user_id, min(event_ts) AS began, count(*) AS lines FROM told GROUP BY ALL
),
gaps AS (
    SELECT session_id, user_id, lines,
        epoch(began - lag(began) OVER (PARTITION BY user_id ORDER BY began)) / 86400 AS gap
    FROM sessions
),
usual AS (
    SELECT item_id, median(amount / quantity) AS price FROM told
    WHERE amount > 0 AND quantity > 0 GROUP BY item_id
)
SELECT t.event_type, t.amount, t.quantity, t.device, t.network, t.region, t.store_id, t.channel, t.department,
    CAST(t.local_time AS DATE) AS local_day,
    hour(t.local_time) AS local_hour,
    CASE {dayparts} END AS daypart,
    CASE WHEN t.quantity > 0 THEN t.amount / t.quantity END AS unit_price,
    CASE WHEN t.quantity > 0 AND usual.price > 0 THEN t.amount / t.quantity / usual.price END AS price_ratio,
    g.lines AS basket_lines,
    g.gap AS user_gap_days,
    count(*) OVER (PARTITION BY t.user_id, CAST(t.local_time AS DATE)) AS user_events,
    coalesce(pr.kind, 'none') AS promotion,
    hash(t.event_id) % 1000 AS draw
FROM told t
LEFT JOIN promoted pr USING (event_id)
LEFT JOIN gaps g ON g.session_id = t.session_id AND g.user_id = t.user_id
LEFT JOIN usual ON usual.item_id = t.item_id
"""


def promotions_running(connection: DuckDBPyConnection, default_timezone: str) -> dict[date, int]:
    """How many promotions run on each local day of the shop on which one begins or ends.

    A day without an entry has as many as the day before it.
    """
    rows = connection.execute(
        """
        WITH moves AS (
            SELECT CAST(timezone($zone, starts_at) AS DATE) AS day, count(*) AS moved FROM promotions
            WHERE starts_at IS NOT NULL GROUP BY 1
            UNION ALL
            SELECT CAST(timezone($zone, ends_at) AS DATE), -count(*) FROM promotions
            WHERE starts_at IS NOT NULL AND ends_at IS NOT NULL GROUP BY 1
        )
        SELECT day, CAST(sum(sum(moved)) OVER (ORDER BY day) AS BIGINT) FROM moves GROUP BY day ORDER BY day
        """,
        {"zone": default_timezone},
    ).fetchall()
    return dict(rows)


def with_promotions(
    counts: Mapping[date, PeriodCounts], running: Mapping[date, int]
) -> dict[date, PeriodCounts]:
    """The counts of each day with one more slice, `promotions`: how many ran on it, without columns.

    Examples:
        >>> found = with_promotions({date(2026, 3, 3): {}}, {date(2026, 3, 2): 40})
        >>> found[date(2026, 3, 3)]["promotions"].rows
        40
    """
    days = sorted(running)
    found: dict[date, PeriodCounts] = {}
    for day, slices in counts.items():
        place = bisect_right(days, day) - 1
        rows = running[days[place]] if place >= 0 else 0
        found[day] = {**slices, PROMOTIONS: SliceCounts(rows, {})}
    return found


def build_event_frame(
    connection: DuckDBPyConnection, *, since: object, default_timezone: str, view: str = VIEW
) -> None:
    """Nothing; the connection has the table `view`: one row an event from `since` on.

    Args:
        connection: Has the views events, users, items and promotions, cut at the knowledge cut-off.
        since: The first instant that counts, UTC.
        default_timezone: Of users without one.
    """
    latest_first = sorted(DAYPART_START_HOUR.items(), key=lambda one: -one[1])
    dayparts = " ".join(f"WHEN hour(t.local_time) >= {hour} THEN '{name}'" for name, hour in latest_first)
    query = _QUERY.format(view=view, dayparts=dayparts, shops_own=SHOPS_OWN)
    connection.execute(query, {"since": since, "zone": default_timezone})
