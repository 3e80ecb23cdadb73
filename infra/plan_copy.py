"""Rows of a plan as PostgreSQL's binary COPY takes them, encoded a column at a time.

Each row is a field count, then each field's length and bytes. Arrow joins those pieces for all rows at once,
so a million rows take half a second, and the row's bytes lie one after the other in one buffer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"
JSONB_VERSION = b"\x01"

_DAYS_TO_2000 = 10_957
_MICROSECONDS_TO_2000 = _DAYS_TO_2000 * 86_400_000_000
_NULL_LENGTH = -1


def encoded_rows(rows: pa.Table, json_columns: frozenset[str]) -> pa.BinaryArray:
    """One value a row: its bytes in a binary COPY of `wire_columns(rows)`; at most 2 GB in all.

    Args:
        rows: Text, dates, UTC microseconds, int32, float64 and bools; only text may be null.
        json_columns: Text columns that hold JSON and go into `jsonb`.
    """
    rows = rows.combine_chunks()
    texts, numbers = _texts_and_numbers(rows.schema)
    head = [("fields", ">i2")]
    for name in numbers:
        head += [(f"{name} length", ">i4"), (name, _wire_type(rows.schema.field(name).type))]
    fixed = np.zeros(rows.num_rows, dtype=head)
    fixed["fields"] = len(texts) + len(numbers)
    for name in numbers:
        fixed[f"{name} length"] = fixed.dtype[name].itemsize
        fixed[name] = _wire_values(_array(rows[name]))
    pieces: list[Any] = [_binary(fixed)]
    for name in texts:
        text = _array(rows[name]).cast(pa.binary())
        length = pc.fill_null(pc.binary_length(text), _NULL_LENGTH).to_numpy(zero_copy_only=False)
        length = length.astype(">i4")
        if name in json_columns:
            version = np.zeros(rows.num_rows, dtype=[("length", ">i4"), ("version", "S1")])
            version["length"], version["version"] = length + 1, JSONB_VERSION
            pieces.append(_binary(version))
        else:
            pieces.append(_binary(length))
        pieces.append(pc.fill_null(text, b""))
    return pc.binary_join_element_wise(*pieces, b"") if rows.num_rows else pa.array([], pa.binary())


def wire_columns(schema: pa.Schema) -> tuple[str, ...]:
    """The columns in the order in which `encoded_rows` writes them: fixed widths first."""
    texts, numbers = _texts_and_numbers(schema)
    return (*numbers, *texts)


def row_bytes(encoded: pa.BinaryArray) -> tuple[NDArray[np.int32], memoryview]:
    """(where each row begins and the last one ends, the bytes of all rows)."""
    if not len(encoded):
        return np.zeros(1, dtype=np.int32), memoryview(b"")
    _, offsets, values = encoded.buffers()
    starts = np.frombuffer(offsets, dtype=np.int32)[encoded.offset : encoded.offset + len(encoded) + 1]
    return starts, memoryview(values)


def copy_bytes(encoded: pa.BinaryArray) -> memoryview:
    """The rows' bytes, one row after the other."""
    starts, buffer = row_bytes(encoded)
    return buffer[starts[0] : starts[-1]]


def _texts_and_numbers(schema: pa.Schema) -> tuple[list[str], list[str]]:
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    return texts, [field.name for field in schema if field.name not in texts]


def _wire_type(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return ">i8"
    if pa.types.is_floating(kind):
        return ">f8"
    return "u1" if pa.types.is_boolean(kind) else ">i4"


def _wire_values(column: pa.Array) -> NDArray[Any]:
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.int64()).to_numpy() - _MICROSECONDS_TO_2000
    if pa.types.is_date(column.type):
        return column.cast(pa.int32()).to_numpy() - _DAYS_TO_2000
    return column.to_numpy(zero_copy_only=False)


def _array(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def _binary(values: NDArray[Any]) -> pa.BinaryArray:
    """Each element's own bytes."""
    width = values.dtype.itemsize
    offsets = np.arange(len(values) + 1, dtype=np.int32) * np.int32(width)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(values))]
    return pa.Array.from_buffers(pa.binary(), len(values), buffers)
