"""The time zones and categories that counts follow from: which were used, since when, and whose changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path

import pyarrow as pa
from duckdb import DuckDBPyConnection

from infra.event_lake import EventLake
from infra.feature_files import read_files, scratch


@dataclass(frozen=True)
class ChangedAttributes:
    """Known users whose zone, and known items whose category, are no longer those that were counted.

    Attributes:
        since: First UTC day on which one of them was counted.
        words: One of them, and how many more.
    """

    since: date
    words: str


def counted_attributes(
    lake: EventLake, as_of: datetime, default_timezone: str, base: Path | None, since: date | None
) -> pa.Table:
    """(kind, key, value, first_day), a row per user and item that had an event, in order.

    Args:
        lake: Its events say who; its users and items give the values.
        as_of: Knowledge cut-off.
        default_timezone: Stands in for a user's missing zone.
        base: Such rows of an earlier version, good for the days before `since`; None reads all events.
        since: First UTC day whose events are read.
    """
    begin = datetime.combine(since, time(), UTC) if since is not None else None
    connection = lake.connect(as_of, since=begin, known_keys=False)
    try:
        seen = """
            SELECT 'user' AS kind, user_id AS key, CAST(min(event_ts) AS DATE) AS first_day
            FROM events GROUP BY user_id
            UNION ALL
            SELECT 'item', item_id, CAST(min(event_ts) AS DATE)
            FROM events WHERE item_id IS NOT NULL GROUP BY item_id
        """
        if base is not None:
            seen = (
                f"SELECT kind, key, min(first_day) AS first_day FROM ({seen} UNION ALL "
                f"SELECT kind, key, first_day FROM {read_files([base])} WHERE first_day < DATE '{since}') "
                "GROUP BY kind, key"
            )
        query = f"SELECT kind, key, value, first_day FROM ({_valued(connection, seen, default_timezone)})"
        return connection.sql(f"{query} ORDER BY kind, key").to_arrow_table()
    finally:
        connection.close()


def changed_attributes(
    lake: EventLake, base: Path, default_timezone: str, before: date
) -> ChangedAttributes | None:
    """What of the rows in `base` that were first counted before a day is different now; None if nothing."""
    connection = lake.connect(known_keys=False)
    try:
        known = (
            "SELECT kind, key, first_day, value AS counted "
            f"FROM {read_files([base])} WHERE first_day < DATE '{before}'"
        )
        found = connection.execute(
            f"SELECT min(first_day), count(*), arg_min((kind, key, counted, value), key) "
            f"FROM ({_valued(connection, known, default_timezone)}) WHERE value <> counted"
        ).fetchall()[0]
    finally:
        connection.close()
    since, count, one = found
    if not count:
        return None
    kind, key, counted, value = one.values() if isinstance(one, dict) else one
    what = {"user": "the time zone of user", "item": "the category of item"}[kind]
    more = f", and {count - 1:,} more such changes" if count > 1 else ""
    return ChangedAttributes(since, f"{what} {key} is {value}, was {counted}{more}")


def attribute_digests(attributes: pa.Table) -> list[tuple[date, str]]:
    """(day, digest of all rows first counted up to and with that day), by day; the last is that of all."""
    connection = scratch()
    try:
        connection.register("attributes", attributes)
        rows = connection.execute(
            "SELECT first_day, bit_xor(hash(kind, key, value)) FROM attributes GROUP BY first_day ORDER BY 1"
        ).fetchall()
    finally:
        connection.close()
    digests, past = [], 0
    for day, digest in rows:
        past ^= digest
        digests.append((day, f"{past:016x}"))
    return digests


def _valued(connection: DuckDBPyConnection, keys: str, default_timezone: str) -> str:
    """SQL for the rows of the query `keys` with their present `value`."""
    connection.execute("CREATE OR REPLACE TEMP TABLE zone_of_unknown AS SELECT ? AS zone", [default_timezone])
    return f"""
        SELECT keys.*, CASE kind
                   WHEN 'user' THEN coalesce(nullif(u.timezone, 'unknown'), z.zone)
                   ELSE coalesce(nullif(i.category_path, ''), 'unknown') END AS value
        FROM ({keys}) AS keys CROSS JOIN zone_of_unknown z
        LEFT JOIN users u ON keys.kind = 'user' AND u.user_id = keys.key
        LEFT JOIN items i ON keys.kind = 'item' AND i.item_id = keys.key
    """
