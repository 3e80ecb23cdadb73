"""Five plain feature views and the frame that asks of them: what every point-in-time contender is given.

A row per key and day on which the key changed, as a nightly job of any shop would leave it, because the
stock store joins every earlier row: on a finer grid it would not come to an end.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from infra.lake_files import parquet_literal

VIEWS: dict[str, tuple[str, ...]] = {
    "user": ("user_id",),
    "item": ("item_id",),
    "category": ("category",),
    "user_item": ("user_id", "item_id"),
    "item_store": ("item_id", "store_id"),
}
_MEASURES = {
    "lines": "sum(n) OVER past",
    "views": "sum(viewed) OVER past",
    "carts": "sum(carted) OVER past",
    "units": "sum(units) OVER past",
    "amount": "sum(amount) OVER past",
    "days": "row_number() OVER past",
    "last_day_lines": "n",
    "mean_lines": "sum(n) OVER past / row_number() OVER past",
}
_DROPPED = {"category": ("mean_lines",), "item_store": ("carts",)}


def features_of(view: str) -> list[str]:
    """The view's columns: 8, or 7 for two of them; 38 in all."""
    return [f"{view}_{name}" for name in _MEASURES if name not in _DROPPED.get(view, ())]


FEATURES = [f"{view}:{feature}" for view in VIEWS for feature in features_of(view)]


def write_views(days: str, folder: str, rows: int, memory_gb: float) -> dict[str, int]:
    """Rows by view; `folder/<view>.parquet` sorted by key and time, and `folder/entities.parquet`.

    Args:
        days: What `synthetic.write_days` left.
        folder: Created when missing.
        rows: Of the entity frame: item events at random, as a training set would ask, each at its own
            instant.
        memory_gb: What DuckDB may use.
    """
    lake, place = Path(days), Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET memory_limit = '{int(memory_gb * 1024)}MiB'")
        connection.execute(
            f"""
            CREATE TEMP TABLE lines AS
            SELECT user_id, item_id, i.category_path AS category, store_id, event_type, event_ts,
                   CAST(event_ts AS DATE) AS day, quantity, e.amount
            FROM read_parquet({parquet_literal(lake, "events/*/*.parquet")}) e
            JOIN read_parquet({parquet_literal(lake, "items.parquet")}) i USING (item_id)
            """
        )
        written = {view: _write_view(connection, view, place) for view in VIEWS}
        connection.execute(
            f"""
            COPY (
                SELECT row_number() OVER (ORDER BY hash(user_id, item_id, event_ts)) - 1 AS row_id,
                       user_id, item_id, category, store_id, event_ts AS event_timestamp
                FROM lines ORDER BY row_id LIMIT {rows}
            ) TO {parquet_literal(place, "entities.parquet")} (FORMAT parquet)
            """
        )
    return written


def _write_view(connection: duckdb.DuckDBPyConnection, view: str, folder: Path) -> int:
    keys = ", ".join(VIEWS[view])
    features = ", ".join(
        f"CAST({_MEASURES[name.removeprefix(view + '_')]} AS DOUBLE) AS {name}" for name in features_of(view)
    )
    query = f"""
        SELECT {keys}, CAST(day + 1 AS TIMESTAMPTZ) AS event_timestamp, {features}
        FROM (
            SELECT {keys}, day, count(*) AS n, count(*) FILTER (event_type = 'view') AS viewed,
                   count(*) FILTER (event_type = 'add_to_cart') AS carted, sum(quantity) AS units,
                   sum(CAST(amount AS DECIMAL(18, 2))) AS amount
            FROM lines GROUP BY ALL
        )
        WINDOW past AS (PARTITION BY {keys} ORDER BY day)
        ORDER BY {keys}, event_timestamp
        """
    target = parquet_literal(folder, f"{view}.parquet")
    copied = connection.execute(f"COPY ({query}) TO {target} (FORMAT parquet, COMPRESSION zstd)")
    return int(copied.fetchall()[0][0])
