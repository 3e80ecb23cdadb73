"""The feature tables from events: ours, full and by one more day, and plain SQL on the same Parquet."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from features.table import FeatureTable
from features.tables import FEATURE_TABLES
from infra.event_lake import EventLake
from infra.lake_files import parquet_literal
from tests.benchmarks.scale.features_sql import write_tables
from tests.benchmarks.scale.measure import timed

COUNTED: list[FeatureTable] = [table for table in FEATURE_TABLES if table.counts is not None]
_RELATIVE = 1e-9
_ABSOLUTE = 1e-6  # the peer adds up doubles, we whole ten-thousandths


def ours(lake: str, folder: str, until: str, memory_gb: float) -> dict[str, Any]:
    """{mode, recounted, rows} of what `infra.feature_build` made of `folder`, going on from what is there."""
    from infra.feature_build import build_tables
    from infra.feature_plan import BuildOptions, plan_build
    from infra.feature_tables import FeatureTables

    event_lake, tables = EventLake(Path(lake), memory_gb=memory_gb), FeatureTables(Path(folder))
    with timed():
        plan = plan_build(event_lake, tables, datetime.fromisoformat(until), BuildOptions(code="benchmark"))
        manifest = build_tables(plan, event_lake, tables)
    tables.clean()
    rows = sum(count for name, count in manifest.rows.items() if name in {table.name for table in COUNTED})
    return {"mode": manifest.mode, "recounted": manifest.recounted, "rows": rows}


def by_hand(lake: str, folder: str, until: str, memory_gb: float) -> dict[str, Any]:
    """{rows} of the tables that plain SQL wrote to `folder`."""
    spill = Path(folder) / "spill"
    connection = duckdb.connect(
        config={"memory_limit": f"{int(memory_gb * 1024)}MiB", "temp_directory": str(spill)}
    )
    connection.execute("SET TimeZone = 'UTC'")
    # Every file is sorted by its query, so the order of what is read need not be kept.
    connection.execute("SET preserve_insertion_order = false")
    events = (Path(lake) / "current").resolve()
    with timed():
        rows = write_tables(connection, events, COUNTED, Path(folder), datetime.fromisoformat(until))
    return {"rows": sum(rows.values())}


def compare(mine: str, theirs: str, memory_gb: float, one_key_in: int = 1) -> dict[str, Any]:
    """{rows, values, differences, where} of all counted tables, row by row and value by value.

    Args:
        mine: A folder of ours.
        theirs: Another, or one that `by_hand` wrote.
        memory_gb: What DuckDB may use.
        one_key_in: Compares the rows of one key in so many.
    """
    connection = duckdb.connect(config={"memory_limit": f"{int(memory_gb * 1024)}MiB"})
    connection.execute("SET TimeZone = 'UTC'")
    compared, values, where = 0, 0, {}
    for table in COUNTED:
        left, right = (_rows(Path(folder), table, one_key_in) for folder in (mine, theirs))
        names = [column.name for column in table.columns]
        keys = ", ".join((*table.keys, "event_timestamp"))
        missing = "l.event_timestamp IS NULL OR r.event_timestamp IS NULL"
        differ = " + ".join(f"CAST({_different(name)} AS INTEGER)" for name in names)
        found = connection.sql(
            f"SELECT count(*), coalesce(sum(CASE WHEN {missing} THEN 1 ELSE {differ} END), 0) "
            f"FROM ({left}) l FULL JOIN ({right}) r USING ({keys})"
        ).fetchall()[0]
        compared += int(found[0])
        values += int(found[0]) * len(names)
        if found[1]:
            where[table.name] = int(found[1])
    return {"rows": compared, "values": values, "differences": sum(where.values()), "where": where}


def _rows(folder: Path, table: FeatureTable, one_key_in: int) -> str:
    segments = (folder / "current").is_dir()
    files = (
        parquet_literal((folder / "current").resolve() / table.name, "*.parquet")
        if segments
        else parquet_literal(folder, f"{table.name}.parquet")
    )
    keys = ", ".join(table.keys)
    picked = f"hash({keys}) % {one_key_in} = 0" if one_key_in > 1 and table.keys[0] != "market" else "TRUE"
    return f"SELECT * FROM read_parquet({files}) WHERE {picked}"


def _different(name: str) -> str:
    bound = f"{_ABSOLUTE} + {_RELATIVE} * abs(l.{name})"
    return (
        f"((l.{name} IS NULL) <> (r.{name} IS NULL) OR coalesce(abs(l.{name} - r.{name}) > {bound}, FALSE))"
    )
