"""Challengers on their way to the champion's place: one at a time, every step with its record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection, insert, select, update

from features.errors import KairosError, RefusedError
from infra.database import Database
from infra.model_registry import move_alias, record_move, sole_mover
from infra.promotion_stages import PromotionStage, StageName, parse_stages
from infra.tables import model_rollout

Outcome = Literal["returned", "withdrawn", "superseded"]


@dataclass(frozen=True)
class Rollout:
    """A challenger that is under way, or was.

    Attributes:
        version: The challenger.
        champion: Whom it is compared with.
        stages: The setting as it was when it began; a rollout keeps to it.
        stage: Where it is, or was when it ended.
        started_at, entered_at: When it began, and came to this stage; in the data's time.
        ended_at: The same, or by the clock where a person ended it.
        outcome: None while it is under way.
        why: It is where it is.
    """

    rollout: int
    version: str
    champion: str
    stages: str
    stage: StageName
    started_at: datetime
    entered_at: datetime
    ended_at: datetime | None
    outcome: str | None
    why: str

    @property
    def plan(self) -> tuple[PromotionStage, ...]:
        """All its stages."""
        return parse_stages(self.stages)

    @property
    def now(self) -> PromotionStage:
        """The stage it is in."""
        return next(one for one in self.plan if one.name == self.stage)

    @property
    def next(self) -> PromotionStage | None:
        """The stage after this one; None when that is the champion's place."""
        place = self.plan.index(self.now) + 1
        return self.plan[place] if place < len(self.plan) else None

    def time_in(self, as_of: datetime) -> timedelta:
        """How long it has been in this stage."""
        return as_of - self.entered_at


class RolloutStore:
    """Begins, moves and ends rollouts; a step and its record are one transaction."""

    def __init__(self, database: Database) -> None:
        """Rollouts kept in `database`, migrated."""
        self._database = database

    def current(self) -> Rollout | None:
        """The one that is under way."""
        with self._database.transaction() as connection:
            return _current(connection)

    def newest(self, version: str) -> Rollout | None:
        """The last one of a version, under way or ended."""
        query = select(model_rollout).where(model_rollout.c.version == version)
        with self._database.transaction() as connection:
            row = connection.execute(query.order_by(model_rollout.c.rollout.desc()).limit(1)).first()
        return None if row is None else Rollout(**row._mapping)

    def begin(self, version: str, champion: str, stages: str, at: datetime, who: str, why: str) -> Rollout:
        """The new rollout, in the first of its stages.

        Raises:
            RefusedError: Another one is under way.
        """
        first = parse_stages(stages)[0].name
        with self._database.transaction() as connection:
            sole_mover(connection)
            if (other := _current(connection)) is not None:
                raise RefusedError(
                    f"{other.version} is in {other.stage} since {other.entered_at:%Y-%m-%d %H:%M} UTC; wait, "
                    "or end that with kairos model withdraw."
                )
            new = insert(model_rollout).values(
                version=version,
                champion=champion,
                stages=stages,
                stage=first,
                started_at=at,
                entered_at=at,
                why=why,
            )
            connection.execute(new)
            record_move(connection, first, champion, version, who, why)
            return _required(connection)

    def enter(self, rollout: Rollout, stage: StageName, at: datetime, who: str, why: str) -> Rollout:
        """The rollout in its next stage."""
        with self._database.transaction() as connection:
            _still(connection, rollout)
            _put(connection, rollout, stage=stage, entered_at=at, why=why)
            record_move(connection, stage, rollout.champion, rollout.version, who, why)
            return _required(connection)

    def promote(self, rollout: Rollout, at: datetime, who: str, why: str) -> None:
        """Nothing; its version is champion, and the rollout is over."""
        with self._database.transaction() as connection:
            _still(connection, rollout)
            move_alias(connection, "champion", rollout.version, who, why)
            _put(connection, rollout, ended_at=at, outcome="promoted", why=why)

    def end(self, rollout: Rollout, outcome: Outcome, at: datetime, who: str, why: str) -> None:
        """Nothing; the champion plans for everybody again."""
        with self._database.transaction() as connection:
            _still(connection, rollout)
            _put(connection, rollout, ended_at=at, outcome=outcome, why=why)
            record_move(connection, rollout.stage, rollout.version, rollout.champion, who, why)


def _current(connection: Connection) -> Rollout | None:
    row = connection.execute(select(model_rollout).where(model_rollout.c.ended_at.is_(None))).first()
    return None if row is None else Rollout(**row._mapping)


def _required(connection: Connection) -> Rollout:
    found = _current(connection)
    assert found is not None  # it was written a moment ago in this transaction
    return found


def _still(connection: Connection, rollout: Rollout) -> None:
    """Nothing; it stands where it was when it was read, and nobody else moves it now."""
    sole_mover(connection)
    if _current(connection) != rollout:
        raise KairosError(f"{rollout.version} was moved from {rollout.stage} by somebody else; run again.")


def _put(connection: Connection, rollout: Rollout, **values: object) -> None:
    same = model_rollout.c.rollout == rollout.rollout
    connection.execute(update(model_rollout).where(same).values(**values))
