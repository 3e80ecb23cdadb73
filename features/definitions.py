"""Feast's view of the feature tables: entities, views, on-demand views and services. Declarations only."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from feast import Entity, FeatureService, FeatureView, Field, FileSource, OnDemandFeatureView, RequestSource
from feast.protos.feast.core.Transformation_pb2 import UserDefinedFunctionV2
from feast.transformation.pandas_transformation import PandasTransformation
from feast.types import Float64, Int64, PrimitiveFeastType, String
from feast.value_type import ValueType

from features.errors import KairosError
from features.table import REQUEST_FIELDS, Dtype, FeatureColumn, FeatureTable, OnDemand, Service
from features.tables import FEATURE_TABLES, ON_DEMAND, SERVICES

_TYPES: dict[Dtype, PrimitiveFeastType] = {"float": Float64, "int": Int64, "str": String}


def build_definitions(tables_dir: Path) -> list[Any]:
    """Every Feast object of Kairos, ready for `FeatureStore.apply`.

    Args:
        tables_dir: Where the tables' segments lie, or will lie; nothing is read.
    """
    entities = {
        key: Entity(name=key, join_keys=[key], value_type=ValueType.STRING)
        for table in FEATURE_TABLES
        for key in table.keys
    }
    views = {table.name: _view(table, entities, tables_dir) for table in FEATURE_TABLES}
    on_demand = {view.name: _on_demand_view(view, views) for view in ON_DEMAND}
    services = [_service(service, views, on_demand) for service in SERVICES]
    return [*entities.values(), *views.values(), *on_demand.values(), *services]


def table_path(tables_dir: Path, name: str) -> Path:
    """The glob of the Parquet files that make up the feature table's newest complete version."""
    return tables_dir / "current" / name / "*.parquet"


def on_demand_function(name: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """What Feast calls for the on-demand view `name`: its `transform` between typed columns.

    Feast passes missing numbers as NaN in training and as None online; here they become NaN, so that
    both see the same frame. The registry names this function and never holds its code.

    Raises:
        KairosError: No such view is declared.
    """
    view = next((view for view in ON_DEMAND if view.name == name), None)
    if view is None:
        raise KairosError(
            f"on-demand view {name!r} is in the Feast registry but not declared; run `kairos materialize`."
        )
    inputs = {column.name: column.dtype for table in _tables_of(view) for column in table.columns}
    inputs |= {field: REQUEST_FIELDS[field] for field in view.request}

    def on_demand(frame: pd.DataFrame) -> pd.DataFrame:
        typed = pd.DataFrame({column: _typed(frame[column], inputs[column]) for column in inputs})
        computed = view.transform(typed)
        columns = {c.name: _typed(computed[c.name], c.dtype) for c in view.columns}
        return pd.DataFrame(columns).reset_index(drop=True)

    on_demand.__name__ = name
    return on_demand


class DeclaredTransformation(PandasTransformation):  # type: ignore[misc]
    """A transformation that the registry stores by name only: an import statement, no pickle.

    Feast would store the function pickled beside its source and fall back to unpickling. What it gets here
    it can only import, from this installation.
    """

    def to_proto(self) -> UserDefinedFunctionV2:
        return UserDefinedFunctionV2(
            name=self.udf.__name__, body=b"", body_text=self.udf_string, mode="pandas"
        )


def function_import(name: str) -> str:
    """The text by which the registry finds the function of the on-demand view `name`."""
    return f"from features.definitions import on_demand_function\n{name} = on_demand_function({name!r})\n"


def _typed(column: pd.Series, dtype: Dtype) -> pd.Series:
    # Integers travel as float64, exact below 2**53, because a missing one has no other way to be told.
    return column.astype(object if dtype == "str" else "float64").reset_index(drop=True)


def _field(column: FeatureColumn) -> Field:
    return Field(name=column.name, dtype=_TYPES[column.dtype], description=_words(column))


def _words(column: FeatureColumn) -> str:
    told = ", ".join(part for part in (column.unit, column.window) if part)
    return f"{column.meaning} ({told}; missing: {column.null_means})"


def _view(table: FeatureTable, entities: dict[str, Entity], tables_dir: Path) -> FeatureView:
    source = FileSource(
        name=table.name,
        path=str(table_path(tables_dir, table.name).absolute()),
        timestamp_field="event_timestamp",
    )
    return FeatureView(
        name=table.name,
        entities=[entities[key] for key in table.keys],
        ttl=timedelta(days=table.ttl_days) if table.ttl_days is not None else timedelta(0),
        schema=[Field(name=key, dtype=String) for key in table.keys] + [_field(c) for c in table.columns],
        source=source,
        online=table.online,
    )


def _tables_of(view: OnDemand) -> list[FeatureTable]:
    tables = {table.name: table for table in FEATURE_TABLES}
    return [tables[name] for name in view.tables]


def _on_demand_view(view: OnDemand, views: dict[str, FeatureView]) -> OnDemandFeatureView:
    sources: list[FeatureView | RequestSource] = [views[name] for name in view.tables]
    if view.request:
        fields = [Field(name=name, dtype=_TYPES[REQUEST_FIELDS[name]]) for name in view.request]
        sources.append(RequestSource(name=f"{view.name}_request", schema=fields))
    return OnDemandFeatureView(
        name=view.name,
        sources=sources,
        # Without descriptions: Feast compares these fields with those it infers, which have none.
        schema=[Field(name=column.name, dtype=_TYPES[column.dtype]) for column in view.columns],
        description="; ".join(f"{column.name}: {_words(column)}" for column in view.columns),
        mode="pandas",
        feature_transformation=DeclaredTransformation(
            udf=on_demand_function(view.name), udf_string=function_import(view.name)
        ),
    )


def _service(
    service: Service, views: dict[str, FeatureView], on_demand: dict[str, OnDemandFeatureView]
) -> FeatureService:
    """The service as Feast groups it: by view; the model's own order is `Service.features`."""
    wanted = set(service.features)
    chosen = []
    for view in (*views.values(), *on_demand.values()):
        features = [field.name for field in view.features if field.name in wanted]
        if features:
            chosen.append(view[features])
        wanted -= set(features)
    if wanted:
        raise KairosError(
            f"service {service.name!r} asks for {min(wanted)!r}, which no table or on-demand view offers; "
            "correct `features/tables.py`."
        )
    return FeatureService(name=service.name, features=chosen)
