"""Reading one column of a source into its contract type, and telling which values cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Kind = Literal["id", "text", "time", "number", "flag", "clock"]

TEXT = pd.StringDtype("pyarrow")
UTC_TIME: Any = pd.api.types.pandas_dtype("datetime64[us, UTC]")
EXPECTED: dict[Kind, str] = {
    "id": "text or a whole number",
    "text": "text",
    "time": "a UTC timestamp or ISO 8601 text",
    "number": "a number",
    "flag": "true or false",
    "clock": "a local time of day, HH:MM up to 24:00",
}
DTYPES: dict[Kind, Any] = {
    "id": TEXT,
    "text": TEXT,
    "time": UTC_TIME,
    "number": np.dtype("float64"),
    "flag": pd.BooleanDtype(),
    "clock": TEXT,
}
_FITTING: dict[Kind, tuple[str, ...]] = {
    "id": ("text", "whole", "number"),
    "text": ("text", "whole", "number", "flag", "time", "clock"),
    "time": ("text", "time"),
    "number": ("text", "whole", "number"),
    "flag": ("text", "whole", "number", "flag"),
    "clock": ("text", "clock"),
}
_FAMILIES = (
    ("nested", ("list", "large_list", "fixed_size_list", "struct", "map")),
    ("text", ("string", "large_string", "str", "object", "category", "dictionary", "varchar", "uuid")),
    ("flag", ("bool",)),
    ("clock", ("time32", "time64")),
    ("time", ("timestamp", "datetime", "date")),
    ("whole", ("int", "uint")),
    ("number", ("float", "double", "decimal", "halffloat")),
    ("null", ("null",)),
)
_TRUE = frozenset({"true", "t", "yes", "y", "1", "1.0"})
_FALSE = frozenset({"false", "f", "no", "n", "0", "0.0"})


def fits(kind: Kind, dtype: str) -> bool:
    """True when a column of this Arrow or pandas type can hold values of the kind at all.

    Examples:
        >>> fits("time", "timestamp[us, tz=UTC]"), fits("time", "int64"), fits("flag", "Int64")
        (True, False, True)
    """
    name = dtype.lower()
    family = next((family for family, starts in _FAMILIES if name.startswith(starts)), "nested")
    return family == "null" or family in _FITTING[kind]


def read_values(kind: Kind, values: pd.Series) -> tuple[pd.Series, pd.Series]:
    """(the values in the kind's contract type, True where a value is there but cannot be read).

    Unreadable and blank values become null. Times without an offset are taken as UTC; finer than a
    microsecond is cut off.
    """
    if isinstance(values.dtype, pd.ArrowDtype):
        values = pd.Series(
            pa.array(values.array).to_pandas(types_mapper={pa.string(): TEXT}.get), index=values.index
        )
    read = _READERS[kind](values)
    blank = values.isna()
    if values.dtype == object or isinstance(values.dtype, pd.StringDtype):
        blank |= as_text(values).isna()
    return read, read.isna() & ~blank


def as_text(values: pd.Series) -> pd.Series:
    """The values as text; blanks become null, and whole numbers stored as floats lose their '.0'."""
    if pd.api.types.is_float_dtype(values.dtype):
        told = values.dropna()
        if bool(((told % 1 == 0) & (told.abs() < 2**53)).all()):
            values = values.astype("Int64")  # pandas turns integer ids with a null among them into floats
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object)
    text = values.astype(TEXT)
    array = pa.array(text.array)
    blank = pc.equal(pc.binary_length(array), 0)
    if pc.any(blank).as_py():
        text = pd.Series(pc.if_else(blank, None, array), index=values.index, dtype=TEXT)
    return text


def _ids(values: pd.Series) -> pd.Series:
    text = as_text(values)
    array = pa.array(text.array)
    # '7.0' is how a table with a gap in a whole-numbered column is often exported; elsewhere it is '7'.
    if pc.any(pc.ends_with(array, ".0")).as_py():
        whole = pc.replace_substring_regex(array, r"^(\d+)\.0$", r"\1")
        text = pd.Series(whole, index=text.index, dtype=TEXT)
    return text


def _times(values: pd.Series) -> pd.Series:
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return cast("pd.Series", values.dt.tz_convert("UTC").dt.as_unit("us"))
    if pd.api.types.is_datetime64_dtype(values.dtype):
        return cast("pd.Series", values.dt.as_unit("us").dt.tz_localize("UTC"))
    text = as_text(values)
    parsed = pd.to_datetime(text, utc=True, format="ISO8601", errors="coerce").astype(UTC_TIME)
    rest = parsed.isna() & text.notna()
    if rest.any():  # years that nanoseconds cannot hold, such as an open end on 9999-12-31
        far = {word: _iso_time(word) for word in text[rest].unique()}
        parsed[rest] = pd.Series([far[word] for word in text[rest]], index=text[rest].index, dtype=UTC_TIME)
    return parsed


def _iso_time(text: str) -> np.datetime64 | None:
    try:
        moment = datetime.fromisoformat(text)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return np.datetime64(aware.astimezone(UTC).replace(tzinfo=None), "us")
    except (ValueError, OverflowError):
        return None


def _numbers(values: pd.Series) -> pd.Series:
    if values.dtype == np.dtype("float64"):
        return values.where(~np.isinf(values)) if bool(np.isinf(values).any()) else values
    if isinstance(values.dtype, pd.StringDtype):
        values = as_text(values).astype(object)
    numbers = pd.to_numeric(values, errors="coerce").astype("Float64").astype("float64")
    return numbers.where(np.isfinite(numbers))


def _flags(values: pd.Series) -> pd.Series:
    if pd.api.types.is_bool_dtype(values.dtype):
        return values.astype("boolean")
    words = as_text(values).str.strip().str.lower()
    flags = pd.Series(pd.NA, index=values.index, dtype="boolean")
    flags[words.isin(_TRUE)] = True
    flags[words.isin(_FALSE)] = False
    return flags


def _clocks(values: pd.Series) -> pd.Series:
    parts = as_text(values).str.strip().str.extract(r"^(\d{1,2}):([0-5]\d)(?::[0-5]\d(?:\.\d+)?)?$")
    hours = pd.to_numeric(parts[0], errors="coerce")
    clock = parts[0].str.zfill(2) + ":" + parts[1]
    valid = hours.le(23).fillna(False).astype(bool) | clock.eq("24:00").fillna(False).astype(bool)
    return clock.where(valid).astype(TEXT)


_READERS: dict[Kind, Callable[[pd.Series], pd.Series]] = {
    "id": _ids,
    "text": as_text,
    "time": _times,
    "number": _numbers,
    "flag": _flags,
    "clock": _clocks,
}
