"""A Feast retrieval over joined features: stored columns first, then those computed on demand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import ibis
import pandas as pd
import pyarrow as pa
from feast.infra.offline_stores.duckdb import _write_data_source
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.saved_dataset import SavedDatasetStorage

from features.errors import KairosError
from infra.asof_join import JoinedFeatures
from infra.offline_sources import delta_place, parquet_files
from infra.offline_writes import save_delta, save_rows


class AsofRetrievalJob(RetrievalJob):
    """A retrieval that runs when it is read."""

    def __init__(
        self,
        join: Callable[[], JoinedFeatures],
        *,
        on_demand_views: Sequence[OnDemandFeatureView] = (),
        requested: frozenset[str] = frozenset(),
        full_feature_names: bool = False,
        metadata: RetrievalMetadata | None = None,
        repo_path: str = ".",
        sql: str | None = None,
    ) -> None:
        """
        Args:
            join: Runs the point-in-time join.
            on_demand_views: Computed from the joined columns.
            requested: Result names asked for; what an on-demand view offers beyond them is left out.
            full_feature_names: Whether results are named view__feature.
            metadata: Feast's description of the retrieval.
            repo_path: What relative paths of saved datasets start from.
            sql: One statement that says the same as `join`, for people.
        """
        super().__init__()
        self._join = join
        self._views = list(on_demand_views)
        self._requested = requested
        self._full_feature_names = full_feature_names
        self._metadata = metadata
        self._repo_path = repo_path
        self._sql = sql

    def read(self, names: Sequence[str]) -> pa.Table:
        """Only these columns, in this order, one row per entity row; names without view prefix.

        What merely feeds an on-demand view is spread over the rows for that view alone and let go again,
        so the peak stays far below that of `to_arrow`. A view's function sees exactly the features and
        request fields that the view declares.

        Raises:
            KairosError: The retrieval offers no such column.
        """
        joined = self._join()
        found: dict[str, pa.ChunkedArray] = {}
        for view in self._views:
            offered = [name for name in names if name in {field.name for field in view.features}]
            if offered and view.feature_transformation is not None:
                inputs = joined.read([name for name in joined.column_names if name in _declared_inputs(view)])
                computed = view.feature_transformation.transform_arrow(inputs, view.features)
                _check_rows(view, inputs, computed)
                found |= {name: computed[name] for name in offered}
        unknown = set(names) - found.keys() - set(joined.column_names)
        if unknown:
            raise KairosError(
                f"column {min(unknown)!r} is not in this retrieval; ask for it in `features` or a service."
            )
        stored = joined.read([name for name in names if name not in found])
        return pa.table([found[n] if n in found else stored[n] for n in names], names=list(names))

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        joined = self._join()
        inputs = joined.read(joined.column_names)
        table = inputs
        for view in self._views:
            computed = view.transform_arrow(inputs, self._full_feature_names)
            _check_rows(view, inputs, computed)
            for name in computed.column_names:
                if name in self._requested and name not in table.column_names:
                    table = table.append_column(name, computed[name])
        return table

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        frame: pd.DataFrame = self._to_arrow_internal(timeout).to_pandas()
        return frame

    @property
    def full_feature_names(self) -> bool:
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """None that are left for Feast to compute."""
        return []

    @property
    def metadata(self) -> RetrievalMetadata | None:
        return self._metadata

    def to_sql(self) -> str:
        """One DuckDB statement for the stored features; TimeZone must be UTC, rows come in any order.

        A pandas entity frame is called `entity_df` there. On-demand features are not part of it.
        """
        return self._sql if self._sql is not None else str(super().to_sql())

    def persist(
        self, storage: SavedDatasetStorage, allow_overwrite: bool = False, timeout: int | None = None
    ) -> None:
        """Writes the result, on-demand features included, where `storage` says.

        Raises:
            SavedDatasetLocationAlreadyExists: There is something, and `allow_overwrite` is not set.
        """
        rows = self._to_arrow_internal(timeout)
        source = storage.to_data_source()
        if files := parquet_files(source, self._repo_path):
            save_rows(rows, files.place, allow_overwrite)
        elif place := delta_place(source, self._repo_path):
            save_delta(rows, place, allow_overwrite)
        else:
            _write_data_source(ibis.memtable(rows), source, self._repo_path, "overwrite", allow_overwrite)


def _declared_inputs(view: OnDemandFeatureView) -> set[str]:
    names = set(view.get_request_data_schema())
    for projection in view.source_feature_view_projections.values():
        names |= {field.name for field in projection.features}
    return names


def _check_rows(view: OnDemandFeatureView, inputs: pa.Table, computed: pa.Table) -> None:
    """Raises KairosError if the view's function returned more or fewer rows than it was given."""
    if computed.num_rows != inputs.num_rows:
        raise KairosError(
            f"on-demand view {view.name!r} returned {computed.num_rows} rows for {inputs.num_rows}; "
            "its function must return one row for each row it is given."
        )
