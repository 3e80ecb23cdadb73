"""A push plan in canonical form: the bytes that are loaded, and the checksum over exactly those bytes."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from features.errors import KairosError

_JSON = "json"
_TIME = pa.timestamp("us", tz="UTC")


class PlanFrames(Protocol):
    """What a planner hands over: three frames, one row a push, a push and rank, a suppression."""

    @property
    def pushes(self) -> pd.DataFrame: ...
    @property
    def items(self) -> pd.DataFrame: ...
    @property
    def suppressions(self) -> pd.DataFrame: ...


class _Column(NamedTuple):
    name: str
    kind: Any = pa.string()
    null: bool = False


_PUSHES = (
    _Column("push_id"),
    _Column("plan_date", pa.date32()),
    _Column("user_id"),
    _Column("slot"),
    _Column("send_at", _TIME),
    _Column("expires_at", _TIME),
    _Column("timezone"),
    _Column("scene", _JSON),
    _Column("channel"),
    _Column("item_id"),
    _Column("p_engage", pa.float64()),
    _Column("expected_value", pa.float64()),
    _Column("propensity", pa.float64()),
    _Column("reasons", _JSON),
    _Column("policy_version"),
    _Column("experiment", null=True),
    _Column("arm", null=True),
    _Column("holdout", pa.bool_()),
)
_ITEMS = (
    _Column("push_id"),
    _Column("rank", pa.int32()),
    _Column("item_id"),
    _Column("score", pa.float64()),
    _Column("reasons", _JSON),
)
_SUPPRESSIONS = (
    _Column("user_id"),
    _Column("slot", null=True),
    _Column("item_id", null=True),
    _Column("rule"),
    _Column("detail"),
)


@dataclass(frozen=True)
class TableContent:
    """The rows of one table.

    Attributes:
        table: Table of schema `kairos`.
        columns: What `csv` holds, in order; batch_id and model_version are not content.
        csv: Rows sorted by key, no header, nulls unquoted.
        rows: How many.
    """

    table: str
    columns: tuple[str, ...]
    csv: memoryview
    rows: int


@dataclass(frozen=True)
class PlanContent:
    """A whole plan: pushes, their items, suppressions.

    Attributes:
        tables: Content of push_plan, push_plan_item and suppression.
        users: Distinct users with a push.
        checksum: sha256 over all rows, whatever their order and whenever written.
    """

    tables: tuple[TableContent, ...]
    users: int
    checksum: str


def canonical_content(plan: PlanFrames, plan_date: date) -> PlanContent:
    """The canonical form of `plan`; columns it does not know are left out.

    Raises:
        KairosError: A column is missing, of the wrong type, or empty where it may not be; a push of another
            date; an item of an unknown push.
    """
    pushes = _table("pushes", plan.pushes, _PUSHES, ("push_id",))
    items = _table("items", plan.items, _ITEMS, ("push_id", "rank"))
    suppressions = _table(
        "suppressions", plan.suppressions, _SUPPRESSIONS, tuple(c.name for c in _SUPPRESSIONS)
    )
    other_dates = pc.sum(pc.not_equal(pushes["plan_date"], pa.scalar(plan_date, pa.date32()))).as_py()
    if other_dates:
        raise KairosError(
            f"plan.pushes holds {other_dates} pushes of another date; publish {plan_date} alone."
        )
    orphans = pc.sum(
        pc.invert(pc.is_in(items["push_id"], value_set=pushes["push_id"].combine_chunks()))
    ).as_py()
    if orphans:
        raise KairosError(f"plan.items holds {orphans} items of no push; drop them, or add their pushes.")
    tables = (
        _content("push_plan", pushes),
        _content("push_plan_item", items),
        _content("suppression", suppressions),
    )
    digest = hashlib.sha256()
    for table in tables:
        digest.update(f"{table.table}({','.join(table.columns)}) {table.rows}\n".encode())
        digest.update(table.csv)
    users = pc.count_distinct(pushes["user_id"]).as_py()
    return PlanContent(tables, users, digest.hexdigest())


def _table(name: str, frame: pd.DataFrame, columns: tuple[_Column, ...], key: tuple[str, ...]) -> pa.Table:
    """The known columns of `frame` in their types, sorted by `key`."""
    arrays = []
    for column in columns:
        if column.name not in frame:
            raise KairosError(
                f"plan.{name} has no column {column.name}; it needs {', '.join(c.name for c in columns)}."
            )
        try:
            array = _array(frame[column.name], column.kind)
        except (pa.ArrowException, TypeError, ValueError) as error:
            problem = " ".join(str(error).split())[:200].rstrip(".")
            raise KairosError(
                f"plan.{name}.{column.name} must be {_kind_name(column.kind)}: {problem}; convert it."
            ) from None
        if array.null_count and not column.null:
            raise KairosError(
                f"plan.{name}.{column.name} is empty in {array.null_count} of {len(array)} rows; fill it."
            )
        arrays.append(array)
    table = pa.table(dict(zip((column.name for column in columns), arrays, strict=True)))
    return table.sort_by([(part, "ascending") for part in key])


def _array(series: pd.Series, kind: Any) -> pa.Array:
    if kind == _JSON:
        return pa.array([_json_text(value) for value in series], pa.string())
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(object)
    if kind == _TIME:
        if isinstance(series.dtype, np.dtype) and series.dtype.kind == "M":
            raise ValueError("it has no time zone")
        series = pd.to_datetime(series, utc=True).dt.as_unit("us")
    if kind == pa.date32():
        series = pd.to_datetime(series).dt.date
    array = pa.array(series, kind, from_pandas=True)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _json_text(value: Any) -> str | None:
    """Canonical JSON: sorted keys, no blanks, numbers plain."""
    if value is None or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return _JSON_ENCODER.encode(value)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no JSON form")


_JSON_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain
)


def _content(table: str, rows: pa.Table) -> TableContent:
    sink = io.BytesIO()
    # Quotes around every value tell an empty text from a null.
    csv.write_csv(rows, sink, csv.WriteOptions(include_header=False, quoting_style="all_valid"))
    return TableContent(table, tuple(rows.column_names), sink.getbuffer(), rows.num_rows)


def _kind_name(kind: Any) -> str:
    names = {
        _TIME: "a time with its time zone",
        pa.string(): "text",
        pa.date32(): "a date",
        pa.bool_(): "true or false",
    }
    return "a JSON value" if kind == _JSON else names.get(kind, "a number")
