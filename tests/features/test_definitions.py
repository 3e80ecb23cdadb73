"""What Feast is told about the feature tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from feast import Entity, FeatureService, FeatureView, OnDemandFeatureView

from features.definitions import build_definitions, function_import, on_demand_function
from features.errors import KairosError
from features.table import REQUEST_FIELDS
from features.tables import FEATURE_TABLES, ON_DEMAND, SERVICES


@pytest.fixture(scope="module")
def objects() -> list:
    return build_definitions(Path("/nowhere"))


def of_type(objects: list, kind: type) -> dict:
    return {item.name: item for item in objects if type(item) is kind}


def test_every_table_is_a_view_over_its_file(objects) -> None:
    views = of_type(objects, FeatureView)
    entities = of_type(objects, Entity)
    assert list(views) == [table.name for table in FEATURE_TABLES]
    for table in FEATURE_TABLES:
        view = views[table.name]
        assert view.batch_source.path == f"/nowhere/current/{table.name}/*.parquet"
        assert [key.name for key in view.entity_columns] == list(table.keys)
        assert [field.name for field in view.features] == [column.name for column in table.columns]
        assert view.online == table.online
        assert set(table.keys) <= set(entities)


def test_services_offer_exactly_what_they_declare(objects) -> None:
    services = of_type(objects, FeatureService)
    assert list(services) == [service.name for service in SERVICES]
    for service in SERVICES:
        offered = [f.name for p in services[service.name].feature_view_projections for f in p.features]
        assert sorted(offered) == sorted(service.features)


def test_on_demand_views_read_their_tables_and_request_fields(objects) -> None:
    views = of_type(objects, OnDemandFeatureView)
    for declared in ON_DEMAND:
        view = views[declared.name]
        assert set(view.source_feature_view_projections) == set(declared.tables)
        assert set(view.get_request_data_schema()) == set(declared.request)


@pytest.mark.parametrize("view", ON_DEMAND, ids=lambda view: view.name)
def test_the_registry_holds_an_import_that_gives_the_same_function(view) -> None:
    namespace: dict = {}
    exec(function_import(view.name), namespace)
    frame = unknown(view, 3)
    pd.testing.assert_frame_equal(namespace[view.name](frame), on_demand_function(view.name)(frame))


@pytest.mark.parametrize("view", ON_DEMAND, ids=lambda view: view.name)
def test_missing_is_missing_whether_none_or_nan(view) -> None:
    nothing = unknown(view, 2)
    as_nan = nothing.copy()
    for table in FEATURE_TABLES:
        for column in table.columns:
            if table.name in view.tables and column.dtype != "str":
                as_nan[column.name] = np.nan
    computed = on_demand_function(view.name)(nothing)
    pd.testing.assert_frame_equal(computed, on_demand_function(view.name)(as_nan))
    assert computed.columns.tolist() == [column.name for column in view.columns]
    kinds = {column.name: "object" if column.dtype == "str" else "float64" for column in view.columns}
    assert computed.dtypes.astype(str).to_dict() == kinds


def unknown(view, rows: int) -> pd.DataFrame:
    """What Feast passes online when nothing is known of the entities."""
    columns = {c.name: [None] * rows for t in FEATURE_TABLES if t.name in view.tables for c in t.columns}
    request = {"int": [17_000] * rows, "str": ["US"] * rows}
    return pd.DataFrame(columns | {field: request[REQUEST_FIELDS[field]] for field in view.request})


def test_an_undeclared_view_is_named() -> None:
    with pytest.raises(KairosError, match="'gone' is in the Feast registry but not declared"):
        on_demand_function("gone")
