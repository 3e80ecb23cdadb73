"""Most feature tables are running counts per key: this declares such a table in one call."""

from __future__ import annotations

from datetime import datetime

from duckdb import DuckDBPyRelation

from features.counters import GRID_SECONDS, Counts, Measure, count_changes
from features.table import FeatureColumn, FeatureTable, Source


def counted_table(
    name: str,
    keys: tuple[str, ...],
    prefix: str,
    *,
    of: str,
    source: Source = "item_visits",
    recency: bool = True,
    visits: bool = False,
    half_lives_days: tuple[int, ...] = (),
    windows_hours: tuple[int, ...] = (),
    totals: tuple[str, ...] = (),
    where: str = "TRUE",
    grid_seconds: int = GRID_SECONDS,
    measure: Measure = "gain",
    online: bool = True,
    max_age_hours: float | None = None,
) -> FeatureTable:
    """A feature table of running counts per `keys`, built by `features.counters`.

    Args:
        name: The table's and Feast view's name.
        keys: Join keys.
        prefix: Put before every column, so that names are unique across tables.
        of: What a session with the key is, in words, for the columns' meanings.
        source: Relation of `features.visits` to count: one row a session, a session and category, a session
            and item, or a push event; each session counts once per key.
        recency: Also the instants of the first and the last event.
        visits: Also how many sessions began, unweighted, and when the last two did.
        half_lives_days: One decayed count each, as of the key's last event.
        windows_hours: One count over the last so many hours each.
        totals: Of weight, quantity and amount: those to sum.
        where: SQL condition on the relation, written by us; a scene part leaves out 'unknown'.
        measure: Sum the lines' quantity or amount instead of counting sessions.
        grid_seconds: Instants at which rows may begin are whole multiples of this.
        online: Whether the newest row per key is kept in the online store.
        max_age_hours: See `FeatureTable`.
    """
    counts = Counts(
        keys=keys,
        prefix=prefix,
        recency=recency,
        visits=visits,
        half_lives_days=half_lives_days,
        windows_hours=windows_hours,
        totals=totals,
        where=where,
        grid_seconds=grid_seconds,
        measure=measure,
    )

    def build(relation: DuckDBPyRelation, as_of: datetime) -> DuckDBPyRelation:
        return count_changes(relation, counts, until=as_of)

    return FeatureTable(
        name,
        keys,
        _columns(counts, of),
        source,
        build,
        counts=counts,
        online=online,
        max_age_hours=max_age_hours,
    )


def _columns(counts: Counts, of: str) -> tuple[FeatureColumn, ...]:
    prefix = counts.prefix

    def column(name: str, meaning: str, unit: str, window: str, null: str = "never seen") -> FeatureColumn:
        return FeatureColumn(f"{prefix}_{name}", "float", meaning, null, unit, window)

    unit = counts.running
    worth = ", in purchase equivalents" if counts.measure == "gain" else ""
    columns = [column(unit, f"{of}{worth}", unit, "all time")]
    if counts.visits:
        columns += [
            column("visits", f"{of} that began, each counting one", "sessions", "all time"),
            column("began_epoch_seconds", f"begin of the newest of {of}", "UTC seconds", "all time"),
            column(
                "previous_epoch_seconds",
                f"begin of the last but one of {of}",
                "UTC seconds",
                "all time",
                "at most one",
            ),
        ]
    if counts.recency:
        columns += [
            column("first_epoch_seconds", f"first of {of}", "UTC seconds", "all time"),
            column("last_epoch_seconds", f"last of {of}", "UTC seconds", "all time"),
        ]
    elif counts.half_lives_days:
        columns.append(column("last_epoch_seconds", f"last of {of}", "UTC seconds", "all time"))
    columns += [
        column(f"decayed_{days}d", f"{of}, as of the last one", unit, f"half-life {days} days")
        for days in counts.half_lives_days
    ]
    columns += [
        column(f"last_{hours}h", f"{of} in the last {hours} hours", unit, f"{hours} hours")
        for hours in counts.windows_hours
    ]
    columns += [column(total, f"sum of {total} over {of}", total, "all time") for total in counts.totals]
    if counts.windows_hours:
        columns.append(column("gained", f"{of} new with this row, what later leaves", unit, "one row"))
    return tuple(columns)
