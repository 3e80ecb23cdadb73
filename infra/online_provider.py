"""Feast's local provider, except that frames are written online as Arrow, without a protobuf a value."""

from __future__ import annotations

import asyncio
from typing import Any

import pandas as pd
import pyarrow as pa
from feast.base_feature_view import BaseFeatureView
from feast.feature_view import FeatureView
from feast.infra.passthrough_provider import PassthroughProvider
from feast.utils import _run_pyarrow_field_mapping, _validate_vector_field_lengths

from infra.online_columns import CREATED_TIMESTAMP, EVENT_TIMESTAMP
from infra.online_rows import RowOnlineStore


class ArrowProvider(PassthroughProvider):
    """What `write_to_online_store` and `push` hand over goes into our online stores in one load."""

    def ingest_df(
        self, feature_view: BaseFeatureView, df: pd.DataFrame, field_mapping: dict[str, str] | None = None
    ) -> None:
        """Writes the frame's rows online; those older than the rows known change nothing."""
        source = getattr(feature_view, "batch_source", None)
        if not isinstance(feature_view, FeatureView) or source is None or not self._is_ours():
            super().ingest_df(feature_view, df, field_mapping)
            return
        table = _run_pyarrow_field_mapping(pa.Table.from_pandas(df), source.field_mapping or {})
        _validate_vector_field_lengths(table, feature_view)
        times = {source.timestamp_field: EVENT_TIMESTAMP}
        if source.created_timestamp_column:
            times[source.created_timestamp_column] = CREATED_TIMESTAMP
        table = table.rename_columns([times.get(name, name) for name in table.column_names])
        self.online_store.replace_latest(self.repo_config, feature_view, table)

    async def ingest_df_async(self, *args: Any, **kwargs: Any) -> None:
        """`ingest_df` on a thread of its own."""
        await asyncio.to_thread(self.ingest_df, *args, **kwargs)

    def _is_ours(self) -> bool:
        return isinstance(self.online_store, RowOnlineStore)
