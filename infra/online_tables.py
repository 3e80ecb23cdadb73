"""The shape of an online table: one native table a feature view, one row an entity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from feast.feature_view import FeatureView
from feast.protos.feast.types.Value_pb2 import Value
from feast.value_type import ValueType
from psycopg import sql

EVENT_TIMESTAMP = "event_timestamp"
CREATED_TIMESTAMP = "created_timestamp"
_TIMES = (EVENT_TIMESTAMP, CREATED_TIMESTAMP)


@dataclass(frozen=True)
class _Native:
    """How a Feast type is kept: PostgreSQL's name of the type and the field of Feast's value."""

    postgres: str
    field: str


_NATIVE = {
    ValueType.BOOL: _Native("boolean", "bool_val"),
    ValueType.BYTES: _Native("bytea", "bytes_val"),
    ValueType.DOUBLE: _Native("double precision", "double_val"),
    ValueType.FLOAT: _Native("real", "float_val"),
    ValueType.INT32: _Native("integer", "int32_val"),
    ValueType.INT64: _Native("bigint", "int64_val"),
    ValueType.STRING: _Native("text", "string_val"),
}


@dataclass(frozen=True)
class OnlineColumn:
    """A key or feature column.

    Attributes:
        name: As in the feature view.
        kind: Types PostgreSQL has no simple match for are kept as Feast's own bytes.
    """

    name: str
    kind: ValueType

    @property
    def postgres_type(self) -> str:
        return _NATIVE[self.kind].postgres if self.kind in _NATIVE else "bytea"

    def to_database(self, value: Value | None) -> Any:
        """What the column stores for Feast's `value`; None for a missing one."""
        field = value.WhichOneof("val") if value is not None else None
        if value is None or field is None:
            return None
        return getattr(value, field) if self.kind in _NATIVE else value.SerializeToString()

    def reader(self) -> Callable[[Any], Value]:
        """A function from a stored value to Feast's."""
        if self.kind not in _NATIVE:
            return lambda stored: Value() if stored is None else Value.FromString(bytes(stored))
        field = _NATIVE[self.kind].field
        return lambda stored: Value() if stored is None else Value(**{field: stored})


@dataclass(frozen=True)
class OnlineTable:
    """The table of one feature view: keys, features and the row's two instants."""

    schema: str
    name: str
    keys: tuple[OnlineColumn, ...]
    features: tuple[OnlineColumn, ...]

    @classmethod
    def of(cls, schema: str, view: FeatureView) -> OnlineTable:
        """The table that `view` needs."""
        return cls(
            schema,
            view.name,
            tuple(OnlineColumn(field.name, field.dtype.to_value_type()) for field in view.entity_columns),
            tuple(OnlineColumn(field.name, field.dtype.to_value_type()) for field in view.features),
        )

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)

    @property
    def columns(self) -> tuple[str, ...]:
        return (*(column.name for column in (*self.keys, *self.features)), *_TIMES)

    @property
    def column_types(self) -> dict[str, str]:
        """Name to PostgreSQL type, in the table's order."""
        types = {column.name: column.postgres_type for column in (*self.keys, *self.features)}
        return types | dict.fromkeys(_TIMES, "timestamp with time zone")

    def create(self) -> sql.Composed:
        """Creates the table, unless it exists."""
        missing = {column.name for column in self.features} | {CREATED_TIMESTAMP}
        columns = [
            sql.SQL("{} {}").format(
                sql.Identifier(name), sql.SQL(kind if name in missing else f"{kind} NOT NULL")
            )
            for name, kind in self.column_types.items()
        ]
        columns.append(sql.SQL("PRIMARY KEY ({})").format(names([key.name for key in self.keys])))
        return sql.SQL("CREATE TABLE IF NOT EXISTS {} ({})").format(
            self.identifier, sql.SQL(", ").join(columns)
        )

    def merge_from(self, staging: sql.Identifier) -> sql.Composed:
        """Takes each key's newest staged row, unless the table knows a newer one.

        Of two rows with the same event time the one created last wins, as in the point-in-time join.
        """
        keys = [key.name for key in self.keys]
        others = [name for name in self.columns if name not in keys]
        return sql.SQL(
            "INSERT INTO {table} AS kept ({columns}) SELECT DISTINCT ON ({keys}) {columns} FROM {staging} "
            "ORDER BY {keys}, {event} DESC, {created} DESC NULLS LAST "
            "ON CONFLICT ({keys}) DO UPDATE SET {updates} WHERE "
            "(excluded.{event}, coalesce(excluded.{created}, '-infinity')) >= "
            "(kept.{event}, coalesce(kept.{created}, '-infinity'))"
        ).format(
            table=self.identifier,
            columns=names(self.columns),
            keys=names(keys),
            staging=staging,
            event=sql.Identifier(EVENT_TIMESTAMP),
            created=sql.Identifier(CREATED_TIMESTAMP),
            updates=sql.SQL(", ").join(
                sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in others
            ),
        )

    def select_by_keys(self, features: Sequence[OnlineColumn]) -> sql.Composed:
        """Asks for many keys at once: columns place (from 1), event time, then `features`.

        Takes one array a key column, as parameters; keys without a row are left out.
        """
        arrays = sql.SQL(", ").join(sql.SQL(f"%s::{key.postgres_type}[]") for key in self.keys)
        aliases = names([key.name for key in self.keys])
        return sql.SQL(
            "SELECT asked.place, kept.{event}{features} FROM unnest({arrays}) WITH ORDINALITY "
            "AS asked ({aliases}, place) JOIN {table} AS kept USING ({aliases})"
        ).format(
            event=sql.Identifier(EVENT_TIMESTAMP),
            features=sql.SQL("").join(
                sql.SQL(", kept.{}").format(sql.Identifier(column.name)) for column in features
            ),
            arrays=arrays,
            aliases=aliases,
            table=self.identifier,
        )


def names(columns: Sequence[str]) -> sql.Composed:
    """The quoted names, separated by commas."""
    return sql.SQL(", ").join(sql.Identifier(name) for name in columns)


def in_utc(moment: datetime | None) -> datetime | None:
    """The instant with its zone; Feast's naive times are UTC."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
