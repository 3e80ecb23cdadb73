"""The partitions that hold one published batch: loaded apart, attached whole, dropped without a pause.

A batch's tables are filled and indexed beside the plan, then attached to it in one transaction: the plan has
all of them or none. Nothing here ever takes a lock that a reader of the plan would have to wait for.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg
from psycopg import sql
from psycopg.copy import QueuedLibpqWriter

from features.errors import KairosError
from infra.database import Database
from infra.database_errors import primary_message
from infra.plan_content import JSON_COLUMNS, SCHEMAS, PlanContent
from infra.plan_copy import HEADER, TRAILER, copy_bytes, wire_columns
from infra.tables import BATCHES_SCHEMA, SCHEMA

PARENTS = ("push_plan", "push_plan_item", "suppression")

_SESSIONS = 2
_INDEX_MEMORY = "256MB"
_STATISTICS = 10  # 3,000 rows tell what a batch is like; the default's 30,000 are most of ANALYZE's time
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
    database: Database,
    session: psycopg.Connection,
    content: PlanContent,
    batch_id: str,
    plan_date: date,
) -> None:
    """Nothing; the rows of `content` are in the plan's tables afterwards, all or none.

    The tables are filled side by side in sessions of their own, where nobody can see them yet, and attached
    together in one transaction.

    Args:
        database: Where more sessions come from.
        session: Holds the plan date's lock.

    Raises:
        KairosError: Rows that break a rule of their table, such as two pushes of a user in one slot.
    """
    loads = [_Load(parent, batch_id, plan_date, content) for parent in PARENTS]
    try:
        with session.transaction():
            session.execute("SELECT pg_advisory_xact_lock_shared(%s)", [_SHAPE_LOCK])
            for load in loads:
                load.create(session)
        with ThreadPoolExecutor(_SESSIONS) as beside:
            # The largest table goes alone; the other two share the second session.
            items = beside.submit(_fill, database, [loads[1]])
            others = beside.submit(_fill, database, [loads[0], loads[2]])
            for outcome in (items, others):
                outcome.result()
        with session.transaction():
            session.execute("SELECT pg_advisory_xact_lock_shared(%s)", [_SHAPE_LOCK])
            for load in loads:
                load.attach(session)
    except (psycopg.IntegrityError, psycopg.DataError) as error:
        detail = f": {error.diag.message_detail}" if error.diag.message_detail else ""
        raise KairosError(
            f"the plan breaks a rule of {error.diag.table_name or 'its table'}: {primary_message(error)}"
            f"{detail.rstrip('.')}; correct the plan, nothing was published."
        ) from None


def _fill(database: Database, loads: Sequence[_Load]) -> None:
    with database.session() as session:
        session.execute(f"SET maintenance_work_mem = '{_INDEX_MEMORY}'")
        session.execute(f"SET default_statistics_target = {_STATISTICS}")
        for load in loads:
            with session.transaction():
                load.fill(session)


@dataclass(frozen=True)
class _Load:
    """One table's way from rows to a partition."""

    parent: str
    batch_id: str
    plan_date: date
    content: PlanContent

    @property
    def partition(self) -> sql.Identifier:
        return partition_of(self.parent, self.batch_id)

    def create(self, session: psycopg.Connection) -> None:
        """Nothing; an empty table of the parent's columns is there."""
        session.execute(
            sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING DEFAULTS)").format(
                self.partition, sql.Identifier(SCHEMA, self.parent)
            )
        )
        changes = [
            # What is the same in every row is not sent: it comes from the partition's own defaults.
            sql.SQL("ALTER batch_id SET DEFAULT {}").format(self.batch_id)
        ]
        # Nobody searches by JSON, and sampling it is most of ANALYZE's work.
        changes += [
            sql.SQL("ALTER {} SET STATISTICS 0").format(sql.Identifier(name))
            for name in SCHEMAS[self.parent].names
            if name in JSON_COLUMNS
        ]
        session.execute(sql.SQL("ALTER TABLE {} {}").format(self.partition, sql.SQL(", ").join(changes)))

    def fill(self, session: psycopg.Connection) -> None:
        """Nothing; the table holds the rows, keeps every rule of the parent and has all its indexes."""
        # Emptied in this very transaction, so that rows are written frozen and, where nobody replicates the
        # server, without a log.
        session.execute(sql.SQL("TRUNCATE {}").format(self.partition))
        columns = sql.SQL(", ").join(map(sql.Identifier, wire_columns(SCHEMAS[self.parent])))
        command = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary, FREEZE)").format(self.partition, columns)
        with session.cursor() as cursor:
            with cursor.copy(command, writer=QueuedLibpqWriter(cursor)) as copy:
                copy.write(HEADER)
                for chunk in self.content.chunks(self.parent):
                    copy.write(copy_bytes(chunk))
                copy.write(TRAILER)
            wanted, found = self.content.digest.rows[self.parent], cursor.rowcount
        if found != wanted:
            raise KairosError(
                f"{found} rows of {self.parent} were read, must be {wanted}; its files changed meanwhile, so "
                "nothing was published: run again."
            )
        self._constrain(session)
        session.execute(sql.SQL("ANALYZE {}").format(self.partition))

    def _constrain(self, session: psycopg.Connection) -> None:
        parent = f"{SCHEMA}.{self.parent}"
        rules = session.execute(
            "SELECT contype = 'c', conname, pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE conrelid = %s::regclass AND contype IN ('c', 'p', 'u') ORDER BY contype, conname",
            [parent],
        ).fetchall()
        added = [
            # Keys are indexes too, and an index's name is the schema's, where other batches have theirs.
            (sql.SQL("ADD CONSTRAINT {} ").format(sql.Identifier(name)) if check else sql.SQL("ADD "))
            + sql.SQL(definition)
            for check, name, definition in rules
        ]
        # Lets ATTACH skip its own check of every row.
        added.append(sql.SQL("ADD CHECK (batch_id = {})").format(self.batch_id))
        if self.parent == "push_plan":
            # A query for one date need not open the partitions of the others.
            added.append(sql.SQL("ADD CHECK (plan_date = {})").format(self.plan_date.isoformat()))
        session.execute(sql.SQL("ALTER TABLE {} {}").format(self.partition, sql.SQL(", ").join(added)))
        indexes = session.execute(
            "SELECT pg_get_indexdef(indexrelid, 0, false) FROM pg_index WHERE indrelid = %s::regclass "
            "AND indexrelid NOT IN (SELECT conindid FROM pg_constraint WHERE conrelid = %s::regclass)",
            [parent, parent],
        ).fetchall()
        for (definition,) in indexes:
            _, _, what = definition.partition(" USING ")
            session.execute(sql.SQL("CREATE INDEX ON {} USING {}").format(self.partition, sql.SQL(what)))

    def attach(self, session: psycopg.Connection) -> None:
        """Nothing; the table's rows are the parent's, by their batch."""
        session.execute(
            sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES IN ({})").format(
                sql.Identifier(SCHEMA, self.parent), self.partition, self.batch_id
            )
        )


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
