"""The point-in-time join: what was known of each entity at each instant, one DuckDB ASOF join a view."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from duckdb import DuckDBPyConnection

from features.errors import KairosError
from infra.asof_sql import AsofSource, answers_sql, reason

_SPREADING_THREADS = 4
UTC_MICROSECONDS = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class JoinedFeatures:
    """Entities and their features, one row per entity row, in its order; columns are spread when read."""

    entities: pa.Table
    answers: dict[str, tuple[pa.ChunkedArray, pa.Array]]

    @property
    def column_names(self) -> list[str]:
        """The entity columns, then the features."""
        return [*self.entities.column_names, *self.answers]

    def read(self, names: Sequence[str]) -> pa.Table:
        """These columns, in this order."""
        with ThreadPoolExecutor(_SPREADING_THREADS) as pool:  # Arrow's kernels give up Python's lock
            return pa.table(list(pool.map(self._column, names)), names=list(names))

    def _column(self, name: str) -> pa.ChunkedArray:
        if name not in self.answers:
            return self.entities[name]
        values, positions = self.answers[name]
        return pa.chunked_array([_one_array(values).take(positions)])


def to_utc_microseconds(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The same instants as timestamp[us, UTC]; naive ones are UTC, text is parsed, finer digits are cut.

    Raises:
        KairosError: The column holds no instants.
    """
    try:
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            column = pa.chunked_array([pa.array(_parsed(column.to_pandas()))])
        return column.cast(UTC_MICROSECONDS, safe=False)
    except (ValueError, pa.ArrowNotImplementedError) as error:
        raise KairosError(
            f"the entity frame's time column holds {column.type}, must hold timestamps: {error}; convert it."
        ) from error


def _parsed(texts: pd.Series) -> pd.Series:
    try:
        instants = pd.to_datetime(texts, utc=True, format="ISO8601")
    except ValueError:
        instants = pd.to_datetime(texts, utc=True)
    return instants.astype("datetime64[us, UTC]")


def asof_join(
    con: DuckDBPyConnection, entities: pa.Table, timestamp: str, sources: Sequence[AsofSource]
) -> JoinedFeatures:
    """The sources' features for every entity row: the same rows in the same order.

    Each source is asked only once for each distinct (keys, instant), so a view with few entities costs
    little however long the frame is; the answers are spread over the rows by position.

    Args:
        con: Its TimeZone must be UTC.
        entities: Any columns, any order, duplicates and nulls allowed; a null key matches nothing.
        timestamp: The column of asked instants; comes back as timestamp[us, UTC].
        sources: Their result columns must be new to `entities` and to each other.

    Raises:
        KairosError: A result column would appear twice, or a source cannot be joined.
    """
    place = entities.column_names.index(timestamp)
    entities = entities.set_column(place, timestamp, to_utc_microseconds(entities[timestamp]))
    questions = _Questions(entities, timestamp)
    answers: dict[str, tuple[pa.Array, pa.Array]] = {}
    # The next view's questions are worked out, on one core, while DuckDB answers this one's.
    with ThreadPoolExecutor(1) as ahead:
        all_asked = ahead.map(questions.about, [tuple(column for column, _ in one.keys) for one in sources])
        for source, (asked, row_ids) in zip(sources, all_asked, strict=True):
            found = _answers(con, source, asked)
            positions = _positions(found["id"].to_numpy(), asked.num_rows, source.view)[row_ids]
            spread = pa.array(positions, mask=positions < 0)
            for _, name in source.features:
                if name in answers or name in entities.column_names:
                    raise KairosError(
                        f"feature {name!r} of view {source.view!r} would appear twice in the result; "
                        "rename it, or ask for full_feature_names."
                    )
                answers[name] = (found[name], spread)
    return JoinedFeatures(entities, answers)


def _answers(con: DuckDBPyConnection, source: AsofSource, asked: pa.Table) -> pa.Table:
    bounds = pc.min_max(asked["at"]).as_py()
    con.register("asked", asked)
    try:
        return con.sql(answers_sql(source, bounds["min"], bounds["max"])).to_arrow_table()
    except duckdb.Error as error:
        raise KairosError(
            f"the join with view {source.view!r} failed: {reason(error)}; check its source and its keys."
        ) from error
    finally:
        con.unregister("asked")


class _Questions:
    """The distinct (keys, instant) of an entity frame, worked out once for each set of keys."""

    def __init__(self, entities: pa.Table, timestamp: str) -> None:
        self._entities = entities
        self._timestamp = timestamp
        self._codes: dict[str, np.ndarray] = {}
        self._known: dict[tuple[str, ...], tuple[pa.Table, np.ndarray]] = {}

    def about(self, keys: tuple[str, ...]) -> tuple[pa.Table, np.ndarray]:
        """The table (id, key_0.., at) of distinct questions, and every entity row's id in it."""
        if keys not in self._known:
            row_ids = np.zeros(self._entities.num_rows, dtype=np.int64)
            for column in (*keys, self._timestamp):
                codes = self._column_codes(column)
                # Both factors are at most the number of rows: no overflow below three billion of them.
                row_ids = pd.factorize(row_ids * (codes.max(initial=0) + 1) + codes)[0]
            count = int(row_ids.max(initial=-1)) + 1
            sample = np.empty(count, dtype=np.int64)
            sample[row_ids] = np.arange(len(row_ids))
            columns = {"id": pa.array(np.arange(count))}
            for number, column in enumerate(keys):
                columns[f"key_{number}"] = _plain(self._entities[column]).take(pa.array(sample))
            columns["at"] = self._entities[self._timestamp].take(pa.array(sample))
            self._known[keys] = (pa.table(columns), row_ids)
        return self._known[keys]

    def _column_codes(self, name: str) -> np.ndarray:
        """A small integer for each distinct value of the column; 0 for null."""
        if name not in self._codes:
            column = _one_array(_plain(self._entities[name]))
            column = column.storage if isinstance(column, pa.ExtensionArray) else column
            encoded = pc.dictionary_encode(column)
            self._codes[name] = pc.fill_null(encoded.indices.cast(pa.int64()), -1).to_numpy() + 1
        return self._codes[name]


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return combined if isinstance(combined, pa.Array) else pa.concat_arrays(combined.chunks)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column without dictionary encoding (pandas categories); one of nothing but nulls is text."""
    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    return column.cast(pa.string()) if pa.types.is_null(column.type) else column


def _positions(answered: np.ndarray, asked: int, view: str) -> np.ndarray:
    """For each question the row that answers it, -1 for none.

    Raises:
        KairosError: A question was answered more than once.
    """
    positions = np.full(asked, -1, dtype=np.int64)
    positions[answered] = np.arange(len(answered))
    questions = np.count_nonzero(positions >= 0)
    if questions != len(answered):
        raise KairosError(
            f"view {view!r} gave {len(answered)} answers to {questions} questions, must be one each; "
            "a point-in-time join must not multiply rows: report this as a bug."
        )
    return positions
