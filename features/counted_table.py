"""Most feature tables are session counts per key: this declares such a table in one call."""

from __future__ import annotations

from datetime import datetime

from duckdb import DuckDBPyRelation

from features.counters import session_counts
from features.table import FeatureColumn, FeatureTable


def counted_table(
    name: str,
    keys: tuple[str, ...],
    prefix: str,
    *,
    of: str,
    half_lives_days: tuple[int, ...] = (),
    totals: tuple[str, ...] = (),
    where: str = "available",
) -> FeatureTable:
    """A feature table of running session counts per `keys`, built by `features.counters`.

    Args:
        name: The table's and Feast view's name.
        keys: Join keys.
        prefix: Put before every column, so that names are unique across tables.
        of: What a session with the key is, in words, for the columns' meanings.
        half_lives_days: One decayed count each.
        totals: Numeric interaction columns to sum.
        where: SQL condition on interactions; by default what cannot be recommended is not counted.
    """

    def build(interactions: DuckDBPyRelation, as_of: datetime) -> DuckDBPyRelation:
        return session_counts(
            interactions,
            keys,
            as_of,
            prefix=prefix,
            half_lives_days=half_lives_days,
            totals=totals,
            where=where,
        )

    columns = (
        FeatureColumn(f"{prefix}_sessions", "float", f"{of}, in purchase equivalents"),
        FeatureColumn(f"{prefix}_first_epoch_seconds", "float", f"first of {of}, UTC seconds"),
        FeatureColumn(f"{prefix}_last_epoch_seconds", "float", f"last of {of}, UTC seconds"),
        FeatureColumn(
            f"{prefix}_previous_epoch_seconds", "float", f"last but one of {of}, UTC seconds", "at most one"
        ),
        *(
            FeatureColumn(
                f"{prefix}_decayed_{days}d", "float", f"{of}, half-life {days} days, as of the last one"
            )
            for days in half_lives_days
        ),
        *(FeatureColumn(f"{prefix}_{total}", "float", f"sum of {total} over {of}") for total in totals),
    )
    return FeatureTable(name, keys, columns, "interactions", build)
