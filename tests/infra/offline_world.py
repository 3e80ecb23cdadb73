"""Feature views over small Parquet files, asked of our offline store, of Feast's, and of plain Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast import Entity, FeatureView, Field, FileSource, RepoConfig
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore
from feast.infra.offline_stores.offline_store import RetrievalJob
from feast.types import Float64, Int64, String
from feast.value_type import ValueType

from infra.offline_store import AsofOfflineStore, AsofOfflineStoreConfig

START = datetime(2017, 3, 1, tzinfo=UTC)
REGISTRY = SimpleNamespace(list_on_demand_feature_views=lambda *_, **__: [])
NUMBER, TEXT = Int64, String


def hour(number: float | None) -> datetime | None:
    return None if number is None else START + timedelta(hours=number)


@dataclass
class World:
    """Where files lie and which store answers."""

    folder: Path
    stock: bool = False
    views: list[FeatureView] = field(default_factory=list)

    @property
    def store(self) -> type[DuckDBOfflineStore]:
        return DuckDBOfflineStore if self.stock else AsofOfflineStore

    @property
    def config(self) -> RepoConfig:
        return RepoConfig(
            project="test",
            registry=str(self.folder / "registry.db"),
            offline_store="duckdb" if self.stock else AsofOfflineStoreConfig(threads=1, memory_limit="1GB"),
            online_store=None,
            repo_path=self.folder,
        )

    def view(
        self,
        name: str,
        rows: pa.Table | str,
        keys: Mapping[str, Any],
        features: Sequence[str] = ("value",),
        ttl: timedelta | None = None,
        **source: Any,
    ) -> FeatureView:
        """A view of these rows, or of files that are there; `keys` gives the Feast type of each."""
        path = rows if isinstance(rows, str) else str(self.folder / f"{name}.parquet")
        if not isinstance(rows, str):
            pq.write_table(rows, path)
        kinds = {Int64: ValueType.INT64, String: ValueType.STRING}
        entities = [Entity(name=key, join_keys=[key], value_type=kinds[kind]) for key, kind in keys.items()]
        schema = [Field(name=key, dtype=kind) for key, kind in keys.items()]
        schema += [Field(name=feature, dtype=Float64) for feature in features]
        options = {"timestamp_field": "ts"} | source
        return FeatureView(
            name=name, entities=entities, ttl=ttl, schema=schema, source=FileSource(path=path, **options)
        )

    def job(
        self,
        entities: pd.DataFrame | str | None,
        views: Sequence[FeatureView],
        refs: Sequence[str] | None = None,
        **options: Any,
    ) -> RetrievalJob:
        every = [f"{v.projection.name_to_use()}:{f.name}" for v in views for f in v.features]
        return self.store.get_historical_features(
            self.config, list(views), list(refs or every), entities, REGISTRY, "test", **options
        )

    def ask(self, *args: Any, **options: Any) -> pa.Table:
        return self.job(*args, **options).to_arrow()


def answers(
    entity: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    keys: Mapping[str, str],
    *,
    ttl: timedelta | None = None,
    created: bool = False,
    only_created: bool = False,
    at: str = "event_timestamp",
) -> list[Mapping[str, Any]]:
    """The rows that may answer an entity row: several only where they tie in every respect. Plain Python.

    Args:
        entity: An entity row.
        rows: The source's, with `ts` and, for the last two, `created`.
        keys: Entity column by source column.
        ttl: None is for ever.
        created: Whether the row created last wins among those of one instant.
        only_created: Whether rows created later than asked are unknown.
        at: The entity row's time column.
    """
    asked = entity[at]
    known = [
        row
        for row in rows
        if asked is not None
        and row["ts"] is not None
        and row["ts"] <= asked
        and all(row[raw] is not None and row[raw] == entity[key] for raw, key in keys.items())
        and (ttl is None or row["ts"] + ttl >= asked)
        and (not only_created or (row["created"] is not None and row["created"] <= asked))
    ]
    never = START - timedelta(days=9999)
    rank = [(row["ts"], (row["created"] or never) if created else None) for row in known]
    return [row for row, place in zip(known, rank, strict=True) if place == max(rank)]
