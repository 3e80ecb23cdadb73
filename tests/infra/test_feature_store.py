"""The feature store end to end: tables to Parquet, history, online, and that both tell the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import psycopg
import pyarrow.parquet as pq
import pytest
from small_shop import AS_OF, entity_frame, shop, write_tables

from features.errors import KairosError
from features.tables import FEATURE_TABLES, ON_DEMAND, RANKING, SERVICES, TIMING
from infra.feature_store import KairosFeatureStore

INSTANTS = [AS_OF - timedelta(days=days, hours=days % 5) for days in range(80)]
NAMES = ", ".join(service.name for service in SERVICES)
_READ_ONLINE = {table.name for table in FEATURE_TABLES if table.online}


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    return shop()


@pytest.fixture(scope="module")
def store(postgres_url: str, tmp_path_factory, con) -> KairosFeatureStore:
    home = tmp_path_factory.mktemp("home")
    store = KairosFeatureStore(home, postgres_url, home / "features")
    write_tables(store, con, AS_OF)
    store.apply()
    yield store
    store.feast.teardown()


@pytest.fixture
def empty_online(store, postgres_url):
    """The store with empty online tables."""
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        for name in _READ_ONLINE:
            connection.execute(f"TRUNCATE kairos_online.{name}")
    return store


@pytest.mark.parametrize("service", SERVICES, ids=lambda s: s.name)
@pytest.mark.parametrize("as_of", [AS_OF, AS_OF - timedelta(days=30)])
def test_online_equals_history_to_the_bit(empty_online, service, as_of) -> None:
    entities = entity_frame([as_of])
    empty_online.materialize(as_of)
    history = empty_online.historical(entities, service.name)
    online = empty_online.online(entities.to_dict("records"), service.name)
    features = list(service.features)
    unknown = [name for name in features if history[name].isna().all()]
    assert unknown == [], "every feature is known of somebody"
    pd.testing.assert_frame_equal(history[features], online[features], check_exact=True)
    keys = [name for name in entities.columns if name != "event_timestamp"]
    assert online.columns.tolist() == [*keys, *features]


@pytest.mark.parametrize("service", SERVICES, ids=lambda s: s.name)
def test_history_keeps_rows_order_and_index(store, service) -> None:
    entities = entity_frame(INSTANTS).set_index(np.arange(1000, 1400))
    untouched = entities.copy()
    result = store.historical(entities, service.name)
    assert result.columns.tolist() == [*entities.columns, *service.features]
    pd.testing.assert_frame_equal(result[entities.columns.tolist()], untouched)
    pd.testing.assert_frame_equal(entities, untouched)
    kinds = result[list(service.features)].dtypes.astype(str)
    assert set(kinds) <= {"float32", "object"}
    shuffled = store.historical(entities.sample(frac=1, random_state=1), service.name)
    pd.testing.assert_frame_equal(shuffled.loc[result.index], result)


def test_history_of_no_rows(store) -> None:
    result = store.historical(entity_frame(INSTANTS).head(0), RANKING.name)
    assert result.shape == (0, entity_frame(INSTANTS, 1).shape[1] + len(RANKING.features))


def test_what_happens_later_changes_no_history(store, postgres_url, tmp_path, con) -> None:
    earlier = AS_OF - timedelta(days=20)
    before = KairosFeatureStore(tmp_path, postgres_url, tmp_path / "features")
    write_tables(before, con, earlier)
    before.apply()
    entities = entity_frame([at for at in INSTANTS if at <= earlier])
    known_then = before.historical(entities, RANKING.name)
    pd.testing.assert_frame_equal(known_then, store.historical(entities, RANKING.name))


def test_feast_materialises_the_same_rows(empty_online, postgres_url) -> None:
    def rows() -> dict[str, list]:
        with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
            return {
                name: sorted(connection.execute(f"SELECT * FROM kairos_online.{name}").fetchall(), key=str)
                for name in _READ_ONLINE
            }

    changed = empty_online.materialize(AS_OF)
    bulk = rows()
    assert {name: len(found) for name, found in bulk.items()} == changed
    assert set(empty_online.materialize(AS_OF).values()) == {0}, "a rerun writes nothing"
    assert rows() == bulk
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        for name in _READ_ONLINE:
            connection.execute(f"TRUNCATE kairos_online.{name}")
    lifetimes = {t.name: t.ttl_days for t in FEATURE_TABLES if t.online}
    for name, days in lifetimes.items():
        start = AS_OF - timedelta(days=days) if days else datetime(1970, 1, 2, tzinfo=UTC)
        empty_online.feast.materialize(start, AS_OF, feature_views=[name])
    assert rows() == bulk


def test_an_earlier_materialisation_overwrites_nothing(empty_online) -> None:
    entities = entity_frame([AS_OF]).to_dict("records")
    empty_online.materialize(AS_OF)
    newest = empty_online.online(entities, TIMING.name)
    empty_online.materialize(AS_OF - timedelta(days=40))
    pd.testing.assert_frame_equal(empty_online.online(entities, TIMING.name), newest)


def test_tables_are_sorted_and_in_utc_microseconds(store) -> None:
    for table in FEATURE_TABLES:
        (path,) = store.tables.files(table.name)
        file = pq.ParquetFile(path)
        assert str(file.schema_arrow.field("event_timestamp").type) == "timestamp[us, tz=UTC]"
        groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        assert {group.column(0).compression for group in groups} <= {"ZSTD"}
        frame = file.read([*table.keys, "event_timestamp"]).to_pandas()
        order = [*table.keys, "event_timestamp"]
        pd.testing.assert_frame_equal(frame, frame.sort_values(order, kind="stable", ignore_index=True))
        assert not frame.duplicated(order).any()


def test_a_failed_write_leaves_the_old_table(store, con) -> None:
    table = next(table for table in FEATURE_TABLES if table.keys == ("user_id",))
    (path,) = store.tables.files(table.name)
    before = path.read_bytes()
    columns = ", ".join(f"0.0 AS {column.name}" for column in table.columns)
    times = "now() AS event_timestamp, now() AS created_timestamp"
    broken = con.sql(f"SELECT error('disk on fire') AS user_id, {times}, {columns}")
    with pytest.raises(duckdb.Error, match="disk on fire"):
        store.write_table(table, broken)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir() if "partial" in p.name] == []
    with pytest.raises(KairosError, match=f"'{table.name}' lacks column 'user_id'"):
        store.write_table(table, con.sql("SELECT 1 AS one"))


def test_a_view_that_is_no_longer_declared_goes(store, postgres_url, monkeypatch) -> None:
    from feast import FeatureView

    from features import definitions

    declared = definitions.build_definitions
    gone = "user_store"

    def fewer(tables_dir: Path) -> list:
        behind = {view.name for view in ON_DEMAND if gone in view.tables}
        objects = declared(tables_dir)
        return [item for item in objects if item.name not in {gone, RANKING.name} | behind]

    monkeypatch.setattr(definitions, "build_definitions", fewer)
    store.apply()
    assert gone not in [view.name for view in store.feast.list_feature_views()]
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        found = connection.execute("SELECT to_regclass('kairos_online.user_store')").fetchone()
    assert found == (None,)
    monkeypatch.undo()
    store.apply()
    assert isinstance(store.feast.get_feature_view(gone), FeatureView)
    assert store.historical(entity_frame(INSTANTS, 10), RANKING.name).shape[0] == 10


def test_errors_name_the_fix(store, tmp_path) -> None:
    with pytest.raises(KairosError, match=f"must be one of {NAMES}"):
        store.historical(entity_frame(INSTANTS, 3), "ranking_v0")
    with pytest.raises(KairosError, match="must carry a time zone"):
        store.materialize(AS_OF.replace(tzinfo=None))
    with pytest.raises(KairosError, match="entity_rows is empty"):
        store.online([], TIMING.name)
    fresh = KairosFeatureStore(tmp_path, "postgresql+psycopg://u:hunter2@127.0.0.1:1/x", tmp_path / "t")
    with pytest.raises(KairosError, match=f"'{RANKING.name}' is not in the registry"):
        fresh.historical(entity_frame(INSTANTS, 3), RANKING.name)
    with pytest.raises(KairosError, match="has no file"):
        fresh.materialize(AS_OF)
    assert "hunter2" not in repr(fresh) + repr(fresh.feast.config)


@pytest.mark.parametrize(("field", "value"), [("body", b"pickle"), ("body_text", "import os")])
def test_foreign_code_in_the_registry_is_refused(store, tmp_path, field, value) -> None:
    from feast.protos.feast.core.Registry_pb2 import Registry

    content = Registry.FromString(store.registry_path.read_bytes())
    functions = [v.spec.feature_transformation.user_defined_function for v in content.on_demand_feature_views]
    assert len(functions) == len(ON_DEMAND)
    assert not any(function.body for function in functions), "nothing pickled is ever written"
    setattr(functions[0], field, value)
    other = KairosFeatureStore(tmp_path, "postgresql+psycopg://unused/x", tmp_path)
    other.registry_path.parent.mkdir(parents=True)
    other.registry_path.write_bytes(content.SerializeToString())
    with pytest.raises(KairosError, match="holds code that Kairos did not write"):
        _ = other.feast
    other.registry_path.write_bytes(b"\xff\xff not a registry")
    with pytest.raises(KairosError, match="is no Feast registry"):
        _ = other.feast
