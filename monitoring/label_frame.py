"""The view that labels are watched on: one row an item that a user engaged with on a local day.

What a model learns from is more than how many events there are: a tracker that loses purchases but not views,
or that tells of items nobody looked at before, moves labels while volumes stand still.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from duckdb import DuckDBPyConnection

from features.calendar import DAYPART_START_HOUR
from models.relevance import KINDS

LABELS = "labels"
"""The slice of a day's counts that counts labels instead of events."""
VIEW = "watched_labels"
COLUMNS = ("label", "label_daypart", "is_repeat", "days_since_label", "labels_of_user")
REPEAT_DAYS = 28
"""An item is one again for somebody who engaged with it at most so long ago."""

_QUERY = """
CREATE OR REPLACE TEMP TABLE {view} AS
WITH told AS (
    SELECT e.user_id, e.item_id, list_position({kinds}, e.event_type) AS grade,
        timezone(coalesce(nullif(u.timezone, 'unknown'), $zone), e.event_ts) AS local_time
    FROM events e LEFT JOIN users u USING (user_id)
    WHERE e.event_ts >= $since AND e.item_id IS NOT NULL AND e.event_type IN {kinds}
),
labels AS (
    SELECT user_id, item_id, CAST(local_time AS DATE) AS local_day, max(grade) AS grade,
        hour(arg_max(local_time, grade)) AS hour
    FROM told GROUP BY ALL
),
known AS (
    SELECT *, local_day - lag(local_day) OVER (PARTITION BY user_id, item_id ORDER BY local_day) AS gap
    FROM labels
)
SELECT local_day, {kinds}[grade] AS label, CASE {dayparts} END AS label_daypart,
    CASE WHEN gap <= {repeat} THEN 'yes' ELSE 'no' END AS is_repeat,
    CASE WHEN gap <= {repeat} THEN gap END AS days_since_label,
    count(*) OVER (PARTITION BY user_id, local_day) AS labels_of_user,
    hash(user_id, item_id, local_day) % 1000 AS draw
FROM known WHERE local_day >= CAST(timezone($zone, $first) AS DATE)
"""


def build_label_frame(
    connection: DuckDBPyConnection, *, since: datetime, default_timezone: str, view: str = VIEW
) -> None:
    """Nothing; the connection has the table `view`: one row a user, item and local day with an engagement.

    Args:
        connection: Has the views events and users, cut at the knowledge cut-off.
        since: The first instant that counts, UTC; rows begin `REPEAT_DAYS` later.
        default_timezone: Of users without one.
    """
    latest_first = sorted(DAYPART_START_HOUR.items(), key=lambda one: -one[1])
    dayparts = " ".join(f"WHEN hour >= {hour} THEN '{name}'" for name, hour in latest_first)
    kinds = ", ".join(f"'{kind}'" for kind in KINDS)
    query = _QUERY.format(view=view, dayparts=dayparts, kinds=f"[{kinds}]", repeat=REPEAT_DAYS)
    first = since + timedelta(days=REPEAT_DAYS)
    connection.execute(query, {"since": since, "zone": default_timezone, "first": first})
