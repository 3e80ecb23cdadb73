"""The online store against a real PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest
from feast import Entity, FeatureView, Field, FileSource, RepoConfig
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import StringList, Value
from feast.types import Array, Bool, Float64, Int64, String
from feast.value_type import ValueType

from features.errors import KairosError
from infra.online_store import PostgresRowOnlineStore, PostgresRowOnlineStoreConfig

SCHEMA = "online_under_test"
DAY = datetime(2017, 3, 1, tzinfo=UTC)
USER = Entity(name="user_id", join_keys=["user_id"], value_type=ValueType.STRING)
ITEM = Entity(name="item_id", join_keys=["item_id"], value_type=ValueType.STRING)
FEATURES = {"count": Int64, "rate": Float64, "kind": String, "seen": Bool}


def view(features: dict = FEATURES, entities: tuple[Entity, ...] = (USER, ITEM)) -> FeatureView:
    return FeatureView(
        name="user item: 'odd' \"name\"",
        entities=list(entities),
        schema=[Field(name=e.name, dtype=String) for e in entities]
        + [Field(name=name, dtype=kind) for name, kind in features.items()],
        source=FileSource(path="unused.parquet", timestamp_field="event_timestamp"),
    )


def key(user: str, item: str) -> EntityKey:
    values = [Value(string_val=user), Value(string_val=item)]
    return EntityKey(join_keys=["user_id", "item_id"], entity_values=values)


def row(user: str, item: str, count: int, at: datetime = DAY, created: datetime | None = None) -> tuple:
    values = {
        "count": Value(int64_val=count),
        "rate": Value(double_val=0.1 + 0.2),
        "kind": Value(),
        "seen": Value(),
    }
    return key(user, item), values, at, created


def arrow(rows: list[tuple[str, str, int | None, datetime]]) -> pa.Table:
    times = pa.array([r[3] for r in rows], pa.timestamp("us", "UTC"))
    return pa.table(
        {
            "item_id": pa.array([r[1] for r in rows], pa.string()),
            "user_id": pa.array([r[0] for r in rows], pa.string()),
            "count": pa.array([r[2] for r in rows], pa.int64()),
            "rate": pa.array([0.1 + 0.2] * len(rows)),
            "kind": pa.array(['q"u,o\nte'] * len(rows), pa.string()),
            "seen": pa.array([True] * len(rows)),
            "event_timestamp": times,
            "created_timestamp": times,
        }
    )


@pytest.fixture
def config(postgres_url: str, tmp_path: Path) -> RepoConfig:
    online = PostgresRowOnlineStoreConfig(database_url=postgres_url, schema_name=SCHEMA)
    return RepoConfig(
        project="test", registry=str(tmp_path / "registry.db"), offline_store="duckdb", online_store=online
    )


@pytest.fixture
def store(config: RepoConfig):
    store = PostgresRowOnlineStore()
    store.update(config, [view()], [view()], [], [], partial=False)
    yield store
    store.teardown(config, [view()], [])


def counts(store, config, *keys: tuple[str, str], of: FeatureView | None = None) -> list[int | None]:
    found = store.online_read(config, of or view(), [key(*k) for k in keys])
    return [None if values is None else values["count"].int64_val for _, values in found]


def test_reads_in_the_order_asked_with_gaps_and_repeats(store, config) -> None:
    store.online_write_batch(config, view(), [row("a", "x", 1), row("b", "x", 2), row("a", "y", 3)], None)
    asked = [("a", "y"), ("z", "z"), ("b", "x"), ("a", "y"), ("a", "x")]
    assert counts(store, config, *asked) == [3, None, 2, 3, 1]
    assert store.online_read(config, view(), []) == []


def test_values_come_back_to_the_bit_and_nulls_as_nulls(store, config) -> None:
    store.online_write_batch(config, view(), [row("a", "x", 1, DAY.replace(tzinfo=None))], None)
    [(at, values)] = store.online_read(config, view(), [key("a", "x")], ["rate", "kind"])
    assert at == DAY
    assert values == {"rate": Value(double_val=0.1 + 0.2), "kind": Value()}


def test_newest_row_of_a_batch_wins_whatever_the_order(store, config) -> None:
    later = DAY + timedelta(hours=1)
    batch = [row("a", "x", 2, later, DAY), row("a", "x", 3, later, later), row("a", "x", 1, DAY)]
    store.online_write_batch(config, view(), batch, None)
    assert counts(store, config, ("a", "x")) == [3]


def test_a_late_older_value_changes_nothing(store, config) -> None:
    store.online_write_batch(config, view(), [row("a", "x", 2, DAY, DAY)], None)
    store.online_write_batch(config, view(), [row("a", "x", 1, DAY - timedelta(seconds=1))], None)
    assert store.replace_latest(config, view(), arrow([("a", "x", 1, DAY - timedelta(days=1))])) == 0
    assert counts(store, config, ("a", "x")) == [2]
    store.online_write_batch(config, view(), [row("a", "x", 5, DAY, DAY)], None)
    assert counts(store, config, ("a", "x")) == [5], "of equals the one written last"


def test_bulk_load_equals_single_writes(store, config) -> None:
    loaded = arrow([("a", "x", 1, DAY), ("a", "x", 2, DAY + timedelta(hours=1)), ("", "y", None, DAY)])
    assert store.replace_latest(config, view(), loaded) == 2
    [(at, values), (_, empty)] = store.online_read(config, view(), [key("a", "x"), key("", "y")])
    assert at == DAY + timedelta(hours=1)
    assert values == {
        "count": Value(int64_val=2),
        "rate": Value(double_val=0.1 + 0.2),
        "kind": Value(string_val='q"u,o\nte'),
        "seen": Value(bool_val=True),
    }
    assert empty["count"] == Value()


def test_rows_past_their_time_go(store, config) -> None:
    store.replace_latest(config, view(), arrow([("a", "x", 1, DAY), ("b", "x", 2, DAY + timedelta(days=9))]))
    store.replace_latest(config, view(), arrow([]), expire_before=DAY + timedelta(seconds=1))
    assert counts(store, config, ("a", "x"), ("b", "x")) == [None, 2]


def test_a_failed_load_changes_nothing(store, config) -> None:
    store.online_write_batch(config, view(), [row("a", "x", 1)], None)
    bad = arrow([("a", "x", 2, DAY + timedelta(days=1)), ("b", "x", 3, DAY)])
    bad = bad.set_column(bad.column_names.index("count"), "count", pa.array(["2", "three"]))
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        store.replace_latest(config, view(), bad)
    assert counts(store, config, ("a", "x"), ("b", "x")) == [1, None]


def test_tables_follow_their_views(store, config) -> None:
    store.online_write_batch(config, view(), [row("a", "x", 1)], None)
    wider = view({"count": Int64, "share": Float64})
    store.update(config, [], [wider], [], [], partial=True)
    assert counts(store, config, ("a", "x"), of=wider) == [1], "rows survive a new column"
    assert store.online_read(config, wider, [key("a", "x")])[0][1]["share"] == Value()
    store.update(config, [], [view({"count": Float64})], [], [], partial=True)
    assert store.online_read(config, view({"count": Float64}), [key("a", "x")]) == [(None, None)]
    store.update(config, [view()], [], [], [], partial=False)
    with pytest.raises(KairosError, match="has no such table"):
        counts(store, config, ("a", "x"))


def test_types_without_a_match_are_kept_as_bytes(store, config) -> None:
    lists = view({"count": Int64, "tags": Array(String)})
    store.update(config, [], [lists], [], [], partial=True)
    tags = Value(string_list_val=StringList(val=["a", "b"]))
    store.online_write_batch(config, lists, [(key("a", "x"), {"tags": tags}, DAY, None)], None)
    assert store.online_read(config, lists, [key("a", "x")])[0][1]["tags"] == tags
    with pytest.raises(KairosError, match="'tags' is kept as bytes"):
        store.replace_latest(config, lists, arrow([]).append_column("tags", pa.array([], pa.string())))


def test_a_missing_column_is_named(store, config) -> None:
    with pytest.raises(KairosError, match="column 'rate' is missing"):
        store.replace_latest(config, view(), arrow([]).drop_columns(["rate"]))


def test_reading_survives_a_server_that_closed_the_connection(store, config, postgres_url) -> None:
    store.online_write_batch(config, view(), [row("a", "x", 1)], None)
    assert counts(store, config, ("a", "x")) == [1]
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as con:
        con.execute("SELECT pg_terminate_backend(%s)", [store._reader[2].info.backend_pid])
    assert counts(store, config, ("a", "x")) == [1]


def test_the_password_is_never_shown() -> None:
    url = "postgresql+psycopg://kairos:hunter2@127.0.0.1:1/shop"
    config = RepoConfig(
        project="test",
        registry="unused.db",
        offline_store="duckdb",
        online_store=PostgresRowOnlineStoreConfig(database_url=url),
    )
    assert "hunter2" not in repr(config) + str(config.online_store) + config.online_store.model_dump_json()
    with pytest.raises(KairosError, match=r"127\.0\.0\.1") as failure:
        PostgresRowOnlineStore().online_read(config, view(), [key("a", "x")])
    assert "hunter2" not in str(failure.value)
