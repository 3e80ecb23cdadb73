"""Appending to sources and logs, and saving datasets: whole files, no row lost, no row twice."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast.data_format import ParquetFormat
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import FileLoggingDestination, SavedDatasetFileStorage
from offline_world import TEXT, World, hour

from features.errors import KairosError

ROWS = pa.table(
    {"name": ["a", "b"], "ts": pa.array([hour(0), hour(1)], pa.timestamp("us", "UTC")), "value": [0.0, 1.0]}
)
MORE = pa.table({"name": ["a"], "ts": pa.array([hour(2)], pa.timestamp("ns")), "value": [2]})


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("path", ["day.parquet", "days", "days/*.parquet"])
def test_append(world, path) -> None:
    if path != "day.parquet":
        (world.folder / "days").mkdir()
        pq.write_table(ROWS, world.folder / "days" / "0.parquet")
    else:
        pq.write_table(ROWS, world.folder / path)
    view = world.view("view", path, {"name": TEXT})
    written: list[int] = []
    world.store.offline_write_batch(world.config, view, MORE, written.append)
    assert written == [1]
    stored = pq.read_table(world.folder / path.removesuffix("/*.parquet"))
    assert stored.schema.equals(ROWS.schema), "in the types the source has"
    assert sorted(stored["value"].to_pylist()) == [0.0, 1.0, 2.0]
    assert not list(world.folder.rglob("*.partial"))
    table = world.ask(None, [view], start_date=hour(0), end_date=hour(3))
    assert table["value"].to_pylist() == [0.0, 1.0, 2.0]


def test_append_refuses_other_columns_and_unclear_places(world) -> None:
    view = world.view("view", ROWS, {"name": TEXT})
    for wrong in (MORE.select(["ts", "name", "value"]), MORE.drop_columns("value")):
        with pytest.raises(ValueError, match="must have \\['name', 'ts', 'value'\\] in this order"):
            world.store.offline_write_batch(world.config, view, wrong, None)
    (world.folder / "x").mkdir()
    pq.write_table(ROWS, world.folder / "x" / "0.parquet")
    many = world.view("many", "x*/*.parquet", {"name": TEXT})
    with pytest.raises(KairosError, match="names no one folder to write to"):
        world.store.offline_write_batch(world.config, many, MORE, None)
    unfit = MORE.set_column(2, "value", pa.array(["x"]))
    with pytest.raises(pa.ArrowInvalid):
        world.store.offline_write_batch(world.config, view, unfit, None)
    assert pq.read_table(world.folder / "view.parquet").equals(ROWS), "a failed write changes nothing"


@pytest.mark.parametrize("partition_by", [None, ["name"]])
def test_log(world, partition_by) -> None:
    destination = FileLoggingDestination(path="log", partition_by=partition_by)
    config = SimpleNamespace(destination=destination)
    pq.write_table(ROWS, world.folder / "logged.parquet")
    for data in (ROWS, world.folder / "logged.parquet"):
        world.store.write_logged_features(world.config, data, None, config, None)
    source = destination.to_data_source()
    job = world.store.pull_all_from_table_or_query(world.config, source, ["name"], ["value"], "ts")
    assert sorted(job.to_arrow()["value"].to_pylist()) == [0.0, 0.0, 1.0, 1.0]
    assert set(job.to_arrow()["name"].to_pylist()) == {"a", "b"}


@pytest.mark.parametrize("path", ["saved.parquet", "saved"])
def test_persist_replaces_what_was_there(world, path) -> None:
    view = world.view("view", ROWS, {"name": TEXT})
    job = world.job(None, [view], start_date=hour(0), end_date=hour(3))
    storage = SavedDatasetFileStorage(path=path, file_format=ParquetFormat())
    job.persist(storage)
    with pytest.raises(SavedDatasetLocationAlreadyExists):
        job.persist(storage)
    job.persist(storage, allow_overwrite=True)
    assert pq.read_table(world.folder / path).equals(job.to_arrow()), "once, not twice"
