"""Live plans that still hold pushes of a model version that somebody has taken back.

Whether a plan is one of them is read from what is stored, so it does not matter who took the version back and
what went down before the plan was made anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import text

from infra.database import Database

_GATE = "gate"
"""Whoever it replaces has done no harm, and its plans may be sent."""

# The last move of a version led away from it. A stage names the champion too, who did not
# come or go by it. A running experiment goes on with its arms' versions.
_LEFT_BEHIND = """
WITH moved AS (
    SELECT DISTINCT ON (version) version,
        version = e.from_version AND (e.who <> :gate OR e.alias <> 'champion') AS is_back
    FROM kairos.promotion_event e, LATERAL (VALUES (e.from_version), (e.to_version)) AS named (version)
    WHERE e.alias <> 'challenger' AND version IS NOT NULL AND (e.alias = 'champion' OR NOT EXISTS (
        SELECT 1 FROM kairos.promotion_event c
        WHERE c.alias = 'champion' AND c.to_version = version AND c.event < e.event))
    ORDER BY version, e.event DESC
), back AS (
    SELECT version FROM moved WHERE is_back
)
SELECT b.plan_date, p.model_version AS version, count(*) AS pushes
FROM kairos.push_batch b JOIN kairos.push_plan p USING (batch_id)
WHERE b.status = 'live' AND b.plan_date >= :since AND p.model_version IN (SELECT version FROM back)
  AND NOT EXISTS (
    SELECT 1 FROM kairos.experiment e JOIN kairos.experiment_arm a USING (experiment)
    WHERE e.status = 'running' AND e.experiment = p.experiment
      AND a.treatment ->> 'model_version' = p.model_version)
GROUP BY 1, 2 ORDER BY 1, 2
"""


@dataclass(frozen=True)
class LeftBehind:
    """Pushes of a version that was taken back, in the live plan of a day."""

    plan_date: date
    version: str
    pushes: int


def left_behind(database: Database, since: date) -> tuple[LeftBehind, ...]:
    """Every live plan of `since` or later that holds such pushes, by day and version."""
    with database.transaction() as connection:
        rows = connection.execute(text(_LEFT_BEHIND), {"since": since, "gate": _GATE})
        return tuple(LeftBehind(**row._mapping) for row in rows)
