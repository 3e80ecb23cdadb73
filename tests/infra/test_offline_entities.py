"""What may be asked about: frames with columns of any type, SQL, and all keys between two dates."""

from __future__ import annotations

import decimal
import uuid
from datetime import date, time, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast.errors import FeastEntityDFMissingColumnsError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from offline_world import NUMBER, START, TEXT, World, answers, hour

from features.errors import KairosError

UTC_US = pa.timestamp("us", "UTC")


def rows(*drawn: tuple) -> pa.Table:
    """(name, number, hour, value), or (name, hour, value)."""
    names = ("name", "number", "ts", "value") if drawn and len(drawn[0]) == 4 else ("name", "ts", "value")
    kinds = {"name": pa.string(), "number": pa.int64(), "ts": UTC_US, "value": pa.float64()}
    place = names.index("ts")
    columns = {n: [hour(row[i]) if i == place else row[i] for row in drawn] for i, n in enumerate(names)}
    return pa.table({n: pa.array(v, kinds[n]) for n, v in columns.items()})


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def view(world: World):
    return world.view("view", rows(("a", 0, 0.0), ("a", 2, 1.0), ("b", 1, 2.0)), {"name": TEXT})


def test_columns_of_any_type_come_back_as_they_were(world, view) -> None:
    other = {
        "bytes": [b"x", None, b""],
        "list": [[1], None, [2, 3]],
        "struct": [{"x": 1}, {"x": None}, None],
        "uuid": [uuid.UUID(int=n) for n in range(3)],
        "money": [decimal.Decimal("1.50"), None, decimal.Decimal("-2")],
        "clock": [time(1), None, time(23, 59)],
        "span": pd.to_timedelta([1, 2, None], unit="h"),
        "day": [date(2017, 3, 1)] * 3,
        "small": np.array([1, 2, 3], dtype="int8"),
        "flag": pd.array([True, None, False], dtype="boolean"),
        "kind": pd.Categorical(["p", "q", "p"]),
        "nothing": [None] * 3,
        "local": pd.to_datetime(["2017-03-01"] * 3).tz_localize("Asia/Kolkata"),
        "id": [3, 1, 2],
        "key_0": ["k"] * 3,
        "known_from": [0.1] * 3,
    }
    frame = pd.DataFrame({"name": pd.Categorical(["b", None, "a"]), "event_timestamp": [hour(3)] * 3} | other)
    frame.index = [9, 9, 8]
    job = world.job(frame, [view])
    expected = pa.Table.from_pandas(frame, preserve_index=False)
    assert job.to_arrow().select(list(other)).equals(expected.select(list(other)))
    assert job.to_df()["value"].fillna(-1).tolist() == [2.0, -1.0, 1.0]
    assert job.metadata.keys == [name for name in frame.columns if name != "event_timestamp"]
    assert (job.metadata.min_event_timestamp, job.metadata.max_event_timestamp) == (hour(3), hour(3))


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        ({"name": ["a", "b"], "mixed": [1, "x"]}, "a column that Arrow cannot hold: .*mixed"),
        ({"name": ["a", "b"], "event_timestamp": ["then", "now"]}, "time column holds string"),
        ({"name": [1, 2]}, "join key 'name' is int64 in the entity frame, VARCHAR in the source"),
    ],
)
def test_frames_that_cannot_be_used(world, view, frame, said) -> None:
    with pytest.raises(KairosError, match=said):
        world.ask(pd.DataFrame({"event_timestamp": [hour(3)] * 2} | frame), [view])


def test_missing_and_doubled_columns(world, view) -> None:
    frame = pd.DataFrame({"name": ["a"], "event_timestamp": [hour(3)]})
    with pytest.raises(FeastEntityDFMissingColumnsError, match="name"):
        world.ask(frame[["event_timestamp"]], [view])
    with pytest.raises(KairosError, match="two columns 'name'"):
        world.ask(pd.concat([frame, frame[["name"]]], axis=1), [view])
    with pytest.raises(KairosError, match="'value' of view 'view' would appear twice"):
        world.ask(frame.assign(value=1), [view])


def test_another_name_for_the_time_column(world, view) -> None:
    frame = pd.DataFrame({"name": ["a"], "asked_at": [hour(1)]})
    assert world.ask(frame, [view])["value"].to_pylist() == [0.0]


def test_sql(world, view) -> None:
    pq.write_table(rows(("b", 1, 0.0), ("a", 9, 0.0), ("a", 1, 0.0)), world.folder / "orders.parquet")
    sql = f"SELECT name, ts AS event_timestamp FROM '{world.folder / 'orders.parquet'}' ; "
    table = world.ask(sql, [view])
    assert table["name"].to_pylist() == ["b", "a", "a"], "rows keep their order"
    assert table["value"].to_pylist() == [2.0, 1.0, 0.0]
    ordered = world.ask(
        "SELECT 'a' AS name, DATE '2017-03-01' + n::INT AS event_timestamp FROM range(3) r(n)", [view]
    )
    assert ordered["value"].to_pylist() == [0.0, 1.0, 1.0]
    with pytest.raises(KairosError, match="the entity query failed"):
        world.ask("SELECT FROM nothing", [view])


def test_between_dates_each_row_is_a_question(world, view) -> None:
    table = world.ask(None, [view], start_date=hour(1), end_date=hour(2))
    assert table.column_names == ["event_timestamp", "name", "value"]
    assert [tuple(row.values()) for row in table.to_pylist()] == [(hour(1), "b", 2.0), (hour(2), "a", 1.0)]
    job = world.job(None, [view], start_date=START, end_date=hour(9))
    assert (job.metadata.min_event_timestamp, job.metadata.max_event_timestamp) == (START, hour(9))
    assert job.metadata.keys == ["name"]
    naive = world.ask(
        None, [view], start_date=hour(1).replace(tzinfo=None), end_date=hour(2).replace(tzinfo=None)
    )
    assert naive.equals(table), "naive dates are UTC"


def test_between_dates_by_default(world) -> None:
    """From the longest ttl, or thirty days, before the end."""
    history = rows(("a", 0, 0.0), ("a", 24 * 40, 1.0))
    for ttl, expected in ((timedelta(days=1), [1.0]), (timedelta(days=60), [0.0, 1.0]), (None, [1.0])):
        view = world.view("view", history, {"name": TEXT}, ttl=ttl)
        assert world.ask(None, [view], end_date=hour(24 * 40))["value"].to_pylist() == expected
    assert world.ask(None, [view])["value"].to_pylist() == []


ROW = st.tuples(
    st.sampled_from(["a", "b", None]), st.sampled_from([1, 2, None]), st.integers(0, 6), st.integers(0, 10**6)
)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    one=st.lists(ROW, min_size=1, max_size=12, unique_by=lambda row: row[:3]),
    two=st.lists(ROW, min_size=1, max_size=12, unique_by=lambda row: row[:3]),
    ttl=st.sampled_from([None, timedelta(hours=1)]),
)
def test_between_dates_over_two_views(tmp_path_factory, one, two, ttl) -> None:
    """Every (keys, instant) of any view, each once; each view answers it as of that instant."""
    world = World(tmp_path_factory.getbasetemp())
    keys = [{"name": TEXT, "number": NUMBER}, {"name": TEXT}]
    tables = [rows(*one), rows(*two).rename_columns(["name", "number", "ts", "other"])]
    views = [
        world.view(f"v{i}", table, key, (feature,), ttl)
        for i, (table, key, feature) in enumerate(zip(tables, keys, ("value", "other"), strict=True))
    ]
    result = world.ask(None, views, start_date=hour(1), end_date=hour(4)).to_pylist()
    lists = [table.to_pylist() for table in tables]
    asked = {
        (row["ts"], row["name"], row["number"] if "number" in key else None)
        for source, key in zip(lists, keys, strict=True)
        for row in source
        if hour(1) <= row["ts"] <= hour(4) and all(row[name] is not None for name in key)
    }
    found = [(row["event_timestamp"], row["name"], row["number"]) for row in result]
    assert len(found) == len(asked)
    assert set(found) == asked
    assert [row[0] for row in found] == sorted(row[0] for row in found)
    for row in result:
        for source, key, feature in zip(lists, keys, ("value", "other"), strict=True):
            right = {r[feature] for r in answers(row, source, {name: name for name in key}, ttl=ttl)}
            assert row[feature] in (right or {None})
