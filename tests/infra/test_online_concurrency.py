"""Loads side by side, loads that are killed, and readers meanwhile: old rows or new ones, never a mixture."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Event
from pathlib import Path

import pyarrow as pa
import pytest
from feast import RepoConfig
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Int64, String
from online_stores import KINDS, entity, feature_view, new_store, repo_config

from infra.online_rows import RowOnlineStore
from infra.online_tables import OnlineTable

DAY = datetime(2017, 3, 1, tzinfo=UTC)
KEYS = 400
VIEW = feature_view("busy", [entity("user_id")], {"version": Int64, "pad": String})


def rows(version: int, *, backwards: bool = False, keys: int = KEYS) -> pa.Table:
    """The same keys in one order or the other, all of one version and as much later."""
    users = [f"u{n}" for n in range(keys)]
    return pa.table(
        {
            "user_id": users[::-1] if backwards else users,
            "version": pa.array([version] * keys, pa.int64()),
            "pad": ["x" * 200] * keys,
            "event_timestamp": pa.array([DAY + timedelta(hours=version)] * keys, pa.timestamp("us", "UTC")),
        }
    )


def versions(store: RowOnlineStore, config: RepoConfig) -> list[int | None]:
    asked = [EntityKey(join_keys=["user_id"], entity_values=[Value(string_val=f"u{n}")]) for n in range(KEYS)]
    found = store.online_read(config, VIEW, asked)
    return [None if values is None else values["version"].int64_val for _, values in found]


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture
def config(kind: str, postgres_url: str, tmp_path: Path) -> RepoConfig:
    return repo_config(kind, postgres_url, tmp_path)


@pytest.fixture
def store(kind: str, config: RepoConfig):
    store = new_store(kind)
    store.update(config, [VIEW], [VIEW], [], [], partial=True)
    yield store
    store.teardown(config, [VIEW], [])


def test_two_loads_at_once_leave_the_newest(store, config) -> None:
    gone = rows(0).select(["user_id"]).slice(0, KEYS // 2)

    def load(version: int) -> int:
        return type(store)().replace_latest(
            config, VIEW, rows(version, backwards=version % 2 == 1), gone=gone if version == 3 else None
        )

    with ThreadPoolExecutor(4) as pool:
        for changed in pool.map(load, [5, 1, 8, 3, 2, 7, 4, 6]):
            assert 0 <= changed <= KEYS
    last = versions(store, config)
    assert set(last[KEYS // 2 :]) == {8}
    assert set(last[: KEYS // 2]) <= {3, 4, 6, 7, 8}, "only what came after the deletion may be older"
    load(9)
    assert set(versions(store, config)) == {9}


def test_a_reader_meanwhile_sees_old_or_new(store, config) -> None:
    store.replace_latest(config, VIEW, rows(0))
    seen: list[set[int | None]] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.append(set(versions(store, config)))

    reader = threading.Thread(target=watch)
    reader.start()
    try:
        for version in range(1, 9):
            gone = rows(0).select(["user_id"])
            type(store)().replace_latest(config, VIEW, rows(version), gone=gone, complete=True)
    finally:
        done.set()
        reader.join()
    assert all(len(one) == 1 and None not in one for one in seen)
    assert [next(iter(one)) for one in seen] == sorted(next(iter(one)) for one in seen)
    assert len(seen) > 3


def load_until_killed(kind: str, config: RepoConfig, moment: str, ready: Event) -> None:
    store = new_store(kind)

    def stop() -> None:
        ready.set()
        time.sleep(60)

    def torn() -> Iterator[pa.RecordBatch]:
        yield from rows(5).to_batches(max_chunksize=50)[:4]
        stop()

    if moment == "while staging":
        store.replace_latest(config, VIEW, torn(), complete=True)
        return
    online = OnlineTable.of(VIEW)
    with store._writing(config) as writer:
        writer.load(online, map(online.encode, rows(5).to_batches()), complete=True)
        stop()


@pytest.mark.parametrize("moment", ["while staging", "before the end"])
def test_a_killed_load_leaves_the_old_rows_whole(kind, store, config, moment) -> None:
    store.replace_latest(config, VIEW, rows(1))
    forking = multiprocessing.get_context("fork")  # a fresh process would import Feast for seconds
    ready = forking.Event()
    process = forking.Process(target=load_until_killed, args=(kind, config, moment, ready))
    process.start()
    assert ready.wait(30)
    assert set(versions(store, config)) == {1}, "nothing is seen of a load under way"
    process.kill()
    process.join()
    assert set(versions(store, config)) == {1}
    assert store.replace_latest(config, VIEW, rows(2)) == KEYS, "nothing stays locked"
    assert set(versions(store, config)) == {2}
