"""What was sent of the published plans: read for measuring what became of it."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
from sqlalchemy import text

from infra.database import Database

_PUSHES = """
SELECT p.push_id, p.user_id, p.slot, p.p_engage, p.model_version, p.send_at, d.finished_at AS dispatched_at
FROM kairos.push_plan_published p
LEFT JOIN kairos.push_dispatch d ON d.push_id = p.push_id AND d.state = 'sent'
WHERE p.send_at >= :since AND p.send_at < :until AND NOT p.holdout
"""
_ITEMS = """
SELECT i.push_id, i.rank, i.item_id
FROM kairos.push_plan_item i JOIN kairos.push_plan_published p USING (push_id, batch_id)
WHERE p.send_at >= :since AND p.send_at < :until AND NOT p.holdout
"""


class SentPushes:
    """Reads pushes of live plans with what their dispatch says."""

    def __init__(self, database: Database) -> None:
        """Plans kept in `database`, migrated."""
        self._database = database

    def read(self, since: datetime, until: datetime) -> tuple[pd.DataFrame, pd.DataFrame]:
        """(pushes, their items) whose time lay within; `dispatched_at` is null where we did not send it.

        Returns:
            (push_id, user_id, slot, p_engage, model_version, send_at, dispatched_at) and
            (push_id, rank, item_id).
        """
        bounds = {"since": since, "until": until}
        with self._database.transaction() as connection:
            found = [connection.execute(text(query), bounds) for query in (_PUSHES, _ITEMS)]
            pushes, items = (pd.DataFrame(rows.fetchall(), columns=list(rows.keys())) for rows in found)
        for name in ("send_at", "dispatched_at"):
            pushes[name] = pd.to_datetime(pushes[name], utc=True)
        return pushes, items
