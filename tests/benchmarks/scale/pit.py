"""The point-in-time join: ours, Feast's own DuckDB store and hand-written DuckDB ASOF, on the same files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather

from infra.lake_files import parquet_literal
from tests.benchmarks.scale.measure import timed
from tests.benchmarks.scale.pit_data import FEATURES, VIEWS, features_of

_WARM_ROWS = 1_000  # loads what is imported and read on first use, for every contender alike


def ours(folder: str, save: str | None, memory_gb: float) -> None:
    """`FeatureStore.get_historical_features(...).to_arrow()` through `infra.offline_store`."""
    from infra.offline_store import AsofOfflineStoreConfig

    config = AsofOfflineStoreConfig(
        memory_limit=_limit(memory_gb), temp_directory=str(Path(folder) / "spill")
    )
    _feast(Path(folder), config, save, coerce_tz_aware=False)


def stock(folder: str, save: str | None, memory_gb: float) -> None:
    """The same through Feast's own DuckDB store."""
    import ibis

    ibis.set_backend(
        ibis.duckdb.connect(memory_limit=_limit(memory_gb), temp_directory=str(Path(folder) / "spill"))
    )
    _feast(Path(folder), "duckdb", save)


def by_hand(folder: str, save: str | None, memory_gb: float) -> None:
    """One query of five ASOF LEFT JOINs, as someone who knows DuckDB writes it: no store can be faster."""
    entities = _entities(Path(folder))
    connection = duckdb.connect(
        config={
            "memory_limit": _limit(memory_gb),
            "temp_directory": str(Path(folder) / "spill"),
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    # The order is asked for in the query; without this DuckDB would hold more to keep it twice.
    connection.execute("SET preserve_insertion_order = false")
    joins = "".join(
        f" ASOF LEFT JOIN read_parquet({parquet_literal(Path(folder), f'{view}.parquet')}) {view} ON "
        + " AND ".join(f"asked.{key} = {view}.{key}" for key in keys)
        + f" AND asked.event_timestamp >= {view}.event_timestamp"
        for view, keys in VIEWS.items()
    )
    columns = ", ".join(f"{view}.{feature}" for view in VIEWS for feature in features_of(view))

    def join(frame: pd.DataFrame) -> pa.Table:
        connection.register("asked", frame)
        return connection.sql(
            f"SELECT asked.*, {columns} FROM asked{joins} ORDER BY asked.row_id"
        ).to_arrow_table()

    join(entities.head(_WARM_ROWS))
    with timed():
        table = join(entities)
    _save(table, save)


def register(folder: str) -> None:
    """Nothing; Feast's registry in `folder` knows the five views."""
    _store(Path(folder), "duckdb").apply(_definitions(Path(folder)))


def compare(mine: str, theirs: str) -> dict[str, int]:
    """{cells, differences}: values of two saved results that differ, row by row in the order asked."""
    tables = [feather.read_table(path, memory_map=True) for path in (mine, theirs)]
    if tables[0].num_rows != tables[1].num_rows:
        return {"cells": 0, "differences": max(table.num_rows for table in tables)}
    sorted_tables = [table.sort_by("row_id") for table in tables]
    names = [name.partition(":")[2] for name in FEATURES] + ["user_id", "item_id", "event_timestamp"]
    differences = 0
    for name in names:
        left, right = (pd.Series(table[name].to_pandas()) for table in sorted_tables)
        differences += int((~((left == right) | (left.isna() & right.isna()))).sum())
    return {"cells": tables[0].num_rows * len(names), "differences": differences}


def _feast(folder: Path, offline_store: Any, save: str | None, **more: Any) -> None:
    entities = _entities(folder)
    store = _store(folder, offline_store, **more)
    store.get_historical_features(entities.head(_WARM_ROWS), FEATURES).to_arrow()
    with timed():
        table = store.get_historical_features(entities, FEATURES).to_arrow()
    _save(table, save)


def _store(folder: Path, offline_store: Any, **more: Any) -> Any:
    from feast import FeatureStore, RepoConfig

    return FeatureStore(
        config=RepoConfig(
            project="bench",
            provider="local",
            registry=str(folder / "registry.db"),
            offline_store=offline_store,
            online_store={"type": "sqlite", "path": str(folder / "online.db")},
            repo_path=folder,
            entity_key_serialization_version=3,
            **more,
        )
    )


def _definitions(folder: Path) -> list[Any]:
    from feast import Entity, FeatureView, Field, FileSource
    from feast.types import Float64, String
    from feast.value_type import ValueType

    names = {key for keys in VIEWS.values() for key in keys}
    entities = {key: Entity(name=key, join_keys=[key], value_type=ValueType.STRING) for key in names}
    views = [
        FeatureView(
            name=view,
            entities=[entities[key] for key in keys],
            schema=[Field(name=key, dtype=String) for key in keys]
            + [Field(name=feature, dtype=Float64) for feature in features_of(view)],
            source=FileSource(
                name=view, path=str(folder / f"{view}.parquet"), timestamp_field="event_timestamp"
            ),
        )
        for view, keys in VIEWS.items()
    ]
    return [*entities.values(), *views]


def _entities(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "entities.parquet")


def _limit(memory_gb: float) -> str:
    return f"{int(memory_gb * 1024)}MiB"


def _save(table: pa.Table, save: str | None) -> None:
    if save is not None:
        feather.write_feather(table, save, compression="uncompressed")
