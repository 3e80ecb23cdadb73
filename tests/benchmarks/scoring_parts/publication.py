"""Publishing a plan against the limit: a bare binary COPY of the same rows into tables without an index.

Both start from rows in memory, in canonical form, and end committed; ours also checks every rule, builds
every index, attaches, waits for readers and switches. pandas' `to_sql` of a few rows stands beside them.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table
from sqlalchemy import text

from infra.database import Database
from infra.plan_content import SCHEMAS, PlanRows, canonical_rows
from infra.plan_copy import HEADER, TRAILER, copy_bytes, wire_columns
from infra.plan_store import PlanStore
from tests.benchmarks.scoring_parts.made_up_plan import PLAN_DATE, PUBLICATION, MadeUpPlan, made_up_plan
from tests.benchmarks.scoring_parts.part import Effort, Found, Part, Say
from tests.benchmarks.scoring_parts.server import throwaway_database

FULL_USERS = 200_000
TO_SQL_ROWS = 5_000


def measure(effort: Effort, folder: Path, say: Say) -> Found:
    """Rows a second of all three at every size."""
    sizes = {}
    for share in effort.sizes:
        users = max(round(share * FULL_USERS), 10)
        say(f"{users:,} users")
        sizes[str(users)] = published(users, min(effort.repeats, 3))
    last = sizes[str(max(map(int, sizes)))]
    return Found(
        {name: last[name] for name in ("copy_share", "publish_rows_per_second", "bare_copy_rows_per_second")}
        | {"publication": sizes},
        f"{last['publish_rows_per_second']:,.0f} rows/s, {last['copy_share']:.2f} of a bare COPY",
        (_table(sizes),),
        (
            "rows are those of all three plan tables, in canonical form, from memory to committed; they are "
            "encoded for COPY once, when their checksum is taken, before either clock starts",
        ),
    )


def _table(sizes: dict[str, dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("users", "rows", "published, rows/s", "bare COPY, rows/s", "to_sql, rows/s", "share"):
        table.add_column(name, justify="right")
    for users, one in sizes.items():
        speeds = (one[f"{name}_rows_per_second"] for name in ("publish", "bare_copy", "to_sql"))
        told = (f"{int(users):,}", f"{one['rows']:,}", *(f"{speed:,.0f}" for speed in speeds))
        table.add_row(*told, f"{one['copy_share']:.2f}")
    return table


def published(users: int, repeats: int) -> dict[str, Any]:
    """copy_share and what it is made of: the best of `repeats` interleaved runs each."""
    plan = made_up_plan(users)
    began = time.perf_counter()
    content = canonical_rows(plan, PLAN_DATE)
    canonical_seconds = time.perf_counter() - began
    rows = sum(content.digest.rows.values())
    ours, bare = [], []
    with throwaway_database() as database:
        for repeat in range(repeats):
            bare.append(bare_copy(database, content))
            ours.append(publish(database, content, repeat))
        plain = to_sql(database, plan)
    return {
        "rows": rows,
        "canonical_seconds": canonical_seconds,
        "bare_copy_rows_per_second": rows / min(bare),
        "publish_rows_per_second": rows / min(ours),
        "to_sql_rows_per_second": plain,
        "copy_share": min(bare) / min(ours),
        "copy_share_of_each": [b / o for b, o in zip(bare, ours, strict=True)],
        "load": os.getloadavg()[0],
    }


def publish(database: Database, content: PlanRows, repeat: int) -> float:
    """Seconds of a publication that loads everything."""
    store = PlanStore(database, kept_batches=0)
    publication = PUBLICATION | {"model_version": f"model-{repeat}"}
    began = time.perf_counter()
    store.publish_content(content, **publication)
    return time.perf_counter() - began


def bare_copy(database: Database, content: PlanRows) -> float:
    """Seconds of COPY alone: bytes encoded before the clock starts, one session, tables without any rule."""
    streams = {table: [bytes(copy_bytes(chunk)) for chunk in content.chunks(table)] for table in SCHEMAS}
    with database.session() as session:
        began = time.perf_counter()
        for table, chunks in streams.items():
            columns = ", ".join(wire_columns(SCHEMAS[table]))
            with session.transaction():
                session.execute(f"CREATE TABLE bare_{table} AS SELECT {columns} FROM kairos.{table} LIMIT 0")
                command = f"COPY bare_{table} ({columns}) FROM STDIN (FORMAT binary, FREEZE)"
                with session.cursor() as cursor, cursor.copy(command) as copy:
                    for chunk in (HEADER, *chunks, TRAILER):
                        copy.write(chunk)
        seconds = time.perf_counter() - began
        for table in streams:
            session.execute(f"DROP TABLE bare_{table}")
    return seconds


def to_sql(database: Database, plan: MadeUpPlan) -> float:
    """Rows a second of pandas' own way, on a few rows."""
    few = replace(plan, items=plan.items[:TO_SQL_ROWS]).items
    few = few.assign(reasons=[json.dumps(value) for value in few["reasons"]])
    began = time.perf_counter()
    few.to_sql("few_items", database.engine, index=False)
    seconds = time.perf_counter() - began
    with database.transaction() as connection:
        connection.execute(text("DROP TABLE few_items"))
    return len(pd.DataFrame(few)) / seconds


PART = Part("publication", measure, {"copy_share": ("at least", 0.7)})
