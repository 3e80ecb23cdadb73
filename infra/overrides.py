"""Who had something done although a gate said no, and why: on record, and shown by `kairos status`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, insert, select

from features.errors import UsageError
from infra.database import Database
from infra.tables import gate_override

Gate = Literal["model", "quality"]


@dataclass(frozen=True)
class Override:
    """A person's word against a gate's.

    Attributes:
        gate: 'model' promoted a version, 'quality' planned from data that had failed.
        subject: The version, or the measurement of the data.
        said: What the gate had said.
        who, why: Both are needed.
    """

    gate: Gate
    subject: str
    said: str
    who: str
    why: str

    def require_words(self) -> None:
        """Nothing; it says who and why.

        Raises:
            UsageError: It does not.
        """
        if not self.who.strip() or not self.why.strip():
            raise UsageError(
                f"an override by {self.who!r} because {self.why!r} says nothing; give a name and a reason."
            )


def record_override(connection: Connection, override: Override) -> None:
    """Nothing; the override is on record, within a transaction that does what it asks for.

    Raises:
        UsageError: As `Override.require_words`.
    """
    override.require_words()
    connection.execute(insert(gate_override).values(**vars(override)))


def newest_overrides(database: Database, count: int = 3) -> list[tuple[Override, datetime]]:
    """The last overrides and when, newest first."""
    names = (gate_override.c[name] for name in Override.__dataclass_fields__)
    query = select(*names, gate_override.c.at).order_by(gate_override.c.override.desc()).limit(count)
    with database.transaction() as connection:
        return [(Override(*row[:-1]), row.at) for row in connection.execute(query)]
