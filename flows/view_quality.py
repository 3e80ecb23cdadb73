"""Quality of every feature view as of a moment: what the tables on disk say beside the events."""

from __future__ import annotations

from datetime import datetime

from duckdb import DuckDBPyConnection

from features.table import FeatureTable
from features.tables import FEATURE_TABLES
from flows.freshness import view_freshness
from flows.wiring import Stores
from monitoring.quality_check import Bound, QualityCheck, judge
from monitoring.view_quality import ViewShape, measure_view


def view_checks(stores: Stores, connection: DuckDBPyConnection, as_of: datetime) -> list[QualityCheck]:
    """Every view's checks and its freshness; none before features were built.

    Args:
        connection: Has the lake's views, as of the same moment; the feature views are added to it.
    """
    manifest = stores.features.tables.manifest()
    if manifest is None:
        return []
    checks = []
    for table in FEATURE_TABLES:
        if not manifest.rows.get(table.name):
            continue
        files = [str(path) for path in stores.features.tables.files(table.name)]
        connection.read_parquet(files).create_view(table.name)
        checks += measure_view(connection, shape_of(table), as_of)
    limit = stores.settings.max_feature_age_hours
    for view in view_freshness(manifest.newest, as_of, limit):
        if view.limit_hours is not None and view.age_hours is not None:
            words = f"{view.view}: newest row {view.age_hours:.1f} h before as_of"
            bound = Bound(view.limit_hours / 2, view.limit_hours)
            checks.append(judge("view_age_hours", view.view, view.age_hours, bound, words))
    return checks


def shape_of(table: FeatureTable) -> ViewShape:
    """The table as it is measured."""
    return ViewShape(
        table.name,
        table.keys,
        tuple(column.name for column in table.columns if column.dtype != "str"),
        tuple(column.name for column in table.columns if column.dtype == "str"),
        may_rest=table.max_age_hours is None,
    )
