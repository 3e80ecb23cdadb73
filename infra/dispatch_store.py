"""What became of each push at the gateway: queued, claimed, and in the end sent, expired or failed, once.

due       a live push whose time has come is queued under its push_id; whoever is late is recorded as expired
claim     `FOR UPDATE SKIP LOCKED`: dispatchers at work at once take different pushes, each for a lease
confirm   what a claim holds is looked up again in the view, which asks consent, stock and kill switch anew
record    only the claim that holds a push may say what became of it

A dispatcher that is killed leaves claims whose lease runs out; another takes them over. The clock is the
database's, one for all dispatchers.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from infra.database import Database
from infra.gateway import REFUSED, RETRY, SENT, Handover, wait_before

_FEEDER_LOCK = 0x66656564  # "feed": one dispatcher queues at a time, the others go on with what there is
_QUEUED_AT_ONCE = 20_000
_OLDEST = "2 days"
"""What expired longer ago is history, not late."""


@dataclass(frozen=True)
class Claim:
    """Pushes that one dispatcher may send until its lease ends.

    Attributes:
        token: Tells this claim from any other of the same pushes.
        pushes: What goes to the gateway, `attempt` included.
        expired: Pushes that were too late after all.
        withdrawn: Pushes that policy or a newer plan has stopped since.
    """

    token: str
    pushes: tuple[dict[str, Any], ...]
    expired: int = 0
    withdrawn: int = 0

    @property
    def seen(self) -> int:
        """All pushes that were looked at."""
        return len(self.pushes) + self.expired + self.withdrawn


class DispatchStore:
    """Hands out due pushes, each to one dispatcher, and keeps what became of them."""

    def __init__(self, database: Database, *, lease_seconds: float = 60.0, max_attempts: int = 6) -> None:
        """A store on `database`, migrated."""
        self._database = database
        self._lease_seconds = lease_seconds
        self._max_attempts = max_attempts

    @contextmanager
    def connect(self) -> Iterator[psycopg.Connection]:
        """A session for the calls below."""
        with self._database.session() as session:
            yield session

    def queue_due(self, session: psycopg.Connection, now: datetime | None = None) -> tuple[int, int]:
        """(pushes queued, pushes recorded as expired) of those whose time has come by `now`.

        Args:
            session: From `connect`.
            now: Stands in for the database's clock, to dispatch a day of the past.
        """
        with session.transaction():
            locked = session.execute("SELECT pg_try_advisory_xact_lock(%s)", [_FEEDER_LOCK]).fetchone()
            if locked is None or not locked[0]:
                return 0, 0
            rows = session.execute(
                f"""
                WITH clock AS MATERIALIZED (SELECT coalesce(%(now)s, clock_timestamp()) AS now),
                added AS (
                    INSERT INTO kairos.push_dispatch (push_id, batch_id, plan_date, user_id, channel, item_id,
                        send_at, expires_at, ready_at, state, finished_at)
                    SELECT push_id, batch_id, plan_date, user_id, channel, item_id, send_at, expires_at,
                        clock_timestamp(),
                        CASE WHEN expires_at > now THEN 'queued' ELSE 'expired' END,
                        CASE WHEN expires_at > now THEN NULL ELSE clock_timestamp() END
                    FROM kairos.push_plan_live AS plan, clock
                    WHERE send_at <= now AND expires_at > now - interval '{_OLDEST}' AND NOT holdout
                      AND NOT EXISTS (
                        SELECT 1 FROM kairos.push_dispatch AS known WHERE known.push_id = plan.push_id)
                    ORDER BY send_at, push_id LIMIT {_QUEUED_AT_ONCE}
                    ON CONFLICT (push_id) DO NOTHING
                    RETURNING state
                )
                SELECT count(*) FILTER (WHERE state = 'queued'), count(*) FILTER (WHERE state = 'expired')
                FROM added
                """,
                {"now": now},
            ).fetchone()
        return rows or (0, 0)

    def claim(self, session: psycopg.Connection, limit: int, now: datetime | None = None) -> Claim:
        """At most `limit` pushes of those ready, which nobody else may send for the length of a lease."""
        token = uuid.uuid4().hex
        taken = session.execute(
            """
            WITH ready AS (
                SELECT push_id FROM kairos.push_dispatch
                WHERE finished_at IS NULL AND ready_at <= clock_timestamp()
                ORDER BY ready_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
            )
            UPDATE kairos.push_dispatch AS push
            SET state = 'claimed', claim = %(token)s, attempts = attempts + 1,
                ready_at = clock_timestamp() + make_interval(secs => %(lease)s)
            FROM ready WHERE push.push_id = ready.push_id
            """,
            {"limit": limit, "token": token, "lease": self._lease_seconds},
        ).rowcount
        if not taken:
            return Claim(token, ())
        return self._confirmed(session, token, now)

    def _confirmed(self, session: psycopg.Connection, token: str, now: datetime | None) -> Claim:
        asked = {"token": token, "now": now}
        expired = session.execute(
            """
            UPDATE kairos.push_dispatch SET state = 'expired', claim = NULL, finished_at = clock_timestamp()
            WHERE claim = %(token)s AND expires_at <= coalesce(%(now)s, clock_timestamp())
            """,
            asked,
        ).rowcount
        with session.cursor(row_factory=dict_row) as cursor:
            cursor.execute(
                """
                SELECT plan.push_id, plan.plan_date::text, plan.user_id, plan.channel, plan.slot,
                    plan.item_id,
                    (SELECT coalesce(json_agg(item.item_id ORDER BY item.rank), '[]')
                     FROM kairos.push_plan_item AS item
                     WHERE item.batch_id = plan.batch_id AND item.push_id = plan.push_id) AS items,
                    to_char(plan.send_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS send_at,
                    to_char(plan.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS expires_at,
                    plan.timezone, plan.scene, plan.reasons, plan.experiment, plan.arm, plan.model_version,
                    push.attempts AS attempt
                FROM kairos.push_dispatch AS push JOIN kairos.push_plan_live AS plan USING (push_id)
                WHERE push.claim = %(token)s AND NOT plan.holdout
                  AND plan.send_at <= coalesce(%(now)s, clock_timestamp())
                  AND plan.expires_at > coalesce(%(now)s, clock_timestamp())
                ORDER BY plan.send_at, plan.push_id
                """,
                asked,
            )
            pushes = tuple(cursor.fetchall())
        gone = {"token": token, "kept": [push["push_id"] for push in pushes]}
        # Never handed over: nothing to remember, and it is queued again should it be allowed again.
        dropped = session.execute(
            "DELETE FROM kairos.push_dispatch "
            "WHERE claim = %(token)s AND attempts = 1 AND NOT push_id = ANY(%(kept)s)",
            gone,
        ).rowcount
        stopped = session.execute(
            "UPDATE kairos.push_dispatch SET state = 'failed', claim = NULL, "
            "finished_at = clock_timestamp(), "
            "last_error = concat_ws('; ', 'withdrawn after an attempt', last_error) "
            "WHERE claim = %(token)s AND NOT push_id = ANY(%(kept)s)",
            gone,
        ).rowcount
        return Claim(token, pushes, expired, dropped + stopped)

    def record(
        self, session: psycopg.Connection, claim: Claim, outcomes: Sequence[Handover]
    ) -> dict[str, int]:
        """Pushes by what became of them: sent, retry, failed; lost is what another dispatcher took over."""
        counts = {"sent": 0, "retry": 0, "failed": 0, "lost": 0}
        told = list(zip(claim.pushes, outcomes, strict=True))
        groups: dict[tuple[str, str, float], list[str]] = {}
        for push, outcome in told:
            state, wait = "sent", 0.0
            if outcome.outcome == REFUSED or (
                outcome.outcome == RETRY and push["attempt"] >= self._max_attempts
            ):
                state = "failed"
            elif outcome.outcome == RETRY:
                state = "queued"
                wait = outcome.wait_seconds or wait_before(push["attempt"])
            else:
                assert outcome.outcome == SENT
            groups.setdefault((state, outcome.detail, wait), []).append(push["push_id"])
        with session.transaction():
            for (state, detail, wait), push_ids in groups.items():
                changed = session.execute(
                    """
                    UPDATE kairos.push_dispatch SET state = %(state)s, claim = NULL,
                        last_error = nullif(%(detail)s, ''),
                        ready_at = clock_timestamp() + make_interval(secs => %(wait)s),
                        finished_at = CASE WHEN %(state)s = 'queued' THEN NULL ELSE clock_timestamp() END
                    WHERE claim = %(token)s AND push_id = ANY(%(ids)s)
                    """,
                    {"state": state, "detail": detail, "wait": wait, "token": claim.token, "ids": push_ids},
                ).rowcount
                counts["retry" if state == "queued" else state] += changed
                counts["lost"] += len(push_ids) - changed
        return counts

    def reserve_pace(
        self, session: psycopg.Connection, gateway: str, pushes: int, per_second: float
    ) -> float:
        """Seconds to wait before handing over `pushes`, so that all dispatchers together keep the rate."""
        found = session.execute(
            """
            INSERT INTO kairos.dispatch_pace AS pace (gateway, next_at)
            VALUES (%(gateway)s, clock_timestamp() + make_interval(secs => %(takes)s))
            ON CONFLICT (gateway) DO UPDATE
            -- A clock that was set back must not stop everybody until it has caught up.
            SET next_at = make_interval(secs => %(takes)s) + least(
                greatest(pace.next_at, clock_timestamp()), clock_timestamp() + interval '1 hour')
            RETURNING extract(epoch FROM next_at - clock_timestamp())::float8
            """,
            {"gateway": gateway, "takes": pushes / per_second},
        ).fetchone()
        return max(0.0, float(found[0] if found else 0.0) - pushes / per_second)

    def ready(self, session: psycopg.Connection, limit: int) -> int:
        """How many pushes may be claimed now, counted up to `limit`."""
        found = session.execute(
            "SELECT count(*) FROM (SELECT 1 FROM kairos.push_dispatch WHERE finished_at IS NULL "
            "AND ready_at <= clock_timestamp() LIMIT %s) AS waiting",
            [limit],
        ).fetchone()
        return int(found[0]) if found else 0
