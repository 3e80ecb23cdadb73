"""The champion's place given back, and the plans it affects with it: one transaction, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import cast

import psycopg
from sqlalchemy import text

from features.errors import KairosError
from infra.database import Database
from infra.model_registry import PromotionEvent, move_alias, previous_champion, sole_mover
from infra.plan_store import PLANNER_LOCK, switch_batch

_AFFECTED = """
SELECT l.plan_date, (
    SELECT b.batch_id FROM kairos.push_batch b
    WHERE b.plan_date = l.plan_date AND b.model_version = :earlier AND b.status = 'superseded'
      AND b.dropped_at IS NULL
      AND NOT EXISTS (
        SELECT FROM kairos.push_plan p WHERE p.batch_id = b.batch_id AND p.model_version = :version)
    ORDER BY b.published_at DESC LIMIT 1) AS batch_id
FROM kairos.push_batch l
WHERE l.status = 'live' AND l.model_version = :version AND l.plan_date >= :since
ORDER BY l.plan_date
"""


@dataclass(frozen=True)
class ModelRollback:
    """What a rollback changed.

    Attributes:
        event: The move of the alias.
        plans: (plan date, the earlier champion's batch that is live again) of every plan that was affected;
            None where the earlier champion has not planned that date, or not without the one that is taken
            back, which had pushes of its own in it as a canary.
    """

    event: PromotionEvent
    plans: tuple[tuple[date, str | None], ...]


def roll_back_model(database: Database, since: date, who: str, why: str) -> ModelRollback:
    """The champion before the present one is champion again, and so are its plans.

    Args:
        since: Plans of earlier dates stay: they have been sent.

    Raises:
        RefusedError: There was no champion before.
        KairosError: A plan that is affected is being published at this moment; nothing was changed.
    """
    with database.transaction() as connection:
        sole_mover(connection)
        earlier = previous_champion(connection)
        event = move_alias(connection, "champion", earlier, who, why)
        asked = {"earlier": earlier, "version": event.from_version, "since": since}
        plans = [(row.plan_date, row.batch_id) for row in connection.execute(text(_AFFECTED), asked)]
        session = cast(psycopg.Connection, connection.connection.driver_connection)
        for plan_date, batch_id in plans:
            lock = {"planner": PLANNER_LOCK, "date": plan_date.toordinal()}
            free = text("SELECT pg_try_advisory_xact_lock(CAST(:planner AS int), CAST(:date AS int))")
            if not connection.execute(free, lock).scalar_one():
                raise KairosError(
                    f"another run is publishing the plan for {plan_date}, so nothing was rolled back; wait."
                )
            if batch_id is not None:
                switch_batch(session, plan_date, batch_id, "rolled_back")
        return ModelRollback(event, tuple(plans))
