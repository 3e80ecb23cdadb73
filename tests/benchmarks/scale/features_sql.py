"""The counted feature tables in plain DuckDB SQL, as a good data engineer writes them in an afternoon.

Events once into lines of a session, then one GROUP BY and one window a table, into one sorted Parquet file
each. Nothing is kept for the next day, nothing is checked, nothing can go on from where it stopped. Only the
specification is shared with what it is measured against: keys, half-lives, windows and what to count.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import duckdb

from features.counters import Counts
from features.table import FeatureTable
from infra.lake_files import parquet_literal

_SCENE = "device, network, region, store_id, channel, weather, daypart, weekday"
_WEIGHT = "CASE event_type WHEN 'view' THEN 0.1 WHEN 'add_to_cart' THEN 0.4 ELSE 1.0 END::DOUBLE"
_QUARTER = 900
_SESSION_LINES = f"""
    SELECT user_id, session_id, '' AS item_id, {_SCENE}, bucket, min(first_at) AS first_at,
           max(last_at) AS last_at, max(top) AS top, sum(weight) AS weight, sum(quantity) AS quantity,
           sum(amount) AS amount
    FROM lines GROUP BY ALL
    """


def write_tables(
    connection: duckdb.DuckDBPyConnection,
    lake: Path,
    tables: list[FeatureTable],
    folder: Path,
    until: datetime,
) -> dict[str, int]:
    """Rows by table; each is one file `folder/<table>.parquet`, sorted by key and time.

    Args:
        connection: In UTC.
        lake: Folder of `events/day=*/*.parquet`, users.parquet and items.parquet.
        tables: Those with `counts`.
        folder: Created when missing.
        until: Events from here on are left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    connection.execute(f"CREATE TEMP TABLE lines AS {_lines(lake, until)}")
    connection.execute(f"CREATE TEMP TABLE item_visits AS {_visits('lines', 'item_id, ')}")
    connection.execute(f"CREATE TEMP TABLE category_visits AS {_visits('lines', 'category, ')}")
    connection.execute(f"CREATE TEMP TABLE visits AS {_visits(f'({_SESSION_LINES})', '')}")
    connection.execute("DROP TABLE lines")
    connection.execute(f"CREATE TEMP TABLE pushes AS {_pushes(lake, until)}")
    rows = {}
    for table in tables:
        assert table.counts is not None
        query = _running_counts(table.counts, table.source, int(until.timestamp()))
        keys = ", ".join(table.keys)
        target = parquet_literal(folder, f"{table.name}.parquet")
        copied = connection.execute(
            f"COPY ({query} ORDER BY {keys}, event_timestamp) TO {target} (FORMAT parquet, COMPRESSION zstd)"
        )
        rows[table.name] = int(copied.fetchall()[0][0])
    return rows


def _local_events(lake: Path, until: datetime, kinds: str) -> str:
    return f"""
        SELECT *, CAST(floor(epoch(event_ts)) AS BIGINT) AS second,
               epoch_us(event_ts) // {_QUARTER}000000 AS bucket,
               CAST(isodow(local_ts) - 1 AS VARCHAR) AS weekday,
               CASE WHEN hour(local_ts) < 6 THEN 'night' WHEN hour(local_ts) < 10 THEN 'morning'
                    WHEN hour(local_ts) < 14 THEN 'midday' WHEN hour(local_ts) < 17 THEN 'afternoon'
                    WHEN hour(local_ts) < 21 THEN 'evening' ELSE 'late' END AS daypart
        FROM (
            SELECT e.*, i.category_path AS category, timezone(u.timezone, event_ts) AS local_ts
            FROM read_parquet({parquet_literal(lake, "events/*/*.parquet")}) e
            JOIN read_parquet({parquet_literal(lake, "users.parquet")}) u USING (user_id)
            JOIN read_parquet({parquet_literal(lake, "items.parquet")}) i USING (item_id)
            WHERE event_type IN ({kinds}) AND event_ts < TIMESTAMPTZ '{until.isoformat()}'
        )
        """


def _lines(lake: Path, until: datetime) -> str:
    """One row per session, item and quarter of an hour."""
    events = _local_events(lake, until, "'view', 'add_to_cart', 'purchase'")
    return f"""
        SELECT user_id, coalesce(session_id, user_id || '@' || CAST(local_ts AS DATE)) AS session_id,
               category, item_id, {_SCENE}, bucket, min(second) AS first_at, max(second) AS last_at,
               max({_WEIGHT}) AS top, sum({_WEIGHT}) AS weight,
               sum(coalesce(quantity, 1)) AS quantity, sum(coalesce(e.amount, 0)) AS amount
        FROM ({events}) e GROUP BY ALL
        """


def _visits(lines: str, thing: str) -> str:
    """What each line adds to the largest weight that its session showed so far: of a thing, or at all."""
    return f"""
        SELECT * EXCLUDE (session_id, top), 'all' AS market,
               greatest(top - coalesce(max(top) OVER before, 0), 0) AS gain,
               max(top) OVER before IS NULL AS opens
        FROM {lines}
        WINDOW before AS (PARTITION BY user_id, session_id, {thing}1
                          ORDER BY bucket, first_at, {_SCENE}, item_id
                          ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
        """


def _pushes(lake: Path, until: datetime) -> str:
    events = _local_events(lake, until, "'push_sent', 'push_opened', 'push_dismissed'")
    return f"""
        SELECT user_id, item_id, category, event_type, {_SCENE}, 'all' AS market, bucket, second AS first_at,
               second AS last_at, 1.0::DOUBLE AS gain, TRUE AS opens, 1.0::DOUBLE AS weight
        FROM ({events})
        """


def _running_counts(counts: Counts, source: str, until: int) -> str:
    keys, grid = ", ".join(counts.keys), counts.grid_seconds
    sums = [f"sum({counts.measure}) AS gain", "max(last_at) AS last_at"]
    if counts.recency:
        sums.append("min(first_at) AS first_at")
    if counts.visits:
        sums += ["count(*) FILTER (opens) AS begun", "min(first_at) FILTER (opens) AS opened"]
    sums += [f"sum({total}) AS {total}" for total in counts.totals]
    steps = f"""
        SELECT {keys}, bucket * {_QUARTER} // {grid} AS step, {", ".join(sums)}
        FROM {source} WHERE {counts.where} GROUP BY ALL
        """
    if counts.windows_hours:
        steps = _with_leavers(steps, counts, until)
    if counts.visits:
        steps = f"""
            SELECT *, CASE WHEN opened IS NOT NULL THEN lag(opened IGNORE NULLS) OVER
                               (PARTITION BY {keys} ORDER BY step) END AS before_it
            FROM ({steps})
            """
    return f"""
        SELECT {keys}, to_timestamp((step + 1) * {grid}) AS event_timestamp, {", ".join(_columns(counts))}
        FROM ({steps}) WINDOW past AS (PARTITION BY {keys} ORDER BY step ROWS UNBOUNDED PRECEDING)
        """


def _columns(counts: Counts) -> list[str]:
    prefix = counts.prefix
    columns = [f"sum(gain) OVER past AS {prefix}_{counts.running}"]
    if counts.visits:
        columns += [
            f"CAST(sum(begun) OVER past AS DOUBLE) AS {prefix}_visits",
            f"CAST(max(opened) OVER past AS DOUBLE) AS {prefix}_began_epoch_seconds",
            f"CAST(max(before_it) OVER past AS DOUBLE) AS {prefix}_previous_epoch_seconds",
        ]
    last = "CAST(max(last_at) OVER past AS DOUBLE)"
    if counts.recency:
        columns.append(f"CAST(min(first_at) OVER past AS DOUBLE) AS {prefix}_first_epoch_seconds")
    if counts.recency or counts.half_lives_days:
        columns.append(f"{last} AS {prefix}_last_epoch_seconds")
    for days in counts.half_lives_days:
        grown = f"pow(2, (last_at - (SELECT min(first_at) FROM visits)) / {days * 86_400}.0)"
        columns.append(f"sum(gain * {grown}) OVER past / {grown} AS {prefix}_decayed_{days}d")
    columns += [f"sum(in_{hours}) OVER past AS {prefix}_last_{hours}h" for hours in counts.windows_hours]
    columns += [f"sum({total}) OVER past AS {prefix}_{total}" for total in counts.totals]
    columns += [f"gain AS {prefix}_gained"] if counts.windows_hours else []
    return columns


def _with_leavers(steps: str, counts: Counts, until: int) -> str:
    """The steps, and others at which what came in leaves a window again."""
    assert not counts.recency and not counts.half_lives_days and not counts.visits and not counts.totals
    keys, grid = ", ".join(counts.keys), counts.grid_seconds
    arrivals = ", ".join(f"gain AS in_{hours}" for hours in counts.windows_hours)
    parts = [f"SELECT {keys}, step, gain, {arrivals} FROM arrived"]
    for hours in counts.windows_hours:
        later = hours * 3600 // grid
        changes = ", ".join(f"{'-gain' if other == hours else '0'}" for other in counts.windows_hours)
        parts.append(
            f"SELECT {keys}, step + {later}, 0, {changes} FROM arrived "
            f"WHERE gain > 0 AND (step + {later}) * {grid} < {until}"
        )
    sums = ", ".join(f"sum(in_{hours}) AS in_{hours}" for hours in counts.windows_hours)
    return f"""
        WITH arrived AS ({steps})
        SELECT {keys}, step, sum(gain) AS gain, {sums} FROM ({" UNION ALL ".join(parts)}) GROUP BY ALL
        """
