"""How far each flow has processed; survives restarts and `feast apply`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from features.errors import KairosError
from infra.database import Database
from infra.tables import flow_watermark


@dataclass(frozen=True)
class Watermark:
    """Where a flow stands.

    Attributes:
        flow: Its name.
        value: Everything before this instant is processed.
        fingerprint: Of the inputs of its last run; an equal one means there is nothing to do.
    """

    flow: str
    value: datetime
    fingerprint: str | None


def read_watermark(database: Database, flow: str) -> Watermark | None:
    """Where `flow` stands; None when it never ran."""
    mark = flow_watermark.c
    with database.transaction() as connection:
        row = connection.execute(
            select(mark.flow, mark.value, mark.fingerprint).where(mark.flow == flow)
        ).first()
    return None if row is None else Watermark(*row)


def advance_watermark(
    database: Database, flow: str, value: datetime, fingerprint: str | None = None
) -> Watermark:
    """Where `flow` stands now: never further back than before, so a rerun for a past date loses nothing.

    Args:
        database: Migrated.
        flow: Its name.
        value: Processed up to here; with its time zone.
        fingerprint: Of the inputs just processed; replaces the one before.
    """
    if value.tzinfo is None:
        raise KairosError(f"watermark of {flow} == {value}, must have a time zone; pass UTC.")
    new = insert(flow_watermark).values(flow=flow, value=value, fingerprint=fingerprint)
    advance = new.on_conflict_do_update(
        index_elements=["flow"],
        set_={
            "value": func.greatest(flow_watermark.c.value, new.excluded.value),
            "fingerprint": new.excluded.fingerprint,
            "updated_at": func.now(),
        },
    ).returning(flow_watermark.c.flow, flow_watermark.c.value, flow_watermark.c.fingerprint)
    with database.transaction() as connection:
        return Watermark(*connection.execute(advance).one())
