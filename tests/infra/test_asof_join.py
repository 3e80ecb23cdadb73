"""The point-in-time join against a brute-force one, on every kind of mess."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import KairosError
from infra.asof_join import asof_join, to_utc_microseconds
from infra.asof_sql import AsofSource

START = datetime(2017, 3, 1, tzinfo=UTC)
KEYS = st.sampled_from(["a", "b", "ab", None])
HOURS = st.integers(0, 8)
ENTITIES = st.lists(st.tuples(KEYS, KEYS, HOURS), max_size=25)
# (user, item, hour, created hour, value); values tell rows apart.
ROWS = st.lists(st.tuples(KEYS, KEYS, HOURS, st.one_of(st.none(), HOURS), st.integers(0, 10**6)), max_size=30)


def hour(number: int | None) -> datetime | None:
    return None if number is None else START + timedelta(hours=number)


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def table(columns: dict[str, list], kind: pa.DataType | None = None) -> pa.Table:
    times = kind or pa.timestamp("us", "UTC")
    types = {"event_timestamp": times, "created_timestamp": times, "value": pa.float64()}
    return pa.table({n: pa.array(v, types.get(n, pa.string())) for n, v in columns.items()})


def known(con: duckdb.DuckDBPyConnection, rows: list[tuple], kind: pa.DataType | None = None) -> None:
    names = ("user_id", "item_id", "event_timestamp", "created_timestamp", "value")
    con.register("known_rows", table({n: [row[i] for row in rows] for i, n in enumerate(names)}, kind))


def source(keys: tuple[str, ...], ttl: timedelta | None = None, created: bool = True) -> AsofSource:
    return AsofSource(
        "view",
        "known_rows",
        tuple((key, key) for key in keys),
        "event_timestamp",
        "created_timestamp" if created else None,
        (("value", "value"),),
        ttl,
    )


def expected(entity: tuple, rows: list[tuple], keys: tuple[str, ...], ttl: timedelta | None) -> set:
    """The values that may be answered: several only where rows tie in every respect."""
    place = {"user_id": 0, "item_id": 1}
    at = hour(entity[2])
    matching = [
        row
        for row in rows
        if all(entity[place[key]] is not None and row[place[key]] == entity[place[key]] for key in keys)
        and hour(row[2]) <= at
        and (ttl is None or hour(row[2]) + ttl >= at)
    ]
    if not matching:
        return {None}
    rank = [(row[2], -1 if row[3] is None else row[3]) for row in matching]
    return {row[4] for row, place in zip(matching, rank, strict=True) if place == max(rank)}


@settings(max_examples=60, deadline=None)
@given(
    entities=ENTITIES,
    rows=ROWS,
    keys=st.sampled_from([("user_id",), ("user_id", "item_id"), ()]),
    ttl=st.sampled_from([None, timedelta(hours=1), timedelta(hours=3)]),
)
def test_equals_brute_force(entities, rows, keys, ttl) -> None:
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    known(con, [(u, i, hour(h), hour(c), v) for u, i, h, c, v in rows])
    frame = table(
        {
            "user_id": [e[0] for e in entities],
            "item_id": [e[1] for e in entities],
            "event_timestamp": [hour(e[2]) for e in entities],
        }
    )
    joined = asof_join(con, frame, "event_timestamp", [source(keys, ttl)])
    result = joined.read(joined.column_names)
    assert result.select(frame.column_names) == frame
    for entity, value in zip(entities, result["value"].to_pylist(), strict=True):
        assert value in expected(entity, rows, keys, ttl)


@pytest.mark.parametrize("kind", [pa.timestamp("ms"), pa.timestamp("ns", "UTC"), pa.timestamp("us")])
def test_an_instant_is_an_instant_whatever_its_type(con, kind) -> None:
    known(con, [("a", "x", hour(2), hour(2), 1.0)])
    entities = pa.table(
        {"user_id": ["a", "a"], "event_timestamp": pa.array([hour(1), hour(2)]).cast(kind, safe=False)}
    )
    answers = asof_join(con, entities, "event_timestamp", [source(("user_id",))]).read(["value"])
    assert answers["value"].to_pylist() == [None, 1.0]


def test_zones_and_text_are_the_same_instant() -> None:
    zoned = pa.chunked_array([pa.array(pd.to_datetime(["2017-03-01 01:00"]).tz_localize("America/New_York"))])
    text = pa.chunked_array([pa.array(["2017-03-01T01:00:00-05:00"])])
    assert to_utc_microseconds(zoned).to_pylist() == [datetime(2017, 3, 1, 6, tzinfo=UTC)]
    assert to_utc_microseconds(text).to_pylist() == [datetime(2017, 3, 1, 6, tzinfo=UTC)]


def test_no_entities_and_no_rows(con) -> None:
    known(con, [])
    empty = table({"user_id": [], "event_timestamp": []})
    assert asof_join(con, empty, "event_timestamp", [source(("user_id",))]).read(["value"]).num_rows == 0
    one = table({"user_id": ["a"], "event_timestamp": [None]})
    answers = asof_join(con, one, "event_timestamp", [source(("user_id",))]).read(["value"])
    assert answers["value"].to_pylist() == [None]


def test_categories_join_like_text(con) -> None:
    known(con, [("a", "x", hour(0), hour(0), 1.0)])
    frame = pd.DataFrame({"user_id": pd.Categorical(["b", "a"]), "event_timestamp": [hour(1), hour(1)]})
    entities = pa.Table.from_pandas(frame)
    answers = asof_join(con, entities, "event_timestamp", [source(("user_id",))]).read(["value"])
    assert answers["value"].to_pylist() == [None, 1.0]


def test_keys_that_are_all_missing_match_nothing(con) -> None:
    known(con, [(None, "x", hour(0), hour(0), 1.0)])
    entities = pa.table({"user_id": pa.nulls(2), "event_timestamp": [hour(1), hour(1)]})
    answers = asof_join(con, entities, "event_timestamp", [source(("user_id",))]).read(["value"])
    assert answers["value"].to_pylist() == [None, None]


def test_a_column_twice_is_an_error(con) -> None:
    known(con, [])
    entities = table({"user_id": ["a"], "event_timestamp": [hour(1)]})
    with pytest.raises(KairosError, match="'value' of view 'view' would appear twice"):
        asof_join(con, entities, "event_timestamp", [source(("user_id",)), source(("user_id",))])
