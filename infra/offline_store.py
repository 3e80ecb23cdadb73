"""Feast's offline store on DuckDB, with one ASOF join a feature view."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from duckdb import DuckDBPyConnection
from feast.data_source import DataSource
from feast.feature_logging import LoggingConfig, LoggingSource
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL, FeatureView
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore, DuckDBOfflineStoreConfig
from feast.infra.offline_stores.offline_store import RetrievalJob
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig
from feast.utils import compute_non_entity_date_range
from pydantic import StrictStr

from features.errors import KairosError
from infra.asof_join import JoinedFeatures, asof_join
from infra.asof_sql import instant, instant_of, literal, quoted, statement
from infra.offline_entities import frame_entities, observed, query_entities
from infra.offline_sources import delta_place, open_source, parquet_files
from infra.offline_views import check_entities, view_source
from infra.offline_writes import append_rows, append_to_delta, append_to_log
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
    """DuckDB's offline store with its own reads and writes; sources may be files, folders or globs."""

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
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """A job that reads the views as of each entity row's own instant: the same rows, in the same order.

        Args:
            config: The store's configuration.
            feature_views: With their projections: join key maps and aliases.
            feature_refs: 'view:feature', on-demand features included.
            entity_df: A frame; SQL that DuckDB can run by itself; or None for every (keys, timestamp) that
                the views themselves hold from `start_date` to `end_date`.
            registry: Where on-demand views are looked up.
            project: Feast's project.
            full_feature_names: Whether results are named view__feature.
            filter_by_created_timestamp: Whether a row counts only from the instant it was created on.
            start_date: For None only; by default the longest ttl, or 30 days, before `end_date`.
            end_date: For None only; by default now.

        Raises:
            KairosError: A source lacks a column, or the entity rows cannot be used.
            FeastEntityDFMissingColumnsError: The entity rows lack join keys.
            RequestDataNotFoundInEntityDfException: They lack a field that an on-demand view asks for.
        """
        con = _connect(config)
        opened = [
            view_source(con, config, view, feature_refs, full_feature_names, filter_by_created_timestamp)
            for view in feature_views
        ]
        sources = [source for source, _ in opened if source.features]
        if entity_df is None:
            start, end = compute_non_entity_date_range(feature_views, start_date, end_date)
            entities = observed(con, sources, start, end)
        elif isinstance(entity_df, str):
            entities = query_entities(con, entity_df)
        else:
            entities = frame_entities(entity_df)
        on_demand = OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry)
        check_entities(entities, opened, on_demand)
        names = [ref.replace(":", "__") if full_feature_names else ref.split(":")[1] for ref in feature_refs]
        return AsofRetrievalJob(
            lambda: asof_join(con, entities.read(), entities.timestamp, sources),
            on_demand_views=on_demand,
            requested=frozenset(names),
            full_feature_names=full_feature_names,
            metadata=entities.metadata(feature_refs),
            repo_path=str(config.repo_path),
            sql=statement(sources, entities.sql, entities.timestamp),
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
        times = [timestamp_field, *([created_timestamp_column] if created_timestamp_column else [])]
        newest = ", ".join(f"{instant_of(name)} DESC NULLS LAST" for name in times)
        keys = ", ".join(quoted(name) for name in join_key_columns)
        partition = f"PARTITION BY {keys} " if keys else ""
        return _pull(
            config,
            data_source,
            join_key_columns,
            feature_name_columns,
            times,
            (start_date, end_date),
            f"QUALIFY row_number() OVER ({partition}ORDER BY {newest}) = 1",
        )

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """A job that reads all rows with start_date <= timestamp <= end_date; a missing bound is none."""
        times = [timestamp_field, *([created_timestamp_column] if created_timestamp_column else [])]
        bounds = (start_date, end_date)
        return _pull(config, data_source, join_key_columns, feature_name_columns, times, bounds, "")

    @staticmethod
    def offline_write_batch(
        config: RepoConfig,
        feature_view: FeatureView,
        table: pa.Table,
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Appends `table` to the view's source: a file is replaced as a whole, a folder gets one more file.

        Raises:
            ColumnsDifferError: The table's columns are not the source's, in its order.
        """
        source = feature_view.batch_source
        if files := parquet_files(source, config.repo_path):
            append_rows(files, table, source.name)
        elif place := delta_place(source, config.repo_path):
            append_to_delta(place, table, source.name)
        else:
            DuckDBOfflineStore.offline_write_batch(config, feature_view, table, progress)
            return
        if progress:
            progress(table.num_rows)

    @staticmethod
    def write_logged_features(
        config: RepoConfig,
        data: pa.Table | Path,
        source: LoggingSource,
        logging_config: LoggingConfig,
        registry: BaseRegistry,
    ) -> None:
        """Adds logged features, a table or Parquet files, to the log's folder."""
        append_to_log(data, logging_config.destination, config.repo_path)

    def get_table_column_names_and_types_from_data_source(
        self, config: RepoConfig, data_source: DataSource
    ) -> Iterable[tuple[str, str]]:
        """Name and Arrow type of each column; of globs too, which Feast's own sources cannot tell."""
        files = parquet_files(data_source, config.repo_path)
        if files is None or not files.is_glob:
            return super().get_table_column_names_and_types_from_data_source(config, data_source)
        schema = pq.read_schema(files.require(data_source.name)[0])
        return zip(schema.names, map(str, schema.types), strict=True)


def _connect(config: RepoConfig) -> DuckDBPyConnection:
    """A connection of its own for one job, in UTC, bounded as configured."""
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    # Rows are put back in order by their ids, so DuckDB need not keep it; that saves memory.
    con.execute("SET preserve_insertion_order = false")
    for setting in ("threads", "memory_limit", "temp_directory"):
        value = getattr(config.offline_store, setting, None)
        if value is not None:
            con.execute(f"SET {setting} = {literal(str(value))}")
    return con


def _pull(
    config: RepoConfig,
    data_source: DataSource,
    keys: Sequence[str],
    features: Sequence[str],
    times: Sequence[str],
    bounds: tuple[datetime | None, datetime | None],
    qualify: str,
) -> RetrievalJob:
    """A job that reads columns of one source between two instants; all columns where `features` is empty.

    Feast names columns as stored here, field mappings undone. Without keys every row gets Feast's dummy.
    """
    con = _connect(config)
    relation = open_source(con, data_source, config.repo_path, *times)
    names = list(dict.fromkeys((*keys, *features, *times))) if features else list(relation.types)
    missing = [name for name in (*keys, *names) if name not in relation.types]
    if missing:
        raise KairosError(
            f"source {data_source.name!r} lacks column {missing[0]!r}, it has "
            f"{', '.join(sorted(relation.types))}; write the column or correct the view."
        )
    columns = [quoted(name) for name in names]
    if not keys:
        columns.append(f"{literal(DUMMY_ENTITY_VAL)} AS {quoted(DUMMY_ENTITY_ID)}")
    at = instant_of(times[0])
    limits = [f"{at} {sign} {instant(b)}" for sign, b in zip((">=", "<="), bounds, strict=True) if b]
    where = f"WHERE {' AND '.join(limits)}" if limits else ""
    sql = f"SELECT {', '.join(columns)} FROM {relation.sql} {where} {qualify}".strip()
    return AsofRetrievalJob(
        lambda: JoinedFeatures(con.sql(sql).to_arrow_table(), {}), repo_path=str(config.repo_path), sql=sql
    )
