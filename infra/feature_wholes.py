"""Tables that are only built as a whole: promotions, which are announced and not counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from duckdb import DuckDBPyConnection

from features.promotion import relevant_promotions
from features.table import FeatureTable
from infra.event_lake import EventLake
from infra.feature_files import no_rows, read_files, write_rows
from infra.feature_parts import Parts
from infra.feature_units import day_of, midnight

SOLD_SESSIONS = 10
"""Promotions are kept of items that sold at least so often, in purchase equivalents."""


def add_wholes(
    parts: Parts, lake: EventLake, tables: Sequence[FeatureTable], say: Callable[[str], None]
) -> None:
    """Adds the tables without state, as of the last midnight: to build them once a day is enough.

    Args:
        parts: Every counted table is complete in it.
        lake: Its promotions.
        tables: All tables.
        say: Told what is built.
    """
    plan = parts.plan
    day = day_of(plan.as_of)
    wholes = [table for table in tables if table.counts is None]
    if not wholes:
        return
    sellers = next(table for table in tables if _counts_items(table))
    inputs = (parts.units.name(sellers.name, day), plan.inputs["promotions"])
    units = {table.name: parts.units.whole(table, *inputs) for table in wholes}
    todo = []
    for table in wholes:
        unit = units[table.name]
        folder, known = plan.base if plan.base is not None else (None, None)
        held = known.tables.get(table.name, ()) if known is not None else ()
        if folder is not None and [segment.unit for segment in held] == [unit]:
            parts.link(table, held[0], folder / table.name / held[0].file)
        elif not parts.path(unit).exists():
            todo.append(table)
    if todo:
        connection = lake.connect(midnight(day), known_keys=False)
        try:
            _create_promotions(connection, parts, sellers)
            for table in todo:
                say(table.name)
                rows = table.build(connection.table("relevant"), midnight(day))
                write_rows(rows, table, parts.path(units[table.name]))
        finally:
            connection.close()
    for table in wholes:
        if not parts.segments(table):
            unit = units[table.name]
            parts.add(table, (plan.first, plan.end), unit, parts.path(unit))


def _create_promotions(connection: DuckDBPyConnection, parts: Parts, sellers: FeatureTable) -> None:
    """Creates the table `relevant`: promotions of items that sold before the last midnight."""
    day = day_of(parts.plan.as_of)
    files = parts.past(sellers).before(day).files
    assert sellers.counts is not None
    sold = connection.sql(
        f"SELECT DISTINCT item_id FROM {read_files(files) if files else no_rows(sellers)} "
        f"WHERE {sellers.counts.prefix}_sessions >= {SOLD_SESSIONS}"
    )
    promotions = relevant_promotions(connection, midnight(day), sold)
    connection.execute(f"CREATE TEMP TABLE relevant AS {promotions.sql_query()}")


def _counts_items(table: FeatureTable) -> bool:
    """Whether the table counts items by themselves, all the time."""
    return table.keys == ("item_id",) and table.counts is not None and not table.counts.windows_hours
