"""Feast's offline store on DuckDB, with one ASOF join a feature view."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from duckdb import DuckDBPyConnection
from feast.data_format import ParquetFormat
from feast.data_source import DataSource
from feast.errors import FeastEntityDFMissingColumnsError
from feast.feature_view import FeatureView
from feast.infra.offline_stores.duckdb import (
    DuckDBOfflineStore,
    DuckDBOfflineStoreConfig,
    _read_data_source,
)
from feast.infra.offline_stores.file_source import FileSource
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig
from pydantic import StrictStr

from features.errors import KairosError
from infra.asof_join import AsofSource, JoinedFeatures, asof_join, quoted, to_utc_microseconds
from infra.retrieval_job import AsofRetrievalJob


class AsofOfflineStoreConfig(DuckDBOfflineStoreConfig):
    """How the offline store is chosen and bounded.

    Attributes:
        threads: DuckDB threads; None takes all cores.
        memory_limit: As DuckDB reads it ('4GB'); None is DuckDB's own, 80 % of the machine.
        temp_directory: Where DuckDB spills what does not fit.
    """

    type: StrictStr = "infra.offline_store.AsofOfflineStore"
    threads: int | None = None
    memory_limit: str | None = None
    temp_directory: str | None = None


class AsofOfflineStore(DuckDBOfflineStore):
    """DuckDB's offline store with its own point-in-time join and its own newest-row read."""

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
        **bounds: Any,
    ) -> RetrievalJob:
        """A job that reads the views as of each entity row's own instant.

        Args:
            config: The store's configuration.
            feature_views: With their projections: join key maps and aliases.
            feature_refs: 'view:feature', on-demand features included.
            entity_df: A frame, or SQL that DuckDB can run by itself.
            registry: Where on-demand views are looked up.
            project: Feast's project.
            full_feature_names: Whether results are named view__feature.
            filter_by_created_timestamp: Hands over to Feast's own join, which is slower.
            bounds: Feast's start_date and end_date for reads without entities, not offered here.

        Raises:
            KairosError: There is no entity frame, or a source lacks a column.
            FeastEntityDFMissingColumnsError: The frame lacks join keys.
        """
        if entity_df is None:
            raise KairosError(
                f"entity_df is None (with {bounds}), must be a frame of keys and event_timestamp; "
                "this store reads no features by dates alone."
            )
        con = _connect(config)
        if isinstance(entity_df, str):
            entities = con.sql(entity_df).to_arrow_table()
        elif filter_by_created_timestamp:
            return DuckDBOfflineStore.get_historical_features(
                config, feature_views, feature_refs, entity_df, registry, project, full_feature_names, True
            )
        else:
            entities = pa.Table.from_pandas(entity_df, preserve_index=False)
        dtypes = entities.schema.empty_table().to_pandas().dtypes
        timestamp = infer_event_timestamp_from_entity_df(dict(dtypes))
        sources = [_source(con, config, view, feature_refs, full_feature_names) for view in feature_views]
        expected = {timestamp} | {column for source in sources for column, _ in source.keys}
        missing = expected - set(entities.column_names)
        if missing:
            raise FeastEntityDFMissingColumnsError(expected, missing)
        names = [ref.replace(":", "__") if full_feature_names else ref.split(":")[1] for ref in feature_refs]
        return AsofRetrievalJob(
            lambda: asof_join(con, entities, timestamp, [source for source in sources if source.features]),
            on_demand_views=OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            requested=frozenset(names),
            full_feature_names=full_feature_names,
            metadata=_metadata(entities, timestamp, feature_refs),
            repo_path=str(config.repo_path),
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """A job that reads each key's newest row with start_date <= timestamp <= end_date."""
        con = _connect(config)
        relation = _relation(con, config, data_source)
        times = [timestamp_field, *([created_timestamp_column] if created_timestamp_column else [])]
        columns = ", ".join(quoted(name) for name in (*join_key_columns, *feature_name_columns, *times))
        newest = ", ".join(f"CAST({quoted(name)} AS TIMESTAMPTZ) DESC NULLS LAST" for name in times)
        keys = ", ".join(quoted(name) for name in join_key_columns)
        sql = (
            f"SELECT {columns} FROM {relation} WHERE CAST({quoted(timestamp_field)} AS TIMESTAMPTZ) "
            f"BETWEEN {_instant(start_date)} AND {_instant(end_date)} QUALIFY row_number() OVER "
            f"({f'PARTITION BY {keys} ' if keys else ''}ORDER BY {newest}) = 1"
        )
        return AsofRetrievalJob(
            lambda: JoinedFeatures(con.sql(sql).to_arrow_table(), {}), repo_path=str(config.repo_path)
        )


def _connect(config: RepoConfig) -> DuckDBPyConnection:
    """A connection of its own for one job, in UTC, bounded as configured."""
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    # Rows are put back in order by their ids, so DuckDB need not keep it; that saves memory.
    con.execute("SET preserve_insertion_order = false")
    for setting in ("threads", "memory_limit", "temp_directory"):
        value = getattr(config.offline_store, setting, None)
        if value is not None:
            con.execute(f"SET {setting} = '{value}'")
    return con


def _source(
    con: DuckDBPyConnection,
    config: RepoConfig,
    view: FeatureView,
    feature_refs: Sequence[str],
    full_feature_names: bool,
) -> AsofSource:
    """The view as the join sees it, with the features that `feature_refs` ask of it.

    Raises:
        KairosError: The view has no source, or the source lacks a column.
    """
    source = view.batch_source
    if source is None:
        raise KairosError(f"feature view {view.name!r} has no batch source; declare one to read its history.")
    relation = _relation(con, config, source)
    present = {row[0] for row in con.sql(f"DESCRIBE SELECT * FROM {relation}").fetchall()}
    stored_as = {feature: column for column, feature in source.field_mapping.items()}

    def column(name: str) -> str:
        found = stored_as.get(name, name)
        found = found if found in present else name
        if found not in present:
            raise KairosError(
                f"feature view {view.name!r} reads column {found!r}, its source {source.name!r} has "
                f"{', '.join(sorted(present))}; write the column or correct the view."
            )
        return found

    prefix = f"{view.projection.name_to_use()}:"
    asked = [ref.removeprefix(prefix) for ref in feature_refs if ref.startswith(prefix)]
    shown = f"{view.projection.name_alias or view.name}__" if full_feature_names else ""
    renamed = view.projection.join_key_map
    return AsofSource(
        view=view.name,
        relation=relation,
        keys=tuple((renamed.get(key.name, key.name), column(key.name)) for key in view.entity_columns),
        timestamp=column(source.timestamp_field),
        created=column(source.created_timestamp_column) if source.created_timestamp_column else None,
        features=tuple((column(name), shown + name) for name in asked),
        ttl=view.ttl or None,
    )


def _relation(con: DuckDBPyConnection, config: RepoConfig, source: DataSource) -> str:
    """SQL for the source's rows; Parquet is read in place, any other format by Feast's own reader."""
    if isinstance(source, FileSource) and "://" not in source.path and _is_parquet(source):
        path = Path(source.path)
        if not path.is_absolute():
            path = Path(config.repo_path or ".") / path
        files = path / "**" / "*.parquet" if path.is_dir() else path
        relation = f"read_parquet('{str(files).replace(chr(39), chr(39) * 2)}')"
    else:
        relation = f"source_{abs(hash(source.name))}"
        con.register(relation, _read_data_source(source, str(config.repo_path)).to_pyarrow())
    columns = con.sql(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    # Nanoseconds are cut like those of the entity frame: a cast would round some up and miss equals.
    cut = [
        f"make_timestamptz(epoch_ns({quoted(name)}) // 1000) AS {quoted(name)}"
        for name, kind, *_ in columns
        if kind == "TIMESTAMP_NS"
    ]
    return f"(SELECT * REPLACE ({', '.join(cut)}) FROM {relation})" if cut else relation


def _is_parquet(source: FileSource) -> bool:
    return source.file_format is None or isinstance(source.file_format, ParquetFormat)


def _instant(moment: datetime) -> str:
    """The SQL literal; a naive moment is UTC."""
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return f"TIMESTAMPTZ '{zoned.astimezone(UTC).isoformat()}'"


def _metadata(entities: pa.Table, timestamp: str, feature_refs: Sequence[str]) -> RetrievalMetadata:
    bounds = pc.min_max(to_utc_microseconds(entities[timestamp])).as_py()
    keys = [name for name in entities.column_names if name != timestamp]
    return RetrievalMetadata(list(feature_refs), keys, bounds["min"], bounds["max"])
