"""Feast's local engine, except that plain views are materialised as Arrow, without a protobuf a value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from feast.feature_view import FeatureView
from feast.infra.common.materialization_job import MaterializationJobStatus, MaterializationTask
from feast.infra.compute_engines.local.compute import LocalComputeEngine, LocalComputeEngineConfig
from feast.infra.compute_engines.local.feature_builder import LocalFeatureBuilder
from feast.infra.compute_engines.local.job import LocalMaterializationJob
from feast.infra.compute_engines.utils import create_offline_store_retrieval_job
from feast.infra.offline_stores.offline_store import RetrievalJob
from feast.infra.registry.base_registry import BaseRegistry
from feast.utils import _validate_vector_field_lengths
from pydantic import StrictStr

from infra.online_columns import CREATED_TIMESTAMP, EVENT_TIMESTAMP
from infra.online_rows import RowOnlineStore


class ArrowComputeEngineConfig(LocalComputeEngineConfig):
    """As for Feast's local engine."""

    type: StrictStr = "infra.online_engine.ArrowComputeEngine"


class ArrowComputeEngine(LocalComputeEngine):
    """Loads a view's newest rows straight from the offline store's Arrow into one of our online stores.

    Views with transformations, aggregations or validation, and other online stores, take Feast's way.
    """

    def _materialize_one(
        self, registry: BaseRegistry, task: MaterializationTask, **kwargs: Any
    ) -> LocalMaterializationJob:
        if not self._is_plain(task):
            return super()._materialize_one(registry, task, **kwargs)
        job_id = f"{task.feature_view.name}-{task.start_time}-{task.end_time}"
        try:
            self.online_store.replace_latest(
                self.repo_config, task.feature_view, self._newest_rows(registry, task)
            )
        except Exception as error:  # Feast raises it again where the job is looked at
            return LocalMaterializationJob(job_id, MaterializationJobStatus.ERROR, error=error)
        return LocalMaterializationJob(job_id, MaterializationJobStatus.SUCCEEDED)

    def _is_plain(self, task: MaterializationTask) -> bool:
        view = task.feature_view
        return (
            type(view) is FeatureView
            and isinstance(self.online_store, RowOnlineStore)
            and bool(view.online)
            and not (
                getattr(view, "offline", False)
                or getattr(view, "feature_transformation", None)
                or getattr(view, "source_views", None)
                or getattr(view, "enable_validation", False)
                or task.disable_event_timestamp
            )
        )

    def _newest_rows(self, registry: BaseRegistry, task: MaterializationTask) -> Iterator[pa.RecordBatch]:
        """The view's rows in batches, its columns under the names of the online table."""
        context = self.get_execution_context(registry, task)
        columns = LocalFeatureBuilder(registry, task, backend=None).get_column_info(task.feature_view)
        job = create_offline_store_retrieval_job(
            task.feature_view.batch_source, columns, context, task.start_time, task.end_time
        )
        # The batch source's own mapping: Feast would take that of a push source, which has none.
        renamed = dict(task.feature_view.batch_source.field_mapping or {})
        renamed[columns.ts_col] = EVENT_TIMESTAMP
        if columns.created_ts_col:
            renamed[columns.created_ts_col] = CREATED_TIMESTAMP
        for batch in _batches(job):
            batch = batch.rename_columns([renamed.get(name, name) for name in batch.schema.names])
            _validate_vector_field_lengths(batch, task.feature_view)
            yield batch


def _batches(job: RetrievalJob) -> Iterator[pa.RecordBatch]:
    """The job's rows, streamed where it can."""
    stream = getattr(job, "to_batches", None)
    if stream is not None:
        yield from stream()
        return
    table = job.to_arrow()
    yield from table.to_batches(max_chunksize=20_000)
