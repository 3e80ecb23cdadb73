"""The published push plans: exactly one live batch per plan date, switched in one transaction.

publish  load into partitions of the batch's own -> attach -> wait for readers that may not see them yet
         -> one transaction: the live batch becomes superseded, the new one live
rollback one transaction: the live batch becomes rolled_back, the last superseded one live again

A crash before the switch leaves a staged batch that nobody reads; the next publication of that date removes
it, or finishes it when it is the same plan. Publishing a plan again that was replaced or rolled back
meanwhile switches back to its rows: an explicit publication overrules an earlier rollback.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pandas as pd
import psycopg
from psycopg.rows import namedtuple_row
from sqlalchemy import Select, Table, select

from features.errors import KairosError, RefusedError
from infra.database import Database
from infra.plan_content import PlanContent, PlanFrames, canonical_rows
from infra.plan_partitions import PARENTS, await_readers, drop_partitions, has_partitions, load_partitions
from infra.tables import (
    push_batch,
    push_plan,
    push_plan_item,
    push_plan_live,
    push_plan_published,
    suppression,
)

PLANNER_LOCK = 0x706C616E  # "plan": first half of the advisory lock, the date is the second
_LOCK_WAIT_SECONDS = 2.0  # a killed planner's session needs a moment to notice


@dataclass(frozen=True)
class PublishedBatch:
    """A batch the gateway reads now.

    Attributes:
        batch_id: Follows from plan date, cut-off, model, policy and content, so a rerun finds itself.
        plan_date: The day it plans.
        rows: Pushes.
        users: Users with a push.
        checksum: sha256 of the content (`plan_content`).
        changed: False when this very batch was live already and nothing was written.
    """

    batch_id: str
    plan_date: date
    rows: int
    users: int
    checksum: str
    changed: bool


@dataclass(frozen=True)
class BatchOrigin:
    """What a batch was made from."""

    plan_date: date
    as_of: datetime
    model_version: str


class PlanStore:
    """Publishes, rolls back and reads push plans."""

    def __init__(
        self, database: Database, *, kept_batches: int = 3, reader_wait_seconds: float = 10.0
    ) -> None:
        """A store on `database`.

        Args:
            database: Migrated.
            kept_batches: Replaced batches per plan date whose rows are kept for rollback.
            reader_wait_seconds: Longest wait for readers before a switch (see `await_readers`).
        """
        self._database = database
        self._kept_batches = kept_batches
        self._reader_wait_seconds = reader_wait_seconds

    def publish(
        self, plan: PlanFrames, *, plan_date: date, as_of: datetime, model_version: str, policy_version: str
    ) -> PublishedBatch:
        """The batch that is live for `plan_date` from now on; a reader sees the old plan or this one.

        Args:
            plan: pushes (one row a user and slot), items (one a push and rank), suppressions; columns as in
                `infra.tables`, without batch_id.
            plan_date: Every push's plan_date.
            as_of: Knowledge cut-off, with its time zone.
            model_version: The champion; pushes of its challenger name that themselves.
            policy_version: What decided it.

        Raises:
            KairosError: A malformed plan; another planner at work on this date; a lost connection. The plan
                that was live before stays live.
        """
        return self.publish_content(
            canonical_rows(plan, plan_date),
            plan_date=plan_date,
            as_of=as_of,
            model_version=model_version,
            policy_version=policy_version,
        )

    def publish_content(
        self,
        content: PlanContent,
        *,
        plan_date: date,
        as_of: datetime,
        model_version: str,
        policy_version: str,
        is_wanted: Callable[[], None] = lambda: None,
    ) -> PublishedBatch:
        """As `publish`, of rows in canonical form, which are read a bounded piece at a time.

        Args:
            is_wanted: Raises where the plan, which took long to make and to load, must not go live any more.
        """
        if as_of.tzinfo is None:
            raise KairosError(f"as_of == {as_of}, must have a time zone; pass UTC.")
        batch_id = _batch_id(plan_date, as_of, model_version, policy_version, content.digest.checksum)
        with self._planning(plan_date) as session:
            live = _live_batch(session, plan_date)
            changed = live is None or live.batch_id != batch_id
            if changed:
                self._stage(session, content, batch_id, plan_date, as_of, model_version, policy_version)
                await_readers(session, self._reader_wait_seconds)
                is_wanted()
                switch_batch(session, plan_date, batch_id, "superseded")
            self._clean(session, plan_date)
            return _published(_live_batch(session, plan_date), changed)

    def rollback(self, plan_date: date) -> PublishedBatch:
        """The batch that was live before the present one, live again; the present one is rolled back.

        Raises:
            RefusedError: There is none to go back to.
            KairosError: A planner is at work on this date.
        """
        with self._planning(plan_date) as session:
            row = session.execute(
                "SELECT batch_id FROM kairos.push_batch WHERE plan_date = %s AND status = 'superseded' "
                "AND dropped_at IS NULL ORDER BY published_at DESC LIMIT 1",
                [plan_date],
            ).fetchone()
            if row is None:
                raise RefusedError(
                    f"the plan for {plan_date} has no earlier batch to go back to; publish another plan."
                )
            switch_batch(session, plan_date, row[0], "rolled_back")
            return _published(_live_batch(session, plan_date), True)

    def live_batch(self, plan_date: date) -> PublishedBatch | None:
        """The live batch of `plan_date`, if any."""
        with self._database.session() as session:
            row = _live_batch(session, plan_date)
        return None if row is None else _published(row, False)

    def live_origins(self, first: date, last: date) -> list[BatchOrigin]:
        """What the live batches of the plan dates from `first` to `last` were made from, by date."""
        batch = push_batch.c
        query = select(batch.plan_date, batch.as_of, batch.model_version)
        query = query.where(batch.status == "live", batch.plan_date.between(first, last))
        with self._database.transaction() as connection:
            return [BatchOrigin(*row) for row in connection.execute(query.order_by(batch.plan_date))]

    def read_live(self, plan_date: date, user_id: str | None = None) -> pd.DataFrame:
        """The pushes of `plan_date` that the gateway may send now, one row a push, by user and time."""
        return self._read(push_plan_live, plan_date, user_id)

    def read_published(self, plan_date: date, user_id: str | None = None) -> pd.DataFrame:
        """The pushes of `plan_date` as published, those stopped since among them; else as `read_live`."""
        return self._read(push_plan_published, plan_date, user_id)

    def _read(self, view: Table, plan_date: date, user_id: str | None) -> pd.DataFrame:
        plan = view.c
        query = select(view).where(plan.plan_date == plan_date)
        if user_id is not None:
            query = query.where(plan.user_id == user_id)
        return self._frame(query.order_by(plan.user_id, plan.send_at, plan.push_id))

    def read_items(self, plan_date: date, user_id: str | None = None) -> pd.DataFrame:
        """The ranked items behind the live pushes of `plan_date`, one row a push and rank."""
        item = push_plan_item.c
        query = select(push_plan_item).where(item.batch_id == _live_id(plan_date))
        if user_id is not None:
            plan = push_plan_published.c
            pushes = select(plan.push_id).where(plan.plan_date == plan_date, plan.user_id == user_id)
            query = query.where(item.push_id.in_(pushes))
        return self._frame(query.order_by(item.push_id, item.rank))

    def read_suppressions(self, plan_date: date, user_id: str | None = None) -> pd.DataFrame:
        """What policy stopped in the live batch of `plan_date`, one row a suppression."""
        stopped = suppression.c
        query = select(suppression).where(stopped.batch_id == _live_id(plan_date))
        if user_id is not None:
            query = query.where(stopped.user_id == user_id)
        return self._frame(query.order_by(stopped.user_id, stopped.slot, stopped.item_id, stopped.rule))

    def planned_pushes(self, since: datetime, before: date | None = None) -> pd.DataFrame:
        """Published pushes with `send_at` at or after `since`, one row a push, for caps across days.

        What was stopped since counts too: it may have been sent before.

        Args:
            since: Instant, with its time zone.
            before: Only plan dates before this one. Pass the date being planned: else a rerun would count
                its own pushes and plan differently.

        Returns:
            (push_id, plan_date, user_id, slot, send_at, channel, item_id, holdout).
        """
        plan = push_plan_published.c
        query = select(
            *(plan.push_id, plan.plan_date, plan.user_id, plan.slot),
            *(plan.send_at, plan.channel, plan.item_id, plan.holdout),
        ).where(plan.send_at >= since)
        if before is not None:
            query = query.where(plan.plan_date < before)
        return self._frame(query.order_by(plan.user_id, plan.send_at, plan.push_id))

    def pushes_already_due(self, plan_date: date, as_of: datetime) -> pd.DataFrame:
        """This day's pushes that an earlier plan of it had due before `as_of`, one row a push.

        A replan during the day must not push again whom the gateway has pushed this morning. A push that a
        replan withdrew before it was due counts too: rather silent once than sent twice. Batches made at
        `as_of` itself do not count, so that a rerun plans alike.

        Returns:
            (push_id, user_id, send_at, channel).
        """
        query = (
            select(push_plan.c.push_id, push_plan.c.user_id, push_plan.c.send_at, push_plan.c.channel)
            .join(push_batch, push_batch.c.batch_id == push_plan.c.batch_id)
            .where(push_batch.c.plan_date == plan_date, push_batch.c.as_of < as_of)
            .where(push_batch.c.status.in_(("live", "superseded")), push_plan.c.send_at < as_of)
            .distinct()
        )
        return self._frame(query.order_by(push_plan.c.user_id, push_plan.c.send_at, push_plan.c.push_id))

    def _frame(self, query: Select[Any]) -> pd.DataFrame:
        with self._database.transaction() as connection:
            return pd.read_sql(query, connection)

    @contextmanager
    def _planning(self, plan_date: date) -> Iterator[psycopg.Connection]:
        """A session that alone may change the plan of `plan_date`; ending it, even by a crash, frees it."""
        with self._database.session() as session:
            give_up = time.monotonic() + _LOCK_WAIT_SECONDS
            lock = [PLANNER_LOCK, plan_date.toordinal()]
            while not _value(session.execute("SELECT pg_try_advisory_lock(%s::int, %s::int)", lock)):
                if time.monotonic() > give_up:
                    raise KairosError(
                        f"another run is publishing the plan for {plan_date}; wait for it or stop it."
                    )
                time.sleep(0.05)
            yield session

    def _stage(
        self,
        session: psycopg.Connection,
        content: PlanContent,
        batch_id: str,
        plan_date: date,
        as_of: datetime,
        model_version: str,
        policy_version: str,
    ) -> None:
        """Nothing; the batch's rows are in place and nobody reads them yet."""
        kept = session.execute(
            "SELECT 1 FROM kairos.push_batch WHERE batch_id = %s AND dropped_at IS NULL", [batch_id]
        ).fetchone()
        if kept and has_partitions(session, batch_id):
            return  # left by a crash before the switch, or replaced and kept: the same rows by construction
        self._clean(session, plan_date)
        if not drop_partitions(session, batch_id):
            raise KairosError(
                f"batch {batch_id} is still read while it is removed; end long transactions, run again."
            )
        digest = content.digest
        push, item, stopped = (digest.rows[table] for table in PARENTS)
        session.execute(
            "INSERT INTO kairos.push_batch (batch_id, plan_date, as_of, status, model_version, "
            "policy_version, rows, users, items, suppressions, checksum) "
            "VALUES (%s, %s, %s, 'staged', %s, %s, %s, %s, %s, %s, %s) "
            "ON CONFLICT (batch_id) DO UPDATE SET status = 'staged', dropped_at = NULL, created_at = now()",
            [
                *(batch_id, plan_date, as_of, model_version, policy_version),
                *(push, digest.users, item, stopped, digest.checksum),
            ],
        )
        load_partitions(self._database, session, content, batch_id, plan_date)

    def _clean(self, session: psycopg.Connection, plan_date: date) -> None:
        """Nothing; removes the rows of batches that never went live, and of those beyond the kept ones.

        The mark comes first, so a batch that is half removed is never rolled back to.
        """
        session.execute(
            "UPDATE kairos.push_batch SET dropped_at = now() WHERE dropped_at IS NULL AND batch_id IN ("
            "  SELECT batch_id FROM ("
            "    SELECT batch_id, status,"
            "      row_number() OVER (PARTITION BY status ORDER BY published_at DESC) AS age"
            "    FROM kairos.push_batch WHERE plan_date = %s AND status <> 'live' AND dropped_at IS NULL"
            "  ) AS replaced WHERE status = 'staged' OR age > %s)",
            [plan_date, self._kept_batches],
        )
        marked = session.execute(
            "SELECT batch_id FROM kairos.push_batch WHERE plan_date = %s AND dropped_at IS NOT NULL",
            [plan_date],
        ).fetchall()
        for (batch_id,) in marked:
            if drop_partitions(session, batch_id):
                session.execute(
                    "DELETE FROM kairos.push_batch WHERE batch_id = %s AND status = 'staged'", [batch_id]
                )


def _batch_id(plan_date: date, as_of: datetime, model: str, policy: str, checksum: str) -> str:
    """`20171204-<16 hex digits>`: the same for the same plan, whoever computes it."""
    identity = "\n".join((plan_date.isoformat(), str(as_of.timestamp()), model, policy, checksum))
    return f"{plan_date:%Y%m%d}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


def switch_batch(session: psycopg.Connection, plan_date: date, batch_id: str, replaced: str) -> None:
    """Nothing; `batch_id` is live and what was live before is `replaced`, in one transaction."""
    with session.transaction():
        session.execute(
            "UPDATE kairos.push_batch SET status = %s WHERE plan_date = %s AND status = 'live'",
            [replaced, plan_date],
        )
        session.execute(
            "UPDATE kairos.push_batch SET status = 'live', published_at = clock_timestamp() "
            "WHERE batch_id = %s",
            [batch_id],
        )


def _live_batch(session: psycopg.Connection, plan_date: date) -> Any:
    cursor = session.cursor(row_factory=namedtuple_row)
    cursor.execute("SELECT * FROM kairos.push_batch WHERE plan_date = %s AND status = 'live'", [plan_date])
    return cursor.fetchone()


def _published(row: Any, changed: bool) -> PublishedBatch:
    return PublishedBatch(row.batch_id, row.plan_date, row.rows, row.users, row.checksum, changed)


def _live_id(plan_date: date) -> Any:
    """The live batch's id as a subquery, evaluated once, so that only its partition is read."""
    batch = push_batch.c
    return (
        select(batch.batch_id).where(batch.plan_date == plan_date, batch.status == "live").scalar_subquery()
    )


def _value(cursor: psycopg.Cursor) -> Any:
    row = cursor.fetchone()
    return row[0] if row is not None else None
