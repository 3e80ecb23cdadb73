"""The one primitive of all feature tables: counts per key as of every instant at which they changed."""

from __future__ import annotations

from datetime import datetime

from duckdb import DuckDBPyRelation

SECONDS_PER_DAY = 86_400


def session_counts(
    interactions: DuckDBPyRelation,
    keys: tuple[str, ...],
    as_of: datetime,
    *,
    prefix: str,
    half_lives_days: tuple[int, ...] = (),
    totals: tuple[str, ...] = (),
    where: str = "TRUE",
    grid_seconds: int = 3_600,
) -> DuckDBPyRelation:
    """Running session counts, one row per key and grid instant after which they changed.

    A session counts once per key, with the largest weight it has shown so far, from its first event on: a
    history read at an instant inside a session says what was known then. A decayed count is given **as of
    the key's last event**: its value at a later t is `count * 2 ** -((t - last) / half_life)`, which the
    reader applies, so that a row stays exact until the key's next event. `previous` is the last event
    before the newest session began.

    The row's `event_timestamp` is the first grid instant strictly after the events it counts: a join on
    `event_timestamp <= t` can never see an event at or after t.

    Args:
        interactions: Rows of `features.interactions`; those at or after `as_of` are ignored.
        keys: Columns to count by.
        as_of: Knowledge cut-off, zone-aware.
        prefix: Put before every count's name.
        half_lives_days: One decayed count each, rounded to 1e-6.
        totals: Numeric columns to sum since the beginning, exact to 1e-4.
        where: SQL condition on interactions, written by us, never by a user.
        grid_seconds: Width of the grid; an hour keeps every whole-hour local midnight exact.

    Returns:
        (*keys, event_timestamp, {prefix}_sessions, {prefix}_first_epoch_seconds,
        {prefix}_last_epoch_seconds, {prefix}_previous_epoch_seconds,
        {prefix}_decayed_{h}d..., {prefix}_{total}...).

    Raises:
        ValueError: `as_of` has no zone, or a half-life is not positive.

    Source:
        Exponential decay by forward weights (Cormode et al., "Forward Decay", ICDE 2009), anchored at
        the key's first session so that weights stay finite over a thousand half-lives.
    """
    if as_of.tzinfo is None:
        raise ValueError(f"as_of == {as_of}, must carry a time zone; pass UTC.")
    if any(days <= 0 for days in half_lives_days):
        raise ValueError(f"half_lives_days == {half_lives_days}, must be > 0.")
    key_list = ", ".join(keys)
    # Whole ten-thousandths add up to the same bits in any order; doubles do not, and DuckDB adds them in an
    # order that other keys and later events decide. Decays must be doubles: rounding hides the last bits.
    sums = "".join(f", sum(CAST(round({total} * 10000) AS BIGINT)) AS {total}" for total in totals)
    decays = "".join(
        f", round(sum(w / 10000.0 * pow(2, age_days / {days})) OVER past * pow(2, -age_days / {days}), 6)"
        f" AS {prefix}_decayed_{days}d"
        for days in half_lives_days
    )
    running = "".join(f", sum({total}) OVER past / 10000.0 AS {prefix}_{total}" for total in totals)
    sql = f"""
        WITH per_bucket AS (
            SELECT {key_list}, session_id, epoch_seconds // {grid_seconds} AS bucket,
                   min(epoch_seconds) AS began_at, max(epoch_seconds) AS seen_at,
                   CAST(round(max(weight) * 10000) AS BIGINT) AS top{sums}
            FROM interactions
            WHERE epoch_seconds < {int(as_of.timestamp())} AND ({where})
            GROUP BY {key_list}, session_id, bucket
        ), gained AS (
            -- What the session is worth beyond what it was worth before this bucket: sessions stay open.
            SELECT *, max(top) OVER earlier IS NULL AS opens,
                   greatest(top - coalesce(max(top) OVER earlier, 0), 0) AS w
            FROM per_bucket
            WINDOW earlier AS (PARTITION BY {key_list}, session_id ORDER BY bucket
                               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
        ), anchored AS (
            SELECT *,
                   min(began_at) OVER (PARTITION BY {key_list}) AS first_at,
                   (seen_at - min(began_at) OVER (PARTITION BY {key_list})) / {SECONDS_PER_DAY}.0 AS age_days,
                   CASE WHEN opens THEN lag(seen_at) OVER (
                       PARTITION BY {key_list} ORDER BY seen_at, session_id) END AS before_it
            FROM gained
        ), counted AS (
            SELECT {key_list}, bucket, first_at, seen_at,
                   lead(bucket) OVER (PARTITION BY {key_list} ORDER BY seen_at, session_id) AS next_bucket,
                   max(before_it) OVER past AS previous_at,
                   sum(w) OVER past / 10000.0 AS {prefix}_sessions{decays}{running}
            FROM anchored
            WINDOW past AS (PARTITION BY {key_list} ORDER BY seen_at, session_id
                            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
        )
        SELECT {key_list},
               make_timestamptz((bucket + 1) * {grid_seconds} * 1000000) AS event_timestamp,
               {prefix}_sessions,
               CAST(first_at AS DOUBLE) AS {prefix}_first_epoch_seconds,
               CAST(seen_at AS DOUBLE) AS {prefix}_last_epoch_seconds,
               CAST(previous_at AS DOUBLE) AS {prefix}_previous_epoch_seconds
               {"".join(f", {prefix}_decayed_{days}d" for days in half_lives_days)}
               {"".join(f", {prefix}_{total}" for total in totals)}
        FROM counted
        WHERE next_bucket IS DISTINCT FROM bucket
    """
    return interactions.query("interactions", sql)
