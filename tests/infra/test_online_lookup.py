"""Look-ups of a model's service: as Feast answers, as history says, and nothing for strangers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore
from online_stores import KINDS, feature_store, repo_config

from features.definitions import build_definitions, table_path
from features.errors import KairosError
from features.table import FeatureTable, Service
from features.tables import FEATURE_TABLES, SERVICES
from infra.online_lookup import read_online

NOW = datetime(2017, 5, 1, 4, tzinfo=UTC)
VALUES = 6


def keys_of(table: FeatureTable) -> list[tuple[str, ...]]:
    """All keys of the table, if there are few, else some."""
    rng = np.random.default_rng(len(table.name))
    drawn = rng.integers(0, VALUES, (VALUES * 6, len(table.keys)))
    distinct = dict.fromkeys(map(tuple, drawn.tolist()))
    return [tuple(f"{key}{n}" for key, n in zip(table.keys, numbers, strict=True)) for numbers in distinct]


def random_rows(table: FeatureTable) -> pa.Table:
    rng = np.random.default_rng(len(table.name))
    keys = keys_of(table)
    oldest = 2 * (table.ttl_days or 30)
    rows: dict[str, Any] = {name: [key[place] for key in keys] for place, name in enumerate(table.keys)}
    for column in table.columns:
        missing = rng.random(len(keys)) < 0.1
        values: Any = np.where(missing, np.nan, rng.random(len(keys)) * 100)
        if column.name.endswith("epoch_seconds"):
            values = np.where(missing, np.nan, NOW.timestamp() - rng.integers(0, 10**7, len(keys)))
        if column.dtype == "str":
            values = np.where(missing, None, "word")
        rows[column.name] = pa.array(values, from_pandas=True)
    ages = rng.random(len(keys)) * oldest
    rows["event_timestamp"] = pa.array([NOW - timedelta(days=age) for age in ages], pa.timestamp("us", "UTC"))
    return pa.table(rows)


@pytest.fixture(scope="module", params=KINDS)
def store(request, postgres_url: str, tmp_path_factory) -> FeatureStore:
    folder = tmp_path_factory.mktemp("lookup")
    store = feature_store(request.param, postgres_url, folder, build_definitions(folder))
    for table in FEATURE_TABLES:
        rows = random_rows(table)
        path = table_path(folder, table.name)
        path.parent.mkdir(parents=True)
        pq.write_table(rows, str(path).replace("*", "0"))
        if table.online:
            store._get_provider().online_store.replace_latest(
                store.config, store.get_feature_view(table.name), rows
            )
    yield store
    store.teardown()


def requests(count: int) -> pd.DataFrame:
    rng = np.random.default_rng(count)
    names = dict.fromkeys(key for table in FEATURE_TABLES for key in table.keys)
    frame = pd.DataFrame({key: [f"{key}{n}" for n in rng.integers(0, VALUES + 2, count)] for key in names})
    frame["event_timestamp"] = pd.Series([NOW] * count).astype("datetime64[us, UTC]")
    frame["request_epoch_seconds"] = int(NOW.timestamp())
    frame["local_day"] = int(NOW.timestamp()) // 86_400 - rng.integers(0, 2, count)
    frame["local_hour"] = rng.integers(0, 24, count)
    frame["country"] = rng.choice(["US", "DE", "unknown"], count)
    return frame


def without_time(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return frame.drop(columns="event_timestamp").to_dict("records")


@pytest.mark.parametrize("service", SERVICES, ids=lambda one: one.name)
def test_answers_as_feast_and_as_history(store: FeatureStore, service: Service) -> None:
    frame = requests(300)
    online = read_online(store, service, without_time(frame))
    assert online.column_names == list(service.features)
    answer = store.get_online_features(store.get_feature_service(service.name), without_time(frame)).to_dict()
    assert {name: answer[name] for name in service.features} == online.to_pydict()
    history = store.get_historical_features(frame, store.get_feature_service(service.name)).to_arrow()
    known = 0
    for name in service.features:
        expected = history[name].combine_chunks()
        expected = expected.cast(online[name].type) if expected.type != online[name].type else expected
        pd.testing.assert_series_equal(
            online[name].to_pandas(), expected.to_pandas(), check_exact=True, obj=name, check_names=False
        )
        known += expected.null_count < len(expected)
    assert known > 0.9 * len(service.features)


@pytest.mark.parametrize("service", SERVICES, ids=lambda one: one.name)
def test_strangers_and_null_keys_get_what_history_gives_strangers(store, service: Service) -> None:
    frame = requests(3)
    keys = [name for table in FEATURE_TABLES for name in table.keys]
    strangers = frame.assign(**dict.fromkeys(keys, "nobody"))
    nobody = frame.assign(**dict.fromkeys(keys))
    expected = read_online(store, service, without_time(strangers))
    assert read_online(store, service, without_time(nobody)).equals(expected)
    history = store.get_historical_features(strangers, store.get_feature_service(service.name)).to_df()
    pd.testing.assert_frame_equal(
        expected.to_pandas(), history[list(service.features)], check_exact=True, check_dtype=False
    )


def test_what_cannot_be_asked_is_refused(store: FeatureStore, tmp_path) -> None:
    with pytest.raises(KairosError, match="entity_rows is empty"):
        read_online(store, SERVICES[0], [])
    with pytest.raises(KairosError, match="same keys"):
        read_online(store, SERVICES[0], [{"user_id": "a"}, {"item_id": "b"}])
    fresh = FeatureStore(config=repo_config("sqlite", "", tmp_path))
    with pytest.raises(KairosError, match=r"cannot be read: .*; run `kairos materialize`"):
        read_online(fresh, SERVICES[0], [{"user_id": "a"}])
