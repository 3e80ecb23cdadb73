"""A column of an online table: how Feast's values, Arrow's and the database's become one another."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import feast_value_type_to_python_type, python_values_to_proto_values
from feast.value_type import ValueType

EVENT_TIMESTAMP = "event_timestamp"
CREATED_TIMESTAMP = "created_timestamp"
TIMES = (EVENT_TIMESTAMP, CREATED_TIMESTAMP)
INSTANT = pa.timestamp("us", "UTC")
_LONGEST_NAME = 63  # bytes of a PostgreSQL identifier; what is longer would be cut without a word
_NO_INSTANT = np.iinfo(np.int64).min  # Feast's integer for a missing UNIX_TIMESTAMP


@dataclass(frozen=True)
class Storage:
    """How a Feast type is kept: field of Feast's value ('' for its bytes), Arrow's and databases' types."""

    field: str
    arrow: pa.DataType
    postgres: str
    sqlite: str


PACKED = Storage("", pa.binary(), "bytea", "BLOB")
_NATIVE = {
    ValueType.BOOL: Storage("bool_val", pa.bool_(), "boolean", "INTEGER"),
    ValueType.BYTES: Storage("bytes_val", pa.binary(), "bytea", "BLOB"),
    ValueType.DOUBLE: Storage("double_val", pa.float64(), "double precision", "REAL"),
    ValueType.FLOAT: Storage("float_val", pa.float32(), "real", "REAL"),
    ValueType.INT32: Storage("int32_val", pa.int32(), "integer", "INTEGER"),
    ValueType.INT64: Storage("int64_val", pa.int64(), "bigint", "INTEGER"),
    ValueType.STRING: Storage("string_val", pa.string(), "text", "TEXT"),
    ValueType.UNIX_TIMESTAMP: Storage("unix_timestamp_val", pa.int64(), "bigint", "INTEGER"),
}
_AS_THEY_ARE = set(_NATIVE) - {ValueType.UNIX_TIMESTAMP, ValueType.BOOL}


@dataclass(frozen=True)
class OnlineColumn:
    """A key or feature column.

    Attributes:
        name: As in the feature view.
        kind: Types that no database has a simple match for are kept as Feast's own bytes.
    """

    name: str
    kind: ValueType

    @property
    def stored_name(self) -> str:
        return fitting_name(self.name, reserved=TIMES)

    @property
    def storage(self) -> Storage:
        return _NATIVE.get(self.kind, PACKED)

    def to_database(self, value: Value | None) -> Any:
        """What the column stores for Feast's `value`; None for a missing one."""
        field = value.WhichOneof("val") if value is not None else None
        if value is None or field is None:
            return None
        if not self.storage.field:
            return value.SerializeToString()
        stored = getattr(value, field)
        return None if field == "unix_timestamp_val" and stored == _NO_INSTANT else stored

    def to_values(self, stored: Sequence[Any]) -> list[Value]:
        """Feast's values for stored ones."""
        field = self.storage.field
        if not field:
            return [Value() if one is None else Value.FromString(bytes(one)) for one in stored]
        if self.kind == ValueType.BOOL:
            return [Value() if one is None else Value(bool_val=bool(one)) for one in stored]
        return [Value() if one is None else Value(**{field: one}) for one in stored]

    def to_python(self, stored: Sequence[Any]) -> list[Any]:
        """What Feast's `to_dict` shows for stored values."""
        if self.kind in _AS_THEY_ARE:
            return list(stored)
        if self.kind == ValueType.BOOL:
            return [None if one is None else bool(one) for one in stored]
        if self.kind == ValueType.UNIX_TIMESTAMP:
            return [None if one is None else datetime.fromtimestamp(one, UTC) for one in stored]
        return [feast_value_type_to_python_type(value, self.kind) for value in self.to_values(stored)]

    def keys_from(self, values: Sequence[Any]) -> list[Any]:
        """What is stored for key values as `to_python` shows them; None for what no row can have."""
        kinds = set(map(type, values)) - {type(None)}
        stored: Sequence[Any]
        if (self.kind == ValueType.STRING and kinds <= {str}) or (
            self.kind in (ValueType.INT32, ValueType.INT64) and kinds <= {int}
        ):
            stored = values
        else:
            stored = [self.to_database(value) for value in python_values_to_proto_values(values, self.kind)]
        # No text in a database holds a zero byte.
        return [None if isinstance(one, str) and "\x00" in one else one for one in stored]

    def from_arrow(self, column: pa.Array) -> pa.Array:
        """The column as it is stored. NaN is missing, as it is for Feast.

        Args:
            column: Of the Arrow type Feast reads for this kind, or of one that Feast converts to it.
        """
        found, wanted = column.type, self.storage.arrow
        if pa.types.is_null(found):
            return pa.nulls(len(column), wanted)
        if pa.types.is_dictionary(found):
            return self.from_arrow(column.cast(found.value_type))
        if pa.types.is_timestamp(found) and self.kind == ValueType.UNIX_TIMESTAMP:
            micros = column.cast(pa.timestamp("us", found.tz), safe=False).cast(pa.int64())
            seconds = np.floor_divide(micros.fill_null(0).to_numpy(zero_copy_only=False), 1_000_000)
            return pc.if_else(micros.is_valid(), pa.array(seconds, pa.int64()), pa.scalar(None, pa.int64()))
        if self.storage.field and _is_cast_exact(found, wanted):
            if pa.types.is_floating(found):
                column = pc.if_else(pc.is_nan(column), pa.scalar(None, found), column)
            # Unsafe only in that a large integer is rounded to the nearest double, as Feast does.
            return column.cast(wanted, safe=False)
        # Arrow's extension types (UUIDs) mean their Python values, not the bytes they are kept in.
        extended = isinstance(found, pa.BaseExtensionType)
        python = column.to_pylist() if extended else column.to_numpy(zero_copy_only=False)
        values = python_values_to_proto_values(python, self.kind)
        return pa.array([self.to_database(value) for value in values], wanted)


def fitting_name(name: str, reserved: Sequence[str] = ()) -> str:
    """`name`, or where a database would cut it or it is reserved, a short name that is its own."""
    encoded = name.encode()
    if len(encoded) <= _LONGEST_NAME and name not in reserved:
        return name
    mark = hashlib.sha256(encoded).hexdigest()[:16]
    return f"{encoded[: _LONGEST_NAME - 17].decode(errors='ignore')}_{mark}"


def in_utc(moment: datetime | None) -> datetime | None:
    """The instant with its zone; Feast's naive times are UTC."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def instants(column: pa.Array) -> pa.Array:
    """An Arrow column of instants in microseconds of UTC; naive ones are UTC.

    Nanoseconds are cut: rounding up would make a row valid later than it was.
    """
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), INSTANT)
    if not pa.types.is_timestamp(column.type):
        column = pa.array([in_utc(one) for one in column.to_pylist()], INSTANT)
    if column.type.tz is None:
        column = column.cast(pa.timestamp(column.type.unit, "UTC"))
    if column.type.unit == "ns":
        return pc.floor_temporal(column, unit="microsecond").cast(INSTANT)
    return column.cast(INSTANT)


def _is_cast_exact(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether Arrow's cast gives what Feast's own conversion gives."""
    if found == wanted:
        return True
    if pa.types.is_string(wanted):
        return bool(pa.types.is_large_string(found) or pa.types.is_string_view(found))
    if pa.types.is_floating(wanted):
        return bool(pa.types.is_floating(found) or pa.types.is_integer(found))
    if pa.types.is_binary(wanted):
        return bool(pa.types.is_large_binary(found))
    if pa.types.is_integer(wanted) and pa.types.is_integer(found):
        # An unsigned integer fits a signed one only of more bits.
        bits = found.bit_width + (0 if pa.types.is_signed_integer(found) else 1)
        return bool(bits <= wanted.bit_width)
    return False
