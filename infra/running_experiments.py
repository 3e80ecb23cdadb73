"""Which experiments a change of models would spoil: those that run and have the model in an arm."""

from __future__ import annotations

import json

from sqlalchemy import text

from infra.database import Database

# An arm names its model somewhere in its treatment, by version or as whoever is champion.
_USING = """
SELECT DISTINCT e.experiment FROM kairos.experiment e JOIN kairos.experiment_arm a USING (experiment)
WHERE e.status = 'running'
  AND jsonb_path_exists(a.treatment, '$.** ? (@ == $version || @ == "champion")', CAST(:named AS jsonb))
ORDER BY 1
"""


def experiments_using(database: Database, version: str) -> tuple[str, ...]:
    """Names of the running experiments that have `version`, the champion, in an arm."""
    with database.transaction() as connection:
        rows = connection.execute(text(_USING), {"named": json.dumps({"version": version})})
        return tuple(name for (name,) in rows)
