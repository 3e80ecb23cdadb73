"""Feast's own ways in (materialise, write, push) go through Arrow and leave what Feast's code would leave."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore, FeatureView, Field, FileSource, PushSource
from feast.infra.compute_engines.local.compute import LocalComputeEngine
from feast.infra.passthrough_provider import PassthroughProvider
from feast.types import Array, Float64, Int64, String
from online_stores import KINDS, entity, feature_store

from features.errors import KairosError
from infra.online_rows import RowOnlineStore

NOW = datetime.now(UTC).replace(microsecond=0)
USER = entity("user_id")


def source_rows(folder: Path) -> pd.DataFrame:
    """Several rows a key, with a tie that the creation time decides, written to `folder`."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "user_id": [f"u{n}" for n in rng.integers(0, 30, 300)],
            "raw_rate": np.where(rng.random(300) < 0.1, np.nan, rng.random(300)),
            "count": rng.integers(0, 9, 300),
            "tags": [["a", "b"][: n % 3] for n in range(300)],
            "ts": [NOW - timedelta(hours=int(n)) for n in rng.integers(0, 30, 300)],
            "made": [NOW - timedelta(minutes=int(n)) for n in range(300)],
        }
    )
    table = pa.Table.from_pandas(frame, preserve_index=False)
    for name in ("ts", "made"):
        place = table.column_names.index(name)
        table = table.set_column(place, name, table[name].cast(pa.timestamp("us", "UTC")))
    pq.write_table(table, folder / "rows.parquet")
    return frame


@pytest.fixture(scope="module", params=KINDS)
def store(request, postgres_url: str, tmp_path_factory) -> FeatureStore:
    folder = tmp_path_factory.mktemp("engine")
    source_rows(folder)
    source = FileSource(
        name="rows",
        path=str(folder / "rows.parquet"),
        timestamp_field="ts",
        created_timestamp_column="made",
        field_mapping={"raw_rate": "rate"},
    )
    dtypes = {"user_id": String, "rate": Float64, "count": Int64, "tags": Array(String)}
    views = [
        FeatureView(
            name=name,
            entities=[USER],
            ttl=timedelta(days=3),
            schema=[Field(name=column, dtype=dtype) for column, dtype in dtypes.items()],
            source=origin,
        )
        for name, origin in (("activity", source), ("pushed", PushSource(name="push", batch_source=source)))
    ]
    store = feature_store(request.param, postgres_url, folder, [USER, source, *views])
    yield store
    store.teardown()


def online(store: FeatureStore, view: str = "activity") -> dict[str, list]:
    features = [f"{view}:{name}" for name in ("rate", "count", "tags")]
    users = [f"u{n}" for n in range(32)]
    return store.get_online_features(features, {"user_id": users}).to_dict(include_event_timestamps=True)


def forget(store: FeatureStore) -> None:
    views = [store.get_feature_view(name) for name in ("activity", "pushed")]
    store._get_provider().online_store.update(store.config, views, views, [], [], partial=True)


def is_empty(store: FeatureStore) -> bool:
    return set(online(store)["count"]) == {None}


@pytest.fixture
def no_protobufs(monkeypatch):
    """Any batch of Feast's values fails."""

    def refuse(*_: object) -> None:
        raise AssertionError("a protobuf a value")

    monkeypatch.setattr(RowOnlineStore, "online_write_batch", refuse)


def materialize(store: FeatureStore, hours: int = 40) -> None:
    store.materialize(NOW - timedelta(hours=hours), NOW, feature_views=["activity"])


def test_materialising_leaves_what_feasts_engine_leaves(store, monkeypatch, request) -> None:
    engine = type(store._get_provider().batch_engine)
    with monkeypatch.context() as patch:
        patch.setattr(engine, "_materialize_one", LocalComputeEngine._materialize_one)
        forget(store)
        materialize(store)
        feasts = online(store)
    assert None in feasts["rate"][:30]
    forget(store)
    assert is_empty(store)
    request.getfixturevalue("no_protobufs")
    materialize(store)
    assert online(store) == feasts
    store.materialize(NOW - timedelta(hours=40), NOW, feature_views=["pushed"])
    assert online(store, "pushed") == feasts
    forget(store)
    store.materialize_incremental(NOW + timedelta(hours=1), feature_views=["activity"])
    assert set(online(store)["count__ts"]) == {0, int(NOW.timestamp())}, "it starts where the last one ended"


def test_an_error_of_the_engine_reaches_the_caller(store, monkeypatch) -> None:
    provider = store._get_provider()

    def broken(*_: object, **__: object) -> None:
        raise KairosError("no server; start it.")

    monkeypatch.setattr(provider.online_store, "replace_latest", broken)
    with pytest.raises(KairosError, match="no server"):
        materialize(store)


def test_frames_leave_what_feasts_provider_leaves(store, tmp_path, monkeypatch, request) -> None:
    frame = source_rows(tmp_path).rename(columns={"raw_rate": "rate"})
    provider = type(store._get_provider())
    with monkeypatch.context() as patch:
        patch.setattr(provider, "ingest_df", PassthroughProvider.ingest_df)
        forget(store)
        store.write_to_online_store("activity", frame)
        feasts = online(store)
    request.getfixturevalue("no_protobufs")
    forget(store)
    store.write_to_online_store("activity", frame)
    assert online(store) == feasts
    forget(store)
    store.push("push", frame)
    assert online(store, "pushed") == feasts
    forget(store)
    asyncio.run(store.write_to_online_store_async("activity", frame))
    assert online(store) == feasts


def test_an_older_frame_changes_nothing(store) -> None:
    forget(store)
    materialize(store)
    before = online(store)
    stale = pd.DataFrame({"user_id": ["u1", "u2"], "rate": 9.0, "count": 99, "tags": [["z"], ["z"]]})
    stale["ts"], stale["made"] = NOW - timedelta(days=2), NOW
    store.write_to_online_store("activity", stale)
    assert online(store) == before
    store.write_to_online_store("activity", stale.assign(ts=NOW + timedelta(minutes=1)))
    assert online(store)["count"][1] == 99
