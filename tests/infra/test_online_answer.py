"""The online answer equals Feast's own, whatever is asked: values, statuses, times, order."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from feast import FeatureService, FeatureStore, Field, RequestSource
from feast.infra.online_stores.online_store import OnlineStore
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Array, Bool, Bytes, Float32, Float64, Int32, Int64, String, UnixTimestamp
from feast.value_type import ValueType
from online_stores import KINDS, entity, feature_store, feature_view

NOW = datetime.now(UTC).replace(microsecond=123_456)
USER, ITEM = entity("user_id"), entity("item_id", ValueType.INT64)
KEYS = 40

users = feature_view(
    "users", [USER], {"age": Int64, "name": String, "share": Float32, "on": Bool}, ttl=timedelta(days=2)
)
items = feature_view("items", [ITEM], {"price": Float64, "tags": Array(String)}, key_type=Int64)
pairs = feature_view("pairs", [USER], {"seen": UnixTimestamp, "blob": Bytes, "count": Int32})
world = feature_view("world", [], {"weather": String})


@on_demand_feature_view(
    sources=[users, pairs, RequestSource(name="now", schema=[Field(name="bonus", dtype=Float64)])],
    schema=[Field(name="age_bonus", dtype=Float64), Field(name="odd", dtype=Int64)],
    mode="pandas",
)
def in_pandas(frame: pd.DataFrame) -> pd.DataFrame:
    assert "price" not in frame, "items are not declared"
    age = frame["age"].astype("float64")
    return pd.DataFrame({"age_bonus": age + frame["bonus"], "odd": age.fillna(0).astype("int64") % 2})


@on_demand_feature_view(sources=[items], schema=[Field(name="label", dtype=String)], mode="python")
def in_python(columns: dict[str, Any]) -> dict[str, Any]:
    return {"label": [None if price is None else f"{price:.2f}" for price in columns["price"]]}


EVERYTHING = FeatureService(name="everything", features=[users, items, pairs, world, in_pandas, in_python])
ALIASED = FeatureService(
    name="aliased",
    features=[
        users[["age"]].with_name("buyers").with_join_key_map({"user_id": "buyer"}),
        users[["age"]].with_name("sellers").with_join_key_map({"user_id": "seller"}),
    ],
)


def random_rows(seed: int) -> dict[str, pa.Table]:
    """Rows of every view, with nulls, some older than the ttl."""
    rng = np.random.default_rng(seed)

    def some(values: list, kind: pa.DataType) -> pa.Array:
        return pa.array([None if rng.random() < 0.2 else value for value in values], kind)

    size = KEYS * 3 // 4
    ages = rng.integers(0, 5 * 86_400, size)
    times = pa.array([NOW - timedelta(seconds=int(s)) for s in ages], pa.timestamp("us", "UTC"))
    names = ["", "Zoë", 'a"b\\c,\n', "x" * 300]
    return {
        "users": pa.table(
            {
                "user_id": [f"u{n}" for n in range(size)],
                "age": some(rng.integers(-(2**62), 2**62, size).tolist(), pa.int64()),
                "name": some(rng.choice(names, size).tolist(), pa.string()),
                "share": some(rng.random(size).tolist(), pa.float32()),
                "on": some((rng.random(size) < 0.5).tolist(), pa.bool_()),
                "event_timestamp": times,
            }
        ),
        "items": pa.table(
            {
                "item_id": pa.array(range(size), pa.int64()),
                "price": some([*rng.normal(size=size - 2).tolist(), np.inf, np.nan], pa.float64()),
                "tags": some([["a", "b"][: n % 3] for n in range(size)], pa.list_(pa.string())),
                "event_timestamp": times,
            }
        ),
        "pairs": pa.table(
            {
                "user_id": [f"u{n}" for n in range(size)],
                "seen": some([NOW - timedelta(days=n) for n in range(size)], pa.timestamp("us", "UTC")),
                "blob": some([bytes([n, 0, 255]) for n in range(size)], pa.binary()),
                "count": some(range(size), pa.int32()),
                "event_timestamp": times,
            }
        ),
        "world": pa.table({"__dummy_id": [""], "weather": ["rain"], "event_timestamp": times[:1]}),
    }


@pytest.fixture(scope="module", params=KINDS)
def store(request, postgres_url: str, tmp_path_factory) -> FeatureStore:
    objects = [USER, ITEM, users, items, pairs, world, in_pandas, in_python, EVERYTHING, ALIASED]
    folder: Path = tmp_path_factory.mktemp("online")
    store = feature_store(request.param, postgres_url, folder, objects)
    for name, rows in random_rows(1).items():
        store._get_provider().online_store.replace_latest(store.config, store.get_feature_view(name), rows)
    yield store
    store.teardown()


def request_rows(seed: int, count: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [
        {
            "user_id": f"u{rng.integers(KEYS)}",
            "item_id": int(rng.integers(-3, KEYS)),
            "bonus": float(rng.random()),
        }
        for _ in range(count)
    ]


def stock(store: FeatureStore, features: Any, rows: Any, **options: Any):
    online = store._get_provider().online_store
    return OnlineStore.get_online_features(
        online, store.config, features, rows, store.registry, store.project, **options
    )


@pytest.mark.parametrize("full_feature_names", [False, True])
@pytest.mark.parametrize("count", [1, 2, 300])
def test_equals_feasts_own_answer(store, count: int, full_feature_names: bool) -> None:
    rows = request_rows(count, count)
    features: Any = EVERYTHING
    options = {"full_feature_names": full_feature_names, "include_feature_view_version_metadata": True}
    ours, feasts = (
        store.get_online_features(features, rows, **options),
        stock(store, features, rows, **options),
    )
    assert list(ours.to_dict(True)) == list(feasts.to_dict(True))
    assert ours.to_dict(True) == feasts.to_dict(True)
    assert ours.to_arrow().equals(feasts.to_arrow())
    pd.testing.assert_frame_equal(ours.to_df(), feasts.to_df())
    assert ours.proto == feasts.proto


@pytest.mark.parametrize(
    "features",
    [
        ["users:age"],
        ["users:name", "items:tags", "pairs:seen"],
        ["in_pandas:odd", "items:price"],
        ["in_python:label"],
        ["world:weather", "users:on"],
    ],
)
def test_equals_feasts_own_answer_for_single_features(store, features: list[str]) -> None:
    rows = request_rows(7, 50)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    for asked in (rows, columns):
        assert store.get_online_features(features, asked).proto == stock(store, features, asked).proto
    asyncio_answer = asyncio.run(store.get_online_features_async(features, rows))
    assert asyncio_answer.proto == stock(store, features, rows).proto


def test_join_keys_under_other_names(store) -> None:
    rows = [{"buyer": f"u{n}", "seller": f"u{n + 1}"} for n in range(20)]
    ours = store.get_online_features(ALIASED, rows, full_feature_names=True)
    assert ours.proto == stock(store, ALIASED, rows, full_feature_names=True).proto


def test_missing_null_and_unknown_keys_answer_nothing(store) -> None:
    rows = [
        {"user_id": None, "item_id": None, "bonus": 1.0},
        {"user_id": "nobody", "item_id": 2**62, "bonus": None},
        {"user_id": "a\x00b", "item_id": 1, "bonus": float("nan")},
        {"user_id": "", "item_id": 1, "bonus": 2.0},
    ]
    answer = store.get_online_features(EVERYTHING, rows).to_dict()
    assert answer["age"] == answer["name"] == answer["count"] == answer["age_bonus"] == [None] * 4
    assert answer["price"][:2] == answer["label"][:2] == [None, None]
    assert answer["price"][2] == answer["price"][3]
    assert answer["user_id"] == [None, "nobody", "a\x00b", ""]
    assert answer["weather"] == ["rain"] * 4


def test_a_view_without_any_of_its_keys_is_refused_as_by_feast(store) -> None:
    for answer in (store.get_online_features, lambda *asked: stock(store, *asked)):
        with pytest.raises(KeyError, match=r"Missing join key values.*item_id"):
            answer(["users:age", "items:price"], [{"user_id": "u1"}])


def test_time_to_live_counts_from_the_requests_own_moment(store) -> None:
    [at] = store.get_online_features(["pairs:count"], {"user_id": ["u1"]}).to_dict(True)["count__ts"]
    limit = at + 2 * 86_400
    answer = store.get_online_features(
        ["users:age", "pairs:count"],
        {"user_id": ["u1"] * 4, "request_epoch_seconds": [limit, limit + 2, at - 900, None]},
    ).to_dict(True)
    assert [one > 0 for one in answer["age__ts"]][:3] == [True, False, True]
    assert answer["count__ts"] == [at] * 4, "without a ttl for ever"
    assert "request_epoch_seconds" not in answer


def test_rows_of_other_columns_are_refused(store) -> None:
    with pytest.raises(ValueError, match="same keys"):
        store.get_online_features(["users:age"], [{"user_id": "u1"}, {"item_id": 1}])
    with pytest.raises(ValueError, match="same columns"):
        store.get_online_features(["users:age"], {"user_id": ["u1"], "item_id": [1, 2]})


def test_arrays_are_taken_as_columns(store) -> None:
    columns = {"user_id": np.array(["u1", "u2"]), "item_id": pd.Series([1, 2])}
    lists = {"user_id": ["u1", "u2"], "item_id": [1, 2]}
    features = ["users:name", "items:price"]
    assert (
        store.get_online_features(features, columns).proto == store.get_online_features(features, lists).proto
    )
