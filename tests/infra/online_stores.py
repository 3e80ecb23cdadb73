"""Both online stores, and Feast over them, for tests."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.repo_config import MaterializationConfig, RegistryConfig
from feast.types import PrimitiveFeastType, String
from feast.value_type import ValueType

from infra.online_rows import RowOnlineStore
from infra.online_store import PostgresRowOnlineStore, PostgresRowOnlineStoreConfig
from infra.sqlite_online_store import SqliteRowOnlineStore, SqliteRowOnlineStoreConfig

os.environ.setdefault("FEAST_USAGE", "False")
KINDS = ("postgres", "sqlite")
SCHEMA = "online_under_test"


def repo_config(kind: str, postgres_url: str, folder: Path) -> RepoConfig:
    """The configuration the platform uses, with the online store of this kind."""
    from infra.offline_store import AsofOfflineStoreConfig

    stores = {
        "postgres": PostgresRowOnlineStoreConfig(database_url=postgres_url, schema_name=SCHEMA),
        "sqlite": SqliteRowOnlineStoreConfig(path=str(folder / "online.db")),
    }
    return RepoConfig(
        project="test",
        registry=RegistryConfig(path=str(folder / "registry.db")),
        provider="infra.online_provider.ArrowProvider",
        batch_engine="infra.online_engine.ArrowComputeEngine",
        offline_store=AsofOfflineStoreConfig(),
        online_store=stores[kind],
        repo_path=folder,
        entity_key_serialization_version=3,
        coerce_tz_aware=False,
        materialization=MaterializationConfig(pull_latest_features=True),
    )


def new_store(kind: str) -> RowOnlineStore:
    """A store of this kind."""
    return PostgresRowOnlineStore() if kind == "postgres" else SqliteRowOnlineStore()


def feature_store(kind: str, postgres_url: str, folder: Path, objects: list[Any]) -> FeatureStore:
    """Feast over the store, with these objects applied."""
    store = FeatureStore(config=repo_config(kind, postgres_url, folder))
    store.apply(objects)
    return store


def entity(name: str, kind: ValueType = ValueType.STRING) -> Entity:
    """An entity whose join key is its name."""
    return Entity(name=name, join_keys=[name], value_type=kind)


def feature_view(
    name: str,
    entities: list[Entity],
    features: dict[str, Any],
    *,
    path: str = "unused.parquet",
    ttl: timedelta = timedelta(0),
    key_type: PrimitiveFeastType = String,
) -> FeatureView:
    """A view over a Parquet file with event_timestamp."""
    return FeatureView(
        name=name,
        entities=entities,
        ttl=ttl,
        schema=[Field(name=one.join_key, dtype=key_type) for one in entities]
        + [Field(name=feature, dtype=dtype) for feature, dtype in features.items()],
        source=FileSource(name=f"{name} source", path=path, timestamp_field="event_timestamp"),
    )
