"""The online store on Postgres: entities a second in, and how long a screenful of them takes to read."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Float64, String
from feast.value_type import ValueType

from features.table import Service
from features.tables import FEATURE_TABLES
from infra.lake_files import parquet_literal
from infra.offline_store import AsofOfflineStoreConfig
from infra.online_lookup import read_online
from infra.online_store import PostgresRowOnlineStoreConfig
from tests.benchmarks.scale.features_sql import write_tables
from tests.benchmarks.scale.measure import timed
from tests.benchmarks.scale.synthetic import end_of

_LOADED = "loaded"
_FEATURES = [f"f{number}" for number in range(10)]
_PAIRS = "pairs.parquet"
_PREPARED_DAYS = 30  # enough rows to look up; more would only take longer to load
READ_TABLES = [
    table for table in FEATURE_TABLES if table.name in ("user_activity", "item_popularity", "user_item")
]
_AT = datetime(2025, 5, 1, tzinfo=UTC)
WARM_ROUNDS = 20


def load(url: str, folder: str, entities: int, schema: str, way: str, again: bool) -> dict[str, int]:
    """{rows} that changed: `entities` rows of 10 features, the bulk way or by Feast's own `materialize`.

    Args:
        url: PostgreSQL.
        folder: For the registry and the Parquet file that `materialize` reads.
        entities: Rows, one an entity.
        schema: PostgreSQL schema of the tables.
        way: 'bulk' (`replace_latest` from Arrow) or 'feast' (`FeatureStore.materialize`).
        again: The table holds an older row of every entity; otherwise it is empty.
    """
    place = Path(folder)
    path = place / "loaded.parquet"
    store = _store(place, url, schema)
    store.apply(_definitions(place, {_LOADED: ("user_id",)}, {_LOADED: _FEATURES}))
    view = store.get_feature_view(_LOADED)
    online = store._get_provider().online_store
    if again:
        online.replace_latest(store.config, view, _rows(entities, _AT - timedelta(days=1)))
    rows = _rows(entities, _AT)
    pq.write_table(rows, path)
    if way == "bulk":
        with timed():
            online.replace_latest(store.config, view, rows)
    else:
        with timed():
            store.materialize(_AT - timedelta(hours=1), _AT + timedelta(hours=1), [_LOADED])
    answer = store.get_online_features(
        [f"{_LOADED}:f3"], [{"user_id": "u0"}, {"user_id": f"u{entities - 1}"}]
    )
    assert answer.to_dict()["f3"] == [rows["f3"][0].as_py(), rows["f3"][entities - 1].as_py()]
    return {"rows": entities}


def prepare(days: str, folder: str, pairs: int) -> None:
    """Nothing; `folder` holds three of the platform's tables, and user and item of so many events."""
    lake, place = Path(days), Path(folder)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        until = end_of(_PREPARED_DAYS)
        write_tables(connection, lake, READ_TABLES, place, until)
        events = parquet_literal(lake, "events/*/*.parquet")
        connection.execute(
            f"COPY (SELECT user_id, item_id FROM read_parquet({events}) "
            f"WHERE event_type = 'view' AND event_ts < TIMESTAMPTZ '{until.isoformat()}' "
            f"ORDER BY hash(event_id) LIMIT {pairs}) TO {parquet_literal(place, _PAIRS)} (FORMAT parquet)"
        )


def look_up(url: str, folder: str, schema: str, entities: int, rounds: int) -> dict[str, float]:
    """{p50_ms, p95_ms, read_online_p50_ms}: `entities` rows over three views, all their features.

    The first two are of `FeatureStore.get_online_features(...).to_dict()`, the last of the platform's own
    `read_online`. Every round asks for other entities.
    """
    place = Path(folder)
    store = _store(place, url, schema)
    keys = {table.name: table.keys for table in READ_TABLES}
    columns = {table.name: [column.name for column in table.columns] for table in READ_TABLES}
    definitions = _definitions(place, keys, columns)
    service = FeatureService(
        name="looked_up", features=[one for one in definitions if type(one) is FeatureView]
    )
    store.apply([*definitions, service])
    store.materialize(_AT - timedelta(days=400), _AT + timedelta(days=400), list(keys))
    names = [name for table in READ_TABLES for name in columns[table.name]]
    references = [f"{table.name}:{name}" for table in READ_TABLES for name in columns[table.name]]
    asked = pq.read_table(place / _PAIRS)
    requests = [batch.to_pylist() for batch in asked.to_batches(max_chunksize=entities)]
    assert len(requests) == rounds + WARM_ROUNDS
    ways: dict[str, Callable[[list[dict[str, str]]], Any]] = {
        "": lambda rows: store.get_online_features(references, rows).to_dict()["user_item_sessions"],
        "read_online_": lambda rows: read_online(store, Service("looked_up", tuple(names)), rows)[
            "user_item_sessions"
        ].to_pylist(),
    }
    figures = {}
    with timed():
        for way, read in ways.items():
            walls = []
            for rows in requests:
                began = time.perf_counter()
                answer = read(rows)
                walls.append(1000 * (time.perf_counter() - began))
                assert len(answer) == len(rows) and None not in answer, "every pair asked for has a row"
            p50, p95 = np.percentile(walls[WARM_ROUNDS:], [50, 95])
            figures |= {f"{way}p50_ms": float(p50), f"{way}p95_ms": float(p95)}
    return figures


def _rows(entities: int, at: datetime) -> pa.Table:
    rng = np.random.default_rng(5)
    features = {name: rng.random(entities) for name in _FEATURES}
    return pa.table(
        {"user_id": [f"u{number}" for number in range(entities)]}
        | features
        | {"event_timestamp": pa.array([at] * entities, pa.timestamp("us", "UTC"))}
    )


def _store(folder: Path, url: str, schema: str) -> FeatureStore:
    """Configured as `infra.feature_store` does it."""
    return FeatureStore(
        config=RepoConfig(
            project="bench",
            provider="infra.online_provider.ArrowProvider",
            registry=str(folder / f"{schema}.db"),
            offline_store=AsofOfflineStoreConfig(),
            online_store=PostgresRowOnlineStoreConfig(database_url=url, schema_name=schema),
            batch_engine={"type": "infra.online_engine.ArrowComputeEngine"},
            repo_path=folder,
            entity_key_serialization_version=3,
            coerce_tz_aware=False,
        )
    )


def _definitions(folder: Path, keys: dict[str, tuple[str, ...]], features: dict[str, list[str]]) -> list[Any]:
    entities = {
        key: Entity(name=key, join_keys=[key], value_type=ValueType.STRING)
        for key in {*sum(keys.values(), ())}
    }
    views = [
        FeatureView(
            name=name,
            entities=[entities[key] for key in keys[name]],
            schema=[Field(name=key, dtype=String) for key in keys[name]]
            + [Field(name=feature, dtype=Float64) for feature in features[name]],
            source=FileSource(
                name=name, path=str(folder / f"{name}.parquet"), timestamp_field="event_timestamp"
            ),
        )
        for name in keys
    ]
    return [*entities.values(), *views]
