"""The partitions that hold one published batch: loaded apart, attached whole, dropped without a pause.

A batch's tables are created, filled, indexed and attached in one transaction, so they exist whole or not at
all. Nothing here ever takes a lock that a reader of the plan would have to wait for.
"""

from __future__ import annotations

import time
from datetime import date
from typing import Any

import psycopg
from psycopg import sql

from features.errors import KairosError
from infra.database_errors import primary_message
from infra.plan_content import PlanContent, TableContent
from infra.tables import BATCHES_SCHEMA, SCHEMA

PARENTS = ("push_plan", "push_plan_item", "suppression")

_CHUNK_BYTES = 1 << 20
_DROP_WAIT_SECONDS = 2
_SHAPE_LOCK = 0x7368617065  # "shape": loading shares it, dropping takes it alone, else they could deadlock


def partition_of(parent: str, batch_id: str) -> sql.Identifier:
    """The name of the partition of `parent` that holds `batch_id`."""
    return sql.Identifier(BATCHES_SCHEMA, f"{parent}_{batch_id.replace('-', '_')}")


def has_partitions(session: psycopg.Connection, batch_id: str) -> bool:
    """Whether the batch's rows are in the plan's tables."""
    found = session.execute(
        "SELECT count(*) FROM pg_inherits WHERE inhrelid = ANY(%s::oid[]) AND NOT inhdetachpending",
        [[oid for parent in PARENTS if (oid := _oid(session, parent, batch_id)) is not None]],
    )
    return bool(_single(found) == len(PARENTS))


def load_partitions(
    session: psycopg.Connection, content: PlanContent, batch_id: str, plan_date: date, model_version: str
) -> None:
    """Nothing; the rows of `content` are in the plan's tables afterwards, all or none.

    Raises:
        KairosError: Rows that break a rule of their table, such as two pushes of a user in one slot.
    """
    try:
        with session.transaction():
            session.execute("SELECT pg_advisory_xact_lock_shared(%s)", [_SHAPE_LOCK])
            for table in content.tables:
                _load(session, table, batch_id, model_version)
            # A query for one date need not open the partitions of the others.
            session.execute(
                sql.SQL("ALTER TABLE {} ADD CHECK (plan_date = {})").format(
                    partition_of("push_plan", batch_id), plan_date.isoformat()
                )
            )
            for table in content.tables:
                # Attaching builds the parent's keys and indexes: after the load, where that is cheap.
                session.execute(
                    sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES IN ({})").format(
                        sql.Identifier(SCHEMA, table.table), partition_of(table.table, batch_id), batch_id
                    )
                )
    except (psycopg.IntegrityError, psycopg.DataError) as error:
        detail = f": {error.diag.message_detail}" if error.diag.message_detail else ""
        raise KairosError(
            f"the plan breaks a rule of {error.diag.table_name or 'its table'}: {primary_message(error)}"
            f"{detail.rstrip('.')}; correct the plan, nothing was published."
        ) from None


def _load(session: psycopg.Connection, table: TableContent, batch_id: str, model_version: str) -> None:
    parent, partition = sql.Identifier(SCHEMA, table.table), partition_of(table.table, batch_id)
    session.execute(
        sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)").format(
            partition, parent
        )
    )
    # What is the same in every row is not sent: it comes from the partition's own defaults.
    constants = {"batch_id": batch_id}
    if table.table == "push_plan":
        constants["model_version"] = model_version
    for column, value in constants.items():
        session.execute(
            sql.SQL("ALTER TABLE {} ALTER {} SET DEFAULT {}").format(partition, sql.Identifier(column), value)
        )
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    command = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, FREEZE)").format(partition, columns)
    with session.cursor() as cursor, cursor.copy(command) as copy:
        for start in range(0, len(table.csv), _CHUNK_BYTES):
            copy.write(table.csv[start : start + _CHUNK_BYTES])
    # Lets ATTACH skip its own check of every row.
    session.execute(sql.SQL("ALTER TABLE {} ADD CHECK (batch_id = {})").format(partition, batch_id))
    session.execute(sql.SQL("ANALYZE {}").format(partition))


def await_readers(session: psycopg.Connection, seconds: float) -> None:
    """Nothing; returns when no reader is left that could miss partitions attached by now.

    A query looks up the partitions first and takes its snapshot a moment later. One that looked before the
    attachment and takes its snapshot after the switch would see the new batch as live and none of its rows.
    Such a reader held its lock on the plan before; whoever locks it from now on sees every partition.

    Args:
        seconds: Longest wait: a forgotten open transaction must not stop the day's plan.
    """
    readers = """
        SELECT coalesce(array_agg(DISTINCT virtualtransaction), '{}') FROM pg_locks
        WHERE locktype = 'relation' AND pid <> pg_backend_pid() AND relation = ANY(%s::regclass[])
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    """
    plan = [[f"{SCHEMA}.{parent}" for parent in PARENTS]]
    before = set(_single(session.execute(readers, plan)))
    give_up = time.monotonic() + seconds
    while before and time.monotonic() < give_up:
        time.sleep(0.01)
        before &= set(_single(session.execute(readers, plan)))


def drop_partitions(session: psycopg.Connection, batch_id: str) -> bool:
    """True when the batch's rows are gone; False when a long reader delays that to the next publication."""
    alone = False
    try:
        session.execute(f"SET lock_timeout = '{_DROP_WAIT_SECONDS}s'")
        session.execute("SELECT pg_advisory_lock(%s)", [_SHAPE_LOCK])
        alone = True
        for parent in PARENTS:
            _drop(session, parent, batch_id)
    except (psycopg.errors.LockNotAvailable, psycopg.errors.ObjectNotInPrerequisiteState):
        return False  # the partition is untouched, or out of readers' sight already
    finally:
        if not session.closed:
            session.execute("RESET lock_timeout")
            if alone:
                session.execute("SELECT pg_advisory_unlock(%s)", [_SHAPE_LOCK])
    return True


def _drop(session: psycopg.Connection, parent: str, batch_id: str) -> None:
    oid = _oid(session, parent, batch_id)
    if oid is None:
        return
    partition = partition_of(parent, batch_id)
    pending = session.execute(
        "SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = %s", [oid]
    ).fetchone()
    if pending is not None:
        # Detaching first: dropping an attached partition would make every reader wait.
        how = sql.SQL("FINALIZE" if pending[0] else "CONCURRENTLY")
        session.execute(
            sql.SQL("ALTER TABLE {} DETACH PARTITION {} {}").format(
                sql.Identifier(SCHEMA, parent), partition, how
            )
        )
    session.execute(sql.SQL("DROP TABLE {}").format(partition))


def _oid(session: psycopg.Connection, parent: str, batch_id: str) -> int | None:
    oid: int | None = _single(
        session.execute("SELECT to_regclass(%s)::oid", [partition_of(parent, batch_id).as_string()])
    )
    return oid


def _single(cursor: psycopg.Cursor) -> Any:
    row = cursor.fetchone()
    return row[0] if row is not None else None
