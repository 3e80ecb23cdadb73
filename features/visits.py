"""Visits: what each session adds to every count, in lines of a quarter of an hour."""

from __future__ import annotations

from datetime import datetime, timedelta

from duckdb import DuckDBPyConnection, DuckDBPyRelation

from features.calendar import DAYPARTS
from features.counters import GRID_SECONDS, UNITS
from features.interactions import EventWeights
from features.market import MARKET
from features.quarter_hours import quarter_hours, sql_text
from features.scenes import SCENE_PARTS
from features.table import Source

SESSION_LOOKBACK = timedelta(hours=24)
"""A session is judged by what it showed in the last 24 hours, so that counting can go on from any instant
with just so much of the past at hand; an id seen again after a longer silence is a new session."""

_COUNTED = "e.item_id IS NOT NULL AND coalesce(e.quantity, 1) >= 0"  # goods brought back are not
_PUSHES = dict.fromkeys(("push_sent", "push_opened", "push_dismissed"), 1.0)
_STEPS_BACK = int(SESSION_LOOKBACK.total_seconds()) // GRID_SECONDS
_CONTEXT = ", ".join((*SCENE_PARTS, "daypart", "weekday"))
_SUMS = "weight, quantity, amount"


def create_visits(
    connection: DuckDBPyConnection,
    *,
    default_timezone: str = "UTC",
    weights: EventWeights = EventWeights(),
    since: datetime | None = None,
) -> dict[Source, DuckDBPyRelation]:
    """Lines to count, as temporary tables of the connection.

    A session counts once per key, with the largest weight it has shown so far, from its first event on. A
    line says by how much that largest weight rose within its quarter of an hour (`gain`), and whether the
    session is new to the key (`opens`); a session that changes scene or daypart gives the rise to the scene
    and daypart in which it happened, so that shares of parts add up to one.

    Args:
        connection: Offers the views `events`, `users` and `items`; `events` holds only what is known, from
            SESSION_LOOKBACK before `since` on.
        default_timezone: Used where the user or the user's zone is unknown.
        weights: Purchase equivalents per event type.
        since: Lines from this instant on, a whole step of the grid; None gives all.

    Returns:
        `visits`: a line per session, `category_visits`: per session and category, `item_visits`: per session
        and item, each per quarter of an hour, scene and daypart; `pushes`: a line per push event, each adding
        one. Columns: user_id, [category], [item_id], [event_type], its scene, daypart, weekday ('0' is
        Monday), bucket (quarters of an hour since 1970), first_at, last_at (UTC seconds), gain (BIGINT,
        ten-thousandths), opens, weight, quantity, amount (BIGINT, ten-thousandths), market.
    """
    begin = int(since.timestamp()) // GRID_SECONDS if since is not None else None
    kinds = {"view": weights.view, "add_to_cart": weights.add_to_cart, "purchase": weights.purchase}
    events = quarter_hours(connection, kinds, default_timezone=default_timezone, where=_COUNTED)
    pushes = quarter_hours(connection, _PUSHES, default_timezone=default_timezone, where="TRUE")
    parts = {part: _enum(connection, part) for part in SCENE_PARTS}
    _create(connection, "item_lines", _lines_of_events(events, parts))
    _create(connection, "session_lines", _lines_of_sessions())
    # Most sessions show a thing in one line only: the others alone need a look at their earlier lines.
    _create(connection, "item_rises", _rises("item_lines", "item_id"))
    _create(connection, "category_rises", _rises("item_lines", "category"))
    _create(connection, "session_rises", _rises("session_lines", None))
    _create(connection, "item_visits", _visits_of_items(begin))
    _create(connection, "visits", _visits_of_sessions(begin))
    _create(connection, "pushes", _lines_of_pushes(pushes, parts, begin))
    for scratch in ("item_lines", "session_lines", "item_rises", "category_rises", "session_rises"):
        connection.execute(f"DROP TABLE {scratch}")
    whole = f"'{MARKET}' AS market"
    return {
        "visits": connection.sql(f"SELECT *, {whole} FROM visits"),
        "category_visits": connection.sql(
            "SELECT * EXCLUDE (gain, opens, category_gain, category_opens), category_gain AS gain, "
            f"category_opens AS opens, {whole} FROM item_visits"
        ),
        "item_visits": connection.sql(f"SELECT *, {whole} FROM item_visits"),
        "pushes": connection.sql(f"SELECT *, {whole} FROM pushes"),
    }


def _create(connection: DuckDBPyConnection, table: str, query: str) -> None:
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS {query}")


def _enum(connection: DuckDBPyConnection, part: str) -> str:
    """The type that keeps the scene part's few texts in a byte or two a line."""
    found = connection.execute(f"SELECT DISTINCT {part} FROM events WHERE {part} IS NOT NULL ORDER BY 1")
    values = [str(row[0]) for row in found.fetchall()]
    return f"ENUM({', '.join(sql_text(value) for value in values)})" if values else "VARCHAR"


def _lines_of_events(events: DuckDBPyRelation, parts: dict[str, str]) -> str:
    """A line per user, session, item, quarter of an hour and scene; daypart and weekday follow from them."""
    return f"""
        SELECT * REPLACE ({_typed(parts)}) FROM (
            SELECT user_id, hash(session_id) AS session, category, item_id, {_CONTEXT}, bucket,
                   min(epoch_seconds) AS first_at, max(epoch_seconds) AS last_at,
                   max(weight) AS top, sum(weight)::BIGINT AS weight, sum(quantity)::BIGINT AS quantity,
                   sum(amount)::BIGINT AS amount
            FROM ({events.sql_query()}) GROUP BY ALL
        )
    """


def _lines_of_sessions() -> str:
    return f"""
        SELECT user_id, session, {_CONTEXT}, bucket, min(first_at) AS first_at, max(last_at) AS last_at,
               max(top) AS top, sum(weight)::BIGINT AS weight, sum(quantity)::BIGINT AS quantity,
               sum(amount)::BIGINT AS amount
        FROM item_lines GROUP BY ALL
    """


def _rises(lines: str, thing: str | None) -> str:
    """(line, gain, opens) of lines whose session shows the thing in other lines too."""
    keys = ["user_id", "session", *([thing] if thing else [])]
    key_list = ", ".join(keys)
    ties = ", ".join(("first_at", *SCENE_PARTS, *(["item_id"] if thing == "category" else [])))
    return f"""
        SELECT line, greatest(top - greatest(coalesce(earlier, 0), coalesce(beside, 0)), 0) AS gain,
               earlier IS NULL AND beside IS NULL AS opens
        FROM (
            SELECT lines.rowid AS line, top,
                   max(top) OVER (PARTITION BY {key_list} ORDER BY bucket
                       RANGE BETWEEN {_STEPS_BACK} PRECEDING AND 1 PRECEDING) AS earlier,
                   max(top) OVER (PARTITION BY {key_list}, bucket ORDER BY {ties}
                       ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS beside
            FROM {lines} AS lines
            SEMI JOIN (SELECT {key_list} FROM {lines} GROUP BY ALL HAVING count(*) > 1) USING ({key_list})
        )
    """


def _visits_of_items(begin: int | None) -> str:
    return f"""
        SELECT user_id, category, item_id, {_CONTEXT}, bucket, first_at, last_at,
               coalesce(item.gain, top) AS gain, coalesce(item.opens, TRUE) AS opens,
               coalesce(kind.gain, top) AS category_gain, coalesce(kind.opens, TRUE) AS category_opens,
               {_SUMS}
        FROM item_lines AS lines
        LEFT JOIN item_rises AS item ON item.line = lines.rowid
        LEFT JOIN category_rises AS kind ON kind.line = lines.rowid
        WHERE {_from(begin)}
    """


def _visits_of_sessions(begin: int | None) -> str:
    return f"""
        SELECT user_id, {_CONTEXT}, bucket, first_at, last_at, coalesce(rise.gain, top) AS gain,
               coalesce(rise.opens, TRUE) AS opens, {_SUMS}
        FROM session_lines AS lines LEFT JOIN session_rises AS rise ON rise.line = lines.rowid
        WHERE {_from(begin)}
    """


def _lines_of_pushes(pushes: DuckDBPyRelation, parts: dict[str, str], begin: int | None) -> str:
    return f"""
        SELECT user_id, category, item_id, event_type, {_CONTEXT}, bucket, epoch_seconds AS first_at,
               epoch_seconds AS last_at, {UNITS}::BIGINT AS gain, TRUE AS opens, {UNITS}::BIGINT AS weight,
               0::BIGINT AS quantity, 0::BIGINT AS amount
        FROM (SELECT * REPLACE ({_typed(parts)}) FROM ({pushes.sql_query()})) WHERE {_from(begin)}
    """


def _typed(parts: dict[str, str]) -> str:
    dayparts = ", ".join(sql_text(name) for name in DAYPARTS)
    types = {**parts, "daypart": f"ENUM({dayparts})", "weekday": "ENUM('0', '1', '2', '3', '4', '5', '6')"}
    return ", ".join(f"{name}::{kind} AS {name}" for name, kind in types.items())


def _from(begin: int | None) -> str:
    return "TRUE" if begin is None else f"bucket >= {begin}"
