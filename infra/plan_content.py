"""A push plan in canonical form: the rows that are loaded, and the checksum over exactly their bytes.

Rows lie by bucket of their user (`features.user_buckets`), then by key, and each bucket has a digest of its
own. So a plan made in shards, each a range of buckets, is the same plan with the same checksum.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.errors import KairosError
from features.user_buckets import BUCKETS, user_buckets
from infra.plan_copy import encoded_rows, row_bytes, wire_columns
from infra.plan_json import json_array

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
    _Column("model_version"),
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
JSON_COLUMNS = frozenset(
    column.name for column in (*_PUSHES, *_ITEMS, *_SUPPRESSIONS) if column.kind == _JSON
)
SCHEMAS = {
    table: pa.schema([(one.name, pa.string() if one.kind == _JSON else one.kind) for one in columns])
    for table, columns in (
        ("push_plan", _PUSHES),
        ("push_plan_item", _ITEMS),
        ("suppression", _SUPPRESSIONS),
    )
}
PLAN_TABLES = tuple(SCHEMAS)
ROWS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class ContentDigest:
    """What is known of a plan, or of a range of its buckets, without its rows.

    Attributes:
        rows: By table.
        users: Distinct users with a push.
        digests: By table, a SHA-256 in hex for each bucket of `first` and following; "" for an empty one.
        first: The first bucket.
    """

    rows: Mapping[str, int]
    users: int
    digests: Mapping[str, Sequence[str]]
    first: int = 0

    @property
    def checksum(self) -> str:
        """SHA-256 over all rows, however they were ordered, split or typed."""
        whole = hashlib.sha256()
        for table in PLAN_TABLES:
            columns = ",".join(wire_columns(SCHEMAS[table]))
            whole.update(f"{table}({columns}) {self.rows[table]}\n".encode())
            whole.update("\n".join(self.digests[table]).encode())
        return whole.hexdigest()


class PlanContent(Protocol):
    """A whole plan that can be read as often as is needed, a bounded piece at a time."""

    @property
    def digest(self) -> ContentDigest:
        """Of all its rows."""

    def chunks(self, table: str) -> Iterator[pa.BinaryArray]:
        """The table's rows in canonical order, one value a row: its bytes in a binary COPY."""


@dataclass(frozen=True)
class PlanRows:
    """Canonical rows of a plan or of a range of its buckets, in memory.

    Attributes:
        encoded: Rows of push_plan, push_plan_item and suppression in their order, `ROWS_AT_ONCE` in a piece,
            as their digest is taken and as a binary COPY takes them; batch_id is no content.
        digest: Of these rows.
    """

    encoded: Mapping[str, tuple[pa.BinaryArray, ...]]
    digest: ContentDigest

    def chunks(self, table: str) -> Iterator[pa.BinaryArray]:
        """As `PlanContent`."""
        yield from self.encoded[table]


def canonical_rows(plan: PlanFrames, plan_date: date, buckets: range = range(BUCKETS)) -> PlanRows:
    """The canonical form of `plan`; columns it does not know are left out.

    Args:
        plan: The plan of the users in `buckets`.
        plan_date: Every push's.
        buckets: Whose users may be in it.

    Raises:
        KairosError: A column is missing, of the wrong type, or empty where it may not be; a push of another
            date; an item of an unknown push; a user of another bucket.
    """
    pushes = _table("pushes", plan.pushes, _PUSHES)
    items = _table("items", plan.items, _ITEMS)
    suppressions = _table("suppressions", plan.suppressions, _SUPPRESSIONS)
    other_dates = pc.sum(pc.not_equal(pushes["plan_date"], pa.scalar(plan_date, pa.date32()))).as_py()
    if other_dates:
        raise KairosError(
            f"plan.pushes holds {other_dates} pushes of another date; publish {plan_date} alone."
        )
    push_bucket = user_buckets(pushes["user_id"].to_numpy())
    push_of_item = pc.index_in(items["push_id"], value_set=pushes["push_id"].combine_chunks())
    if push_of_item.null_count:
        raise KairosError(
            f"plan.items holds {push_of_item.null_count} items of no push; drop them, or add their pushes."
        )
    push_order = np.lexsort((_ranks(pushes["push_id"]), push_bucket))
    place = np.empty(len(push_order), dtype=np.int64)
    place[push_order] = np.arange(len(push_order))
    of_item = push_of_item.to_numpy(zero_copy_only=False)
    stopped_bucket = user_buckets(suppressions["user_id"].to_numpy()).astype(np.int64)
    stopped_keys = [_ranks(suppressions[column.name]) for column in reversed(_SUPPRESSIONS)]
    found = {
        "push_plan": (pushes, push_bucket, push_order),
        "push_plan_item": (
            items,
            push_bucket[of_item],
            np.lexsort((items["rank"].to_numpy(), place[of_item])),
        ),
        "suppression": (suppressions, stopped_bucket, np.lexsort((*stopped_keys, stopped_bucket))),
    }
    encoded, digests = {}, {}
    for name, (rows, bucket, order) in found.items():
        if len(bucket) and not (buckets.start <= bucket.min() and bucket.max() < buckets.stop):
            raise KairosError(f"{name} holds users outside {buckets}; plan each shard's own users.")
        ordered = rows.take(pa.array(order))
        encoded[name] = tuple(
            encoded_rows(ordered.slice(begin, ROWS_AT_ONCE), JSON_COLUMNS)
            for begin in range(0, ordered.num_rows, ROWS_AT_ONCE)
        )
        starts = np.searchsorted(bucket[order], np.arange(buckets.start, buckets.stop + 1))
        digests[name] = _digests(encoded[name], starts)
    users = pc.count_distinct(pushes["user_id"]).as_py()
    rows_of = {name: rows.num_rows for name, (rows, _, _) in found.items()}
    return PlanRows(encoded, ContentDigest(rows_of, users, digests, buckets.start))


def joined(parts: Sequence[ContentDigest]) -> ContentDigest:
    """What is known of the plan that these parts make up.

    Raises:
        KairosError: Together they are not every bucket exactly once: one is missing, or there twice.
    """
    digests: dict[str, list[str]] = {table: [] for table in PLAN_TABLES}
    for part in sorted(parts, key=lambda one: one.first):
        if part.first != len(digests[PLAN_TABLES[0]]):
            raise KairosError(
                f"the plan's parts hold buckets up to {len(digests[PLAN_TABLES[0]])}, then {part.first}; "
                "give each part once."
            )
        for table in PLAN_TABLES:
            digests[table] += part.digests[table]
    if len(digests[PLAN_TABLES[0]]) != BUCKETS:
        raise KairosError(
            f"the plan's parts hold {len(digests[PLAN_TABLES[0]])} of {BUCKETS} buckets; give all of them."
        )
    rows = {table: sum(part.rows[table] for part in parts) for table in PLAN_TABLES}
    return ContentDigest(rows, sum(part.users for part in parts), digests)


def _ranks(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Integers in the order of the texts' bytes, -1 where null: a million of them sort like numbers."""
    if not len(column):
        return np.zeros(0, dtype=np.int64)
    known = pc.dictionary_encode(column.combine_chunks())
    known = known.chunk(0) if isinstance(known, pa.ChunkedArray) else known
    rank = np.empty(len(known.dictionary) + 1, dtype=np.int64)
    rank[pc.sort_indices(known.dictionary).to_numpy()] = np.arange(len(known.dictionary))
    rank[-1] = -1
    return rank[pc.fill_null(known.indices, -1).to_numpy(zero_copy_only=False)]


def _digests(rows: Sequence[pa.BinaryArray], starts: NDArray[np.int64]) -> list[str]:
    """The digest of each bucket, whose first row and the next one's `starts` tells."""
    digests = [hashlib.sha256() for _ in starts[1:]]
    begin = 0
    for piece in rows:
        byte, buffer = row_bytes(piece)
        first = int(np.searchsorted(starts, begin, side="right")) - 1
        while first < len(digests) and starts[first] < begin + len(piece):
            low = max(int(starts[first]) - begin, 0)
            high = min(int(starts[first + 1]) - begin, len(piece))
            digests[first].update(buffer[byte[low] : byte[high]])
            first += 1
        begin += len(piece)
    return [one.hexdigest() if size else "" for one, size in zip(digests, np.diff(starts), strict=True)]


def _table(name: str, frame: pd.DataFrame, columns: tuple[_Column, ...]) -> pa.Table:
    """The known columns of `frame` in their types."""
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
    return pa.table(dict(zip((column.name for column in columns), arrays, strict=True)))


def _array(series: pd.Series, kind: Any) -> pa.Array:
    if kind == _JSON:
        return json_array(series.to_numpy(dtype=object))
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(object)
    if kind == _TIME:
        if isinstance(series.dtype, np.dtype) and series.dtype.kind == "M":
            raise ValueError("it has no time zone")
        series = pd.to_datetime(series, utc=True).dt.as_unit("us")
    if kind == pa.date32() and pd.api.types.infer_dtype(series) != "date":
        series = pd.to_datetime(series).dt.date
    array = pa.array(series, kind, from_pandas=True)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _kind_name(kind: Any) -> str:
    names = {
        _TIME: "a time with its time zone",
        pa.string(): "text",
        pa.date32(): "a date",
        pa.bool_(): "true or false",
    }
    return "a JSON value" if kind == _JSON else names.get(kind, "a number")
