"""Who was assigned to which arm and when, on record before the plan is published; and what became of it."""

from __future__ import annotations

from datetime import date, datetime

import pandas as pd
from sqlalchemy import text

from infra.database import Database

_ADD = """
INSERT INTO kairos.experiment_unit (experiment, user_id, arm, propensity, plan_date, assigned_at)
SELECT :experiment, u.user_id, u.arm, u.propensity, :plan_date, :assigned_at
FROM unnest(CAST(:users AS text[]), CAST(:arms AS text[]), CAST(:propensities AS double precision[]))
     AS u (user_id, arm, propensity)
ON CONFLICT (experiment, user_id) DO UPDATE
SET plan_date = excluded.plan_date, assigned_at = excluded.assigned_at
WHERE excluded.plan_date < experiment_unit.plan_date
RETURNING xmax = 0 AS is_new
"""

# A unit is exposed by the first live plan that knew the experiment: by its first push that day, or else by
# the day's silence. A push that was due when the day was planned anew belongs to the earlier batch, if that
# knew the experiment.
_EXPOSURES = """
WITH knew AS MATERIALIZED (
    SELECT b.batch_id, b.plan_date, b.as_of FROM kairos.push_batch b
    WHERE b.status = 'live'
      AND EXISTS (SELECT FROM kairos.push_plan p WHERE p.batch_id = b.batch_id AND p.experiment = :experiment)
)
SELECT u.user_id AS unit_id, u.arm, u.propensity, u.assigned_at, b.plan_date, p.push_id, p.slot, p.send_at,
       p.holdout, d.finished_at AS dispatched_at,
       b.batch_id IS NOT NULL AND p.push_id IS NULL AND EXISTS (
           SELECT FROM kairos.suppression s
           WHERE s.batch_id = b.batch_id AND s.user_id = u.user_id AND s.rule <> 'no_consent'
       ) AS is_silent
FROM kairos.experiment_unit u
LEFT JOIN LATERAL (
    SELECT batch_id, plan_date, as_of FROM knew
    WHERE plan_date >= u.plan_date ORDER BY plan_date LIMIT 1
) b ON true
LEFT JOIN LATERAL (
    SELECT plan.push_id, plan.slot, plan.send_at, plan.holdout
    FROM kairos.push_plan plan JOIN kairos.push_batch made USING (batch_id)
    WHERE plan.user_id = u.user_id AND made.plan_date = b.plan_date
      AND (made.batch_id = b.batch_id OR made.status = 'superseded' AND plan.send_at < b.as_of
           AND plan.experiment = u.experiment)
    ORDER BY plan.send_at, plan.push_id LIMIT 1
) p ON true
LEFT JOIN kairos.push_dispatch d ON d.push_id = p.push_id AND d.state = 'sent'
WHERE u.experiment = :experiment AND u.assigned_at < :as_of
ORDER BY u.user_id
"""
_TIMES = ("assigned_at", "send_at", "dispatched_at")


class ExperimentUnits:
    """Records assignments and reads exposures."""

    def __init__(self, database: Database) -> None:
        """Units kept in `database`, migrated."""
        self._database = database

    def add(self, name: str, units: pd.DataFrame, plan_date: date, assigned_at: datetime) -> int:
        """How many units are new; those on record keep their arm, and the earliest day they were planned for.

        Args:
            units: (unit_id, arm, propensity).
        """
        with self._database.transaction() as connection:
            result = connection.execute(
                text(_ADD),
                {
                    "experiment": name,
                    "users": units["unit_id"].tolist(),
                    "arms": units["arm"].tolist(),
                    "propensities": units["propensity"].tolist(),
                    "plan_date": plan_date,
                    "assigned_at": assigned_at,
                },
            )
            return sum(result.scalars())

    def exposures(self, name: str, as_of: datetime) -> pd.DataFrame:
        """One row a unit assigned before `as_of`, with the push that exposes it, sent or to stay unsent.

        Returns:
            (unit_id, arm, propensity, assigned_at, plan_date, push_id, slot, send_at, holdout, dispatched_at,
            is_silent); the push's columns are null where the day had none.
        """
        with self._database.transaction() as connection:
            found = connection.execute(text(_EXPOSURES), {"experiment": name, "as_of": as_of})
            rows = pd.DataFrame(found.fetchall(), columns=list(found.keys()))
        for column in _TIMES:
            rows[column] = pd.to_datetime(rows[column], utc=True)
        return rows
