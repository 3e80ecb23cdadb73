"""What the models ask the online store: a service's features for many entity rows, in one round trip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from features.errors import KairosError
from features.table import REQUEST_FIELDS, Dtype, OnDemand, Service
from features.tables import FEATURE_TABLES, ON_DEMAND, column_named

if TYPE_CHECKING:
    from feast import FeatureStore

_ARROW: dict[Dtype, pa.DataType] = {"float": pa.float64(), "int": pa.int64(), "str": pa.string()}


def read_online(
    feast_store: FeatureStore, service: Service, entity_rows: Sequence[Mapping[str, Any]]
) -> pa.Table:
    """The service's features as the online store knows them, one row per entity row, in order.

    Values are those of the point-in-time join at the request's moment, as long as no table knows a newer
    row. Unknown and null keys, and rows older than their view's ttl at `request_epoch_seconds` (else now),
    read as missing. On-demand features are computed once over all rows.

    Args:
        feast_store: Over one of our online stores.
        service: What to read; its features name the table's columns, in its order.
        entity_rows: Join keys and request fields, the same names in every row; other names are ignored.

    Raises:
        KairosError: The rows are empty or differ in names, or its views were not applied.
    """
    from feast.errors import FeatureViewNotFoundException

    from infra.online_answer import read_features
    from infra.online_request import read_request
    from infra.online_rows import RowOnlineStore

    if not entity_rows:
        raise KairosError("entity_rows is empty, must hold at least one row of keys and request fields.")
    config = feast_store.config
    store = feast_store._get_provider().online_store
    assert isinstance(store, RowOnlineStore)
    try:
        request = read_request(
            list(_references(service)),
            entity_rows,
            feast_store.registry,
            config.project,
            False,
            config.online_store.request_time_field,
        )
    except FeatureViewNotFoundException as error:
        raise KairosError(
            f"service {service.name!r} cannot be read: {error}; run `kairos materialize`."
        ) from None
    except ValueError as error:
        raise KairosError(
            f"entity_rows cannot be read: {error} Give each row the same keys and fields."
        ) from None
    assert request is not None, "no service of ours needs Feast's own code"
    known = {name: column.values for name, column in request.given.items()}
    found = read_features(lambda lookups: store._read(config, lookups), request, store.read_clock(config))
    known |= {name: column.values for name, column in found.items()}
    columns = {
        name: pa.array(known[name], _ARROW[column_named(name).dtype])
        for name in service.features
        if name in found
    }
    columns |= _on_demand(known, set(service.features) - columns.keys())
    return pa.table({name: columns[name] for name in service.features})


@cache
def _references(service: Service) -> tuple[str, ...]:
    """Feast's names of the service's features."""
    owners = {column.name: table.name for table in FEATURE_TABLES for column in table.columns}
    owners |= {column.name: view.name for view in ON_DEMAND for column in view.columns}
    return tuple(f"{owners[name]}:{name}" for name in service.features)


def _on_demand(known: Mapping[str, Sequence[Any]], wanted: set[str]) -> dict[str, pa.Array]:
    """The wanted on-demand features, each view seeing exactly what it declares, as in the historical join.

    What `features.definitions.on_demand_function` does to a frame of Feast's, done to columns.
    """
    typed: dict[str, np.ndarray] = {}
    computed: dict[str, pa.Array] = {}
    for view in ON_DEMAND:
        offered = [column for column in view.columns if column.name in wanted]
        if not offered:
            continue
        for name, dtype in _inputs(view).items():
            if name not in typed:
                typed[name] = np.array(known[name], dtype=object if dtype == "str" else np.float64)
        frame = view.transform(pd.DataFrame({name: typed[name] for name in _inputs(view)}))
        for column in offered:
            values = frame[column.name].to_numpy(dtype=object if column.dtype == "str" else np.float64)
            computed[column.name] = pa.array(values, from_pandas=True).cast(_ARROW[column.dtype])
    return computed


@cache
def _inputs(view: OnDemand) -> dict[str, Dtype]:
    tables = {table.name: table for table in FEATURE_TABLES}
    stored = {column.name: column.dtype for name in view.tables for column in tables[name].columns}
    return stored | {name: REQUEST_FIELDS.get(name, "int") for name in view.request}
