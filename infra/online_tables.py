"""The shape of an online table, one row an entity, and the SQL that PostgreSQL and SQLite share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pyarrow as pa
from feast.feature_view import FeatureView
from feast.protos.feast.types.EntityKey_pb2 import EntityKey

from features.errors import KairosError
from infra.online_columns import (
    CREATED_TIMESTAMP,
    EVENT_TIMESTAMP,
    INSTANT,
    OnlineColumn,
    fitting_name,
    instants,
)

STAGED = '"staged_rows"'
GONE = '"gone_keys"'


@dataclass(frozen=True)
class OnlineTable:
    """The table of one feature view: keys, features and the row's two instants.

    Attributes:
        name: The table's own name: the view's, unless that is longer than a database allows.
        keys: In the view's order; together the primary key.
        features: In the view's order.
        ttl: How old a row may be when it is read; None is for ever.
    """

    name: str
    keys: tuple[OnlineColumn, ...]
    features: tuple[OnlineColumn, ...]
    ttl: timedelta | None = None

    @classmethod
    def of(cls, view: FeatureView) -> OnlineTable:
        """The table that `view` needs."""
        keys = {
            field.name: OnlineColumn(field.name, field.dtype.to_value_type()) for field in view.entity_columns
        }
        features = [OnlineColumn(field.name, field.dtype.to_value_type()) for field in view.features]
        return cls(
            fitting_name(view.name),
            tuple(keys.values()),
            tuple(column for column in features if column.name not in keys),
            getattr(view, "ttl", None) or None,
        )

    @property
    def stored_columns(self) -> tuple[str, ...]:
        return (*(c.stored_name for c in (*self.keys, *self.features)), EVENT_TIMESTAMP, CREATED_TIMESTAMP)

    def encode(self, rows: pa.Table | pa.RecordBatch) -> pa.RecordBatch:
        """The rows as the table stores them: its columns, in its order.

        Args:
            rows: Keys, features, event_timestamp and, where there is one, created_timestamp, by name.

        Raises:
            KairosError: A column is missing, or holds what its type cannot.
        """
        names = set(rows.schema.names)
        wanted = [*(column.name for column in (*self.keys, *self.features)), EVENT_TIMESTAMP]
        missing = next((name for name in wanted if name not in names), None)
        if missing is not None:
            raise KairosError(
                f"online table {self.name!r} cannot be loaded: column {missing!r} is missing, found "
                f"{', '.join(rows.schema.names)}; write it or correct the view."
            )
        encoded = [self._encode_column(column, _flat(rows, column.name)) for column in self.keys]
        encoded += [self._encode_column(column, _flat(rows, column.name)) for column in self.features]
        encoded.append(instants(_flat(rows, EVENT_TIMESTAMP)))
        if CREATED_TIMESTAMP in names:
            encoded.append(instants(_flat(rows, CREATED_TIMESTAMP)))
        else:
            encoded.append(pa.nulls(rows.num_rows, INSTANT))
        return self._complete(pa.RecordBatch.from_arrays(encoded, names=list(self.stored_columns)))

    def encode_keys(self, rows: pa.Table) -> pa.RecordBatch:
        """The rows' keys as the table stores them; see `encode`."""
        missing = next((key.name for key in self.keys if key.name not in rows.column_names), None)
        if missing is not None:
            raise KairosError(
                f"keys of online table {self.name!r} lack column {missing!r}, found "
                f"{', '.join(rows.column_names)}; name each key column as the view does."
            )
        return pa.RecordBatch.from_arrays(
            [self._encode_column(key, _flat(rows, key.name)) for key in self.keys],
            names=[key.stored_name for key in self.keys],
        )

    def encode_values(self, rows: Sequence[tuple[EntityKey, Any, Any, Any]]) -> pa.RecordBatch:
        """The rows of Feast's `online_write_batch` as the table stores them."""
        keyed = [dict(zip(row[0].join_keys, row[0].entity_values, strict=True)) for row in rows]
        columns = [_array(column, (one.get(column.name) for one in keyed)) for column in self.keys]
        columns += [_array(column, (row[1].get(column.name) for row in rows)) for column in self.features]
        times = [instants(pa.array([row[at] for row in rows])) for at in (2, 3)]
        return self._complete(pa.RecordBatch.from_arrays([*columns, *times], names=list(self.stored_columns)))

    def _encode_column(self, column: OnlineColumn, values: pa.Array) -> pa.Array:
        try:
            return column.from_arrow(values)
        except (pa.ArrowException, TypeError, ValueError, AssertionError, AttributeError) as error:
            raise KairosError(
                f"online table {self.name!r}: column {column.name!r} is {values.type}, which is no "
                f"{column.kind.name} ({str(error).splitlines()[0] if str(error) else type(error).__name__}); "
                "convert it or correct the view."
            ) from error

    def _complete(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rows, of which none lacks a key or its event time."""
        for name in (*(key.stored_name for key in self.keys), EVENT_TIMESTAMP):
            if rows[name].null_count:
                raise KairosError(
                    f"online table {self.name!r}: {rows[name].null_count} of {rows.num_rows} rows have no "
                    f"{name!r}, which identifies a row; leave them out."
                )
        return rows

    def delete_gone(self, table: str) -> str:
        """Deletes the rows whose keys are staged as gone."""
        keys = names(self._key_names)
        return f"DELETE FROM {table} WHERE ({keys}) IN (SELECT {keys} FROM {GONE})"

    def delete_others(self, table: str) -> str:
        """Deletes the rows whose keys are not staged."""
        keys = names(self._key_names)
        others = f"SELECT {keys} FROM {table} EXCEPT SELECT {keys} FROM {STAGED}"
        return f"DELETE FROM {table} WHERE ({keys}) IN ({others})"

    def merge(self, table: str, *, lowest: str, row: str) -> str:
        """Takes each key's newest staged row, unless the table knows a newer one or the very same.

        Of two rows with the same event time the one created last wins, as in the point-in-time join; of two
        that were created together, the one written last. Keys are taken in order: two merges never deadlock.

        Args:
            table: The table's quoted name.
            lowest: Literal below every instant.
            row: A staged row's own number.
        """
        keys, columns = names(self._key_names), names(self.stored_columns)
        event, created = names([EVENT_TIMESTAMP]), names([CREATED_TIMESTAMP])
        updates = ", ".join(
            f"{names([name])} = excluded.{names([name])}"
            for name in self.stored_columns
            if name not in self._key_names
        )
        # A rerun writes nothing: rewriting equal rows would double the table until the next vacuum.
        differs = " OR ".join(
            f"excluded.{names([name])} IS DISTINCT FROM kept.{names([name])}"
            for name in self.stored_columns
            if name not in self._key_names
        )
        return (
            f"INSERT INTO {table} AS kept ({columns}) SELECT {columns} FROM (SELECT {columns}, row_number() "
            f"OVER (PARTITION BY {keys} ORDER BY {event} DESC, {created} DESC NULLS LAST, {row} DESC) AS "
            f"staged_place FROM {STAGED}) AS newest WHERE staged_place = 1 ORDER BY {keys} "
            f"ON CONFLICT ({keys}) DO UPDATE SET {updates} WHERE "
            f"(excluded.{event}, coalesce(excluded.{created}, {lowest})) >= "
            f"(kept.{event}, coalesce(kept.{created}, {lowest})) AND ({differs})"
        )

    @property
    def _key_names(self) -> list[str]:
        return [key.stored_name for key in self.keys]


@dataclass(frozen=True)
class Lookup:
    """What is asked of one table.

    Attributes:
        table: Which.
        features: The columns to read.
        keys: Distinct key tuples, as they are stored.
    """

    table: OnlineTable
    features: tuple[OnlineColumn, ...]
    keys: Sequence[tuple[Any, ...]]


def names(columns: Iterable[str]) -> str:
    """The quoted names, separated by commas."""
    return ", ".join(f'"{name.replace(chr(34), chr(34) * 2)}"' for name in columns)


def batches_of(rows: pa.Table, size: int) -> Iterator[pa.RecordBatch]:
    """The rows in batches of at most `size`; at least one, so that the schema is always seen."""
    if rows.num_rows == 0:
        yield pa.RecordBatch.from_arrays([_flat(rows, n) for n in rows.column_names], schema=rows.schema)
    yield from rows.to_batches(max_chunksize=size)


def _flat(rows: pa.Table | pa.RecordBatch, name: str) -> pa.Array:
    column = rows.column(name)
    if isinstance(column, pa.ChunkedArray):
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return column


def _array(column: OnlineColumn, values: Iterable[Any]) -> pa.Array:
    return pa.array([column.to_database(value) for value in values], column.storage.arrow)
