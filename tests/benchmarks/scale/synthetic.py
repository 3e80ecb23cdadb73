"""A made-up market of any size, the same for the same seed: a lake of days, users, items and promotions.

Everything follows from hashes of running numbers, so no random state is kept and DuckDB does all the work:
people with a daily rhythm in zones with half hours and clock changes, items by Zipf's law, sessions in which
a view may lead to a basket and a basket to a purchase, devices, networks, stores in regions, and pushes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import duckdb

from infra.event_lake import EventLake
from infra.lake_files import digest_tree, parquet_literal
from infra.lake_manifest import Manifest, TableCounts

FIRST_DAY = date(2025, 2, 1)
"""Clocks change in America on 9 March, in Europe on 30 March, in Australia on 6 April."""
ZONES = (
    *("America/New_York", "America/Chicago", "America/Los_Angeles", "America/Sao_Paulo", "America/St_Johns"),
    *("Europe/London", "Europe/Berlin", "Europe/Istanbul", "Africa/Lagos", "UTC"),
    *("Asia/Kolkata", "Asia/Kathmandu", "Asia/Tokyo", "Australia/Adelaide", "Australia/Lord_Howe"),
)
_RHYTHMS = (  # 24 weights each: commuters, homemakers, evening people, night owls
    (1, 1, 1, 1, 1, 2, 6, 9, 8, 4, 3, 3, 5, 4, 3, 3, 5, 9, 9, 7, 5, 4, 3, 2),
    (1, 1, 1, 1, 1, 1, 2, 4, 7, 9, 10, 9, 7, 6, 7, 7, 5, 4, 3, 3, 3, 2, 2, 1),
    (1, 1, 1, 1, 1, 1, 2, 3, 3, 3, 3, 3, 4, 4, 4, 4, 5, 7, 9, 11, 11, 9, 6, 3),
    (7, 6, 5, 3, 2, 1, 1, 1, 1, 2, 3, 3, 4, 4, 4, 4, 4, 4, 5, 6, 7, 8, 9, 9),
)
_EVENTS_A_SESSION = 6.67
_LONGEST_SESSION = timedelta(hours=1)


@dataclass(frozen=True)
class Market:
    """What to make; `events` is met to within a few per cent."""

    events: int = 20_000_000
    users: int = 200_000
    items: int = 20_000
    days: int = 90
    seed: int = 7


def end_of(days: int) -> datetime:
    """The midnight, UTC, after so many days."""
    return datetime.combine(FIRST_DAY + timedelta(days=days), time(), UTC)


def write_days(
    market: Market, folder: Path, *, memory_gb: float = 4.0, progress: Callable[[int], None] | None = None
) -> int:
    """Number of events written: `folder/events/day=*/part-0.parquet` and the three other tables.

    Events lie by UTC day and, within it, by time and event_id, as an ingest would leave them.

    Args:
        market: What to make.
        folder: Created when missing.
        memory_gb: What DuckDB may use.
        progress: Called with the number of days done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"SET memory_limit = '{int(memory_gb * 1024)}MiB'")
    _define(connection, market)
    rows = 0
    try:
        for name in ("users", "items", "promotions"):
            _write(connection, f"SELECT * FROM {name}", folder / f"{name}.parquet")
        connection.execute(f"CREATE TEMP TABLE sessions AS {_sessions(market)}")
        connection.execute(f"CREATE TEMP TABLE sent AS {_pushes(market)}")
        for number in range(market.days):
            day = FIRST_DAY + timedelta(days=number)
            path = folder / "events" / f"day={day}" / "part-0.parquet"
            path.parent.mkdir(parents=True)
            rows += _write(connection, _events_of(day), path)
            if progress is not None:
                progress(number + 1)
    finally:
        connection.close()
    return rows


def put_days(lake: EventLake, folder: Path, days: int, late: dict[int, float] | None = None) -> Manifest:
    """The manifest of the lake, which now holds the first `days` days that `write_days` left in `folder`.

    Goes through the lake's own staging, so everyone may read it as the result of an ingest. Files are
    linked, not copied.

    Args:
        lake: Takes them.
        folder: Where they are.
        days: How many.
        late: Number of a day, from 0, and the share of its events that have not arrived yet.
    """
    kept = sorted((folder / "events").glob("day=*"))[:days]
    connection = lake.open_scratch()
    try:
        for number, source in enumerate([*(d / "part-0.parquet" for d in kept), *folder.glob("*.parquet")]):
            target = lake.staging / source.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            if number < days and late and number in late:
                arrived = f"hash(event_id) % 10000 >= {round(late[number] * 10_000)}"
                rows = (
                    f"read_parquet({parquet_literal(source.parent, source.name)}, hive_partitioning = false)"
                )
                _write(connection, f"SELECT * FROM {rows} WHERE {arrived}", target)
            else:
                target.hardlink_to(source)
        counts = {name: TableCounts(_count(connection, lake, f"{name}.parquet"), 0, {}) for name in _OTHERS}
        counts["events"] = TableCounts(_count(connection, lake, "events/*/*.parquet"), 0, {})
        files = parquet_literal(lake.staging, "events/*/*.parquet")
        bounds = connection.sql(
            f"SELECT epoch_us(min(event_ts)), epoch_us(max(event_ts)) FROM read_parquet({files})"
        ).fetchall()[0]
    finally:
        connection.close()
    first, last = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=bound) for bound in bounds)
    fingerprint = digest_tree(lake.staging)
    manifest = Manifest(
        source="synthetic",
        source_fingerprint=fingerprint,
        fingerprint=fingerprint,
        tables=counts,
        first_event=first,
        last_event=last,
        notes=(),
        degraded=(),
    )
    lake.replace(manifest)
    return manifest


_OTHERS = ("users", "items", "promotions")


def _count(connection: duckdb.DuckDBPyConnection, lake: EventLake, pattern: str) -> int:
    files = parquet_literal(lake.staging, pattern)
    return int(connection.sql(f"SELECT count(*) FROM read_parquet({files})").fetchall()[0][0])


def _write(connection: duckdb.DuckDBPyConnection, query: str, path: Path) -> int:
    options = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE 250000"
    target = parquet_literal(path.parent, path.name)
    return int(connection.execute(f"COPY ({query}) TO {target} ({options})").fetchall()[0][0])


def _define(connection: duckdb.DuckDBPyConnection, market: Market) -> None:
    """Macros and the three small tables."""
    # A number in [0, 1) for anything that has a number, a different one for each `salt`.
    connection.execute(
        f"CREATE MACRO chance(n, salt) AS (hash(n::BIGINT, salt, {market.seed}) >> 11) / 9007199254740992.0"
    )
    connection.execute("CREATE MACRO pick(n, salt, size) AS CAST(floor(chance(n, salt) * size) AS INTEGER)")
    # Zipf with exponent 1: the k-th item is asked for in proportion to 1 / k.
    connection.execute(
        "CREATE MACRO zipf(n, salt, size) AS CAST(floor(exp(chance(n, salt) * ln(size + 1))) AS INTEGER) - 1"
    )
    zones = ", ".join(f"'{zone}'" for zone in ZONES)
    connection.execute(f"CREATE MACRO zone_of(u) AS [{zones}][1 + pick(u, 'zone', {len(ZONES)})]")
    connection.execute("CREATE MACRO region_of(u) AS 'r' || pick(u, 'region', 24)")
    connection.execute("CREATE MACRO category_of(i) AS pick(i, 'category', 400)")
    hours = ", ".join(
        "[" + ", ".join(str(h) for h in _hours(weights)) + f"][1 + pick(n, 'hour', {sum(weights)})]"
        for weights in _RHYTHMS
    )
    connection.execute(f"CREATE MACRO hour_of(n, u) AS [{hours}][1 + pick(u, 'rhythm', {len(_RHYTHMS)})]")
    before = f"TIMESTAMPTZ '{FIRST_DAY} 00:00:00+00'"
    connection.execute(
        f"""
        CREATE TEMP VIEW users AS
        SELECT 'u' || n AS user_id, {before} - to_hours(pick(n, 'signup', 20000)) AS signup_ts,
               zone_of(n) AS timezone, 'en' AS locale, region_of(n) AS region,
               chance(n, 'consent') < 0.6 AS push_consent,
               CAST(NULL AS VARCHAR) AS quiet_start, CAST(NULL AS VARCHAR) AS quiet_end,
               CAST(NULL AS DOUBLE) AS max_per_day, 'unknown' AS segment
        FROM range({market.users}) AS numbers(n) ORDER BY user_id
        """
    )
    connection.execute(
        f"""
        CREATE TEMP VIEW items AS
        SELECT 'i' || n AS item_id, 'item ' || n AS title,
               'd' || category_of(n) % 12 || ' > c' || category_of(n) AS category_path, 'unknown' AS brand,
               round(exp(chance(n, 'price') * 5), 2) AS price, CAST(NULL AS VARCHAR) AS tags,
               {before} - to_hours(pick(n, 'created', 20000)) AS created_ts,
               chance(n, 'available') < 0.98 AS available, CAST(NULL AS DOUBLE) AS stock,
               FALSE AS sensitive
        FROM range({market.items}) AS numbers(n) ORDER BY item_id
        """
    )
    connection.execute(
        f"""
        CREATE TEMP VIEW promotions AS
        SELECT 'p' || n AS promotion_id, 'i' || zipf(n, 'promoted', {market.items}) AS item_id,
               CAST(NULL AS VARCHAR) AS category_path, CAST(NULL AS VARCHAR) AS region,
               'store' || pick(n, 'promoting', 240) AS store_id, starts_at,
               starts_at + to_days(7) AS ends_at, ['display', 'mailer'][1 + pick(n, 'kind', 2)] AS kind,
               if(chance(n, 'discount') < 0.5, NULL, 0.2) AS discount
        FROM (SELECT n, {before} + to_days(pick(n, 'from', {market.days})) AS starts_at
              FROM range({market.items}) AS numbers(n))
        """
    )


def _hours(weights: tuple[int, ...]) -> list[int]:
    return [hour for hour, weight in enumerate(weights) for _ in range(weight)]


def _sessions(market: Market) -> str:
    """(n, u, begins, steps), one row a session, by time; few people come often, weekends are busier."""
    sessions = int(market.events / _EVENTS_A_SESSION * (market.days + 2) / market.days)
    day = f"DATE '{FIRST_DAY}' - 1 + pick(n, 'day', {market.days + 2})"
    return f"""
        WITH placed AS (
            SELECT CAST(n AS INTEGER) AS n,
                   CAST(floor({market.users} * chance(n, 'user') ** 2) AS INTEGER) AS u,
                   {day} + CAST(if(chance(n, 'weekend') < 0.08, 6 + pick(n, 'sunday', 2) - isodow({day}), 0)
                       AS INTEGER) AS local_day
            FROM range({sessions}) AS numbers(n)
        )
        SELECT n, u,
               timezone(zone_of(u), local_day + to_seconds(hour_of(n, u) * 3600 + pick(n, 'second', 3600)))
                   AS begins,
               1 + CAST(floor(-3.2 * ln(1 - 0.99 * chance(n, 'steps'))) AS TINYINT) AS steps
        FROM placed ORDER BY begins
        """


def _pushes(market: Market) -> str:
    """(n, u, sent_at), one row a push, by time."""
    end = market.days * 86_400
    return f"""
        SELECT n, pick(n, 'pushed', {market.users}) AS u,
               TIMESTAMPTZ '{FIRST_DAY} 00:00:00+00' + to_seconds(pick(n, 'push at', {end})) AS sent_at
        FROM range({market.events // 50}) AS numbers(n) ORDER BY sent_at
        """


def _events_of(day: date) -> str:
    """The events of one UTC day, in order."""
    begin = f"TIMESTAMPTZ '{day} 00:00:00+00'"
    end = f"{begin} + to_days(1)"
    earliest = f"{begin} - to_hours({int(_LONGEST_SESSION.total_seconds() // 3600)})"
    return f"""
        WITH steps AS (
            SELECT n, u, begins, unnest(range(steps)) AS step, CAST(n AS BIGINT) * 64 + step AS s
            FROM sessions WHERE begins >= {earliest} AND begins < {end}
        ), wished AS (
            SELECT *, CASE WHEN chance(s, 'habit') < 0.4
                           THEN zipf(u * 16::BIGINT + pick(s, 'which', 12), 'favourite', ITEMS)
                           ELSE zipf(s, 'item', ITEMS) END AS i,
                   CASE WHEN chance(s, 'cart') > 0.35 THEN ['view']
                        WHEN chance(s, 'buy') > 0.55 THEN ['view', 'add_to_cart']
                        ELSE ['view', 'add_to_cart', 'purchase'] END AS did
            FROM steps
        ), acts AS (
            SELECT *, unnest(did) AS event_type, unnest(range(len(did))) AS k FROM wished
        ), acted AS (
            SELECT n || '.' || step || '.' || k AS event_id, n, u, i, event_type,
                   begins + to_microseconds(
                       CAST(1e6 * (step * 90 + k * 25 + 20 * chance(s, 'pause')) AS BIGINT)) AS event_ts,
                   if(event_type = 'purchase', 1 + pick(s, 'units', 3), NULL) AS units, NULL AS query,
                   NULL AS push
            FROM acts
            UNION ALL
            SELECT n || '.a', n, u, NULL, if(chance(n, 'searches') < 0.2, 'search', 'app_open'), begins, NULL,
                   if(chance(n, 'searches') < 0.2, 'q' || pick(n, 'query', 500), NULL), NULL
            FROM sessions WHERE begins >= {begin} AND begins < {end}
        ), pushed AS (
            SELECT n, u, sent_at, unnest(CASE WHEN chance(n, 'opens') < 0.15 THEN ['push_sent', 'push_opened']
                                         WHEN chance(n, 'opens') < 0.35 THEN ['push_sent', 'push_dismissed']
                                         ELSE ['push_sent'] END) AS event_type
            FROM sent WHERE sent_at >= {earliest} AND sent_at < {end}
        ), everything AS (
            SELECT * FROM acted
            UNION ALL
            SELECT 'p' || n || event_type[5:7], -1 - n, u, zipf(n, 'item pushed', ITEMS), event_type,
                   sent_at + to_seconds(if(event_type = 'push_sent', 0, 60 + pick(n, 'delay', 3000))),
                   NULL, NULL, n
            FROM pushed
        ), placed AS (
            SELECT *, push IS NOT NULL AS is_push, push IS NULL AND chance(n, 'in store') < 0.25 AS in_store
            FROM everything WHERE event_ts >= {begin} AND event_ts < {end}
        )
        SELECT event_id, 'u' || u AS user_id, 'i' || i AS item_id, event_type, event_ts,
               CAST(units AS DOUBLE) AS quantity, round(units * exp(chance(i, 'price') * 5), 2) AS amount,
               if(is_push OR chance(n, 'unnamed') < 0.02, NULL, 's' || n) AS session_id, query,
               CASE WHEN in_store THEN 'unknown' WHEN chance(n, 'other device') < 0.2 THEN 'web'
                    ELSE ['ios', 'android'][1 + pick(u, 'device', 2)] END AS device,
               CASE WHEN in_store OR is_push THEN 'unknown'
                    ELSE ['wifi', '4g', '5g'][1 + pick(n, 'network', 3)] END AS network,
               if(chance(n, 'away') < 0.05, 'r' || pick(n, 'visited', 24), region_of(u)) AS region,
               if(in_store, 'store' || (CAST(region_of(u)[2:] AS INTEGER) * 10
                   + pick(u * 4 + pick(n, 'store', 3), 'stores', 10)), 'unknown') AS store_id,
               CASE WHEN is_push THEN 'push' WHEN in_store THEN 'store' ELSE 'app' END AS channel,
               'unknown' AS weather,
               'p' || push AS push_id
        FROM placed ORDER BY event_ts, event_id
        """.replace("ITEMS", "(SELECT count(*) FROM items)")
