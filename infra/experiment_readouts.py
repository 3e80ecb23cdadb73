"""What each readout of an experiment found: one row an arm and metric, and the whole of it with its look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select

from infra.database import Database
from infra.tables import experiment_decision, experiment_readout


class ExperimentReadouts:
    """Stores readouts; one made again replaces itself."""

    def __init__(self, database: Database) -> None:
        """Readouts kept in `database`, migrated."""
        self._database = database

    def replace(
        self,
        name: str,
        as_of: datetime,
        decision: str,
        winner: str | None,
        readout: Mapping[str, Any],
        effects: Iterable[Mapping[str, Any]],
    ) -> None:
        """Nothing; the readout as of that moment is this one.

        Args:
            readout: The whole, as JSON.
            effects: Rows of `experiment_readout` but for experiment and as_of.
        """
        key = {"experiment": name, "as_of": as_of}
        rows = [{**row, **key} for row in effects]
        with self._database.transaction() as connection:
            for table in (experiment_readout, experiment_decision):
                same = (table.c.experiment == name, table.c.as_of == as_of)
                connection.execute(delete(table).where(*same))
            whole = {**key, "decision": decision, "winner": winner, "readout": dict(readout)}
            connection.execute(insert(experiment_decision).values(**whole))
            if rows:
                connection.execute(insert(experiment_readout), rows)

    def read(self, name: str) -> list[dict[str, Any]]:
        """(as_of, decision, winner, readout) of every readout, the oldest first."""
        found = experiment_decision.c
        query = select(found.as_of, found.decision, found.winner, found.readout)
        with self._database.transaction() as connection:
            rows = connection.execute(query.where(found.experiment == name).order_by(found.as_of))
            return [dict(row._mapping) for row in rows]
