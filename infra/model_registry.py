"""Model versions, which of them is champion or challenger, and who moved what and why."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Row, insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from features.errors import RefusedError, UsageError
from infra.database import Database
from infra.overrides import Override, record_override
from infra.tables import gate_decision, model_alias, model_version, promotion_event

Alias = Literal["champion", "challenger"]


@dataclass(frozen=True)
class ModelVersion:
    """What is known of a version.

    Attributes:
        version: Its name and its folder's.
        status: What became of it, e.g. trained, refused.
        metrics: Evaluation results.
        lineage: Data fingerprint, feature service, commit, as_of.
        created_at: First registration.
        aliases: champion, challenger, both or none.
    """

    version: str
    status: str
    metrics: dict[str, Any]
    lineage: dict[str, Any]
    created_at: datetime
    aliases: tuple[str, ...]


@dataclass(frozen=True)
class PromotionEvent:
    """One move of an alias."""

    alias: str
    from_version: str | None
    to_version: str
    who: str
    why: str
    at: datetime


class ModelRegistry:
    """The register in Postgres; the files of a version lie in `models_dir/<version>`."""

    def __init__(self, database: Database, models_dir: Path) -> None:
        self._database = database
        self._models_dir = models_dir

    def version_dir(self, version: str) -> Path:
        """The folder of a version's files; not created here.

        Raises:
            UsageError: A name that is no plain folder name.
        """
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", version):
            raise UsageError(f"model version {version!r}: use letters, digits, dots, dashes and underscores.")
        return self._models_dir / version

    def register(
        self, version: str, metrics: dict[str, Any], lineage: dict[str, Any], status: str = "trained"
    ) -> ModelVersion:
        """The registered version. Idempotent: registering it again updates its facts.

        Metrics, lineage and status become those given; creation time and aliases stay.
        """
        self.version_dir(version)
        facts = {"status": status, "metrics": metrics, "lineage": lineage}
        row = upsert(model_version).values(version=version, **facts)
        with self._database.transaction() as connection:
            connection.execute(row.on_conflict_do_update(index_elements=["version"], set_=facts))
        return self.read(version)

    def read(self, version: str) -> ModelVersion:
        """What is known of `version`.

        Raises:
            UsageError: It is not registered.
        """
        with self._database.transaction() as connection:
            row = connection.execute(select(model_version).where(model_version.c.version == version)).first()
            aliases = _aliases(connection)
        if row is None:
            raise UsageError(f"no model version {version!r}; kairos model list shows them.")
        return _model_version(row, aliases)

    def list_versions(self) -> list[ModelVersion]:
        """All versions, newest first."""
        newest_first = model_version.c.created_at.desc(), model_version.c.version.desc()
        with self._database.transaction() as connection:
            rows = connection.execute(select(model_version).order_by(*newest_first)).all()
            aliases = _aliases(connection)
        return [_model_version(row, aliases) for row in rows]

    def champion(self) -> str | None:
        """The version that plans now."""
        return self._alias("champion")

    def challenger(self) -> str | None:
        """The version proposed to become champion."""
        return self._alias("challenger")

    def move_alias(self, alias: Alias, version: str, who: str, why: str) -> PromotionEvent:
        """The recorded move; alias and record change in one transaction.

        Moving an alias to where it is already changes nothing and returns the move that put it there.

        Raises:
            UsageError: No such version.
        """
        with self._database.transaction() as connection:
            return move_alias(connection, alias, version, who, why)

    def promote_despite(self, override: Override) -> PromotionEvent:
        """The recorded move of a version to the champion's place, and the override that asked for it.

        Raises:
            UsageError: No such version, or an override without a name or a reason.
        """
        with self._database.transaction() as connection:
            record_override(connection, override)
            return move_alias(connection, "champion", override.subject, override.who, override.why)

    def previous_champion(self) -> str:
        """The version that was champion before the present one, for rollback.

        Raises:
            RefusedError: There was none.
        """
        with self._database.transaction() as connection:
            return previous_champion(connection)

    def promotions(self, alias: Alias | None = None) -> list[PromotionEvent]:
        """Every move, newest first."""
        with self._database.transaction() as connection:
            return _events(connection, alias)

    def record_gate(
        self, subject: str, promote: bool, reasons: tuple[str, ...] | list[str], evidence: dict[str, Any]
    ) -> None:
        """Nothing; the gate's decision on `subject` (a model version) is on record."""
        row = {"subject": subject, "promote": promote, "reasons": list(reasons), "evidence": evidence}
        with self._database.transaction() as connection:
            connection.execute(insert(gate_decision).values(**row))

    def latest_gate(self, subject: str | None = None) -> dict[str, Any] | None:
        """The newest decision (on `subject`) as a dict of the columns of `gate_decision`."""
        query = select(gate_decision).order_by(gate_decision.c.decision.desc()).limit(1)
        if subject is not None:
            query = query.where(gate_decision.c.subject == subject)
        with self._database.transaction() as connection:
            row = connection.execute(query).first()
        return None if row is None else dict(row._mapping)

    def _alias(self, alias: Alias) -> str | None:
        with self._database.transaction() as connection:
            return _aliases(connection).get(alias)


def previous_champion(connection: Connection) -> str:
    """As `ModelRegistry.previous_champion`, within a transaction that does more."""
    events = _events(connection, "champion")
    if not events or events[0].from_version is None:
        raise RefusedError("no earlier champion to go back to; promote a version with kairos model promote.")
    return events[0].from_version


def sole_mover(connection: Connection) -> None:
    """Nothing; until the transaction ends nobody else moves an alias or a stage.

    Otherwise two could both record the same from_version.
    """
    connection.execute(text("LOCK TABLE kairos.model_alias IN SHARE ROW EXCLUSIVE MODE"))


def move_alias(connection: Connection, alias: Alias, version: str, who: str, why: str) -> PromotionEvent:
    """As `ModelRegistry.move_alias`, within a transaction that does more."""
    sole_mover(connection)
    known = select(model_version.c.version).where(model_version.c.version == version)
    if connection.execute(known).first() is None:
        raise UsageError(f"no model version {version!r}; kairos model list shows them.")
    before = _aliases(connection).get(alias)
    if before != version:
        move = upsert(model_alias).values(alias=alias, version=version)
        put = {"version": version, "moved_at": text("now()")}
        connection.execute(move.on_conflict_do_update(index_elements=["alias"], set_=put))
        record_move(connection, alias, before, version, who, why)
    return _events(connection, alias)[0]


def record_move(
    connection: Connection, alias: str, before: str | None, after: str, who: str, why: str
) -> None:
    """Nothing; who moved an alias or a stage from where to where, and why, is on record."""
    record = {"from_version": before, "to_version": after, "who": who, "why": why}
    connection.execute(insert(promotion_event).values(alias=alias, **record))


def _aliases(connection: Connection) -> dict[str, str]:
    return {row.alias: row.version for row in connection.execute(select(model_alias))}


def _events(connection: Connection, alias: str | None) -> list[PromotionEvent]:
    columns = [column for column in promotion_event.c if column.name != "event"]
    query = select(*columns).order_by(promotion_event.c.event.desc())
    if alias is not None:
        query = query.where(promotion_event.c.alias == alias)
    return [PromotionEvent(**row._mapping) for row in connection.execute(query)]


def _model_version(row: Row[Any], aliases: dict[str, str]) -> ModelVersion:
    own = tuple(sorted(alias for alias, version in aliases.items() if version == row.version))
    return ModelVersion(row.version, row.status, row.metrics, row.lineage, row.created_at, own)
