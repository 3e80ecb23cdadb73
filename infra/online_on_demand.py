"""On-demand features of an online answer, computed once over all request rows."""

from __future__ import annotations

from collections import defaultdict
from time import monotonic
from typing import Any

import pyarrow as pa
from feast import metrics
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.online_response import _convert_uuids_for_arrow
from feast.type_map import feast_value_type_to_python_type, python_values_to_proto_values
from feast.utils import _parse_feature_ref
from feast.value_type import ValueType

from infra.online_columns import OnlineColumn
from infra.online_request import OnlineRequest
from infra.online_response import AnswerColumn


def add_on_demand(columns: dict[str, AnswerColumn], request: OnlineRequest) -> None:
    """Adds the on-demand features that the request asks for.

    As in Feast, a view's function sees keys, request data and the features of the views it declares.
    """
    views = {
        (view.projection.name_alias if view.projection else None) or view.name: view
        for view in request.on_demand_views
    }
    asked: dict[str, list[str]] = defaultdict(list)
    for ref in request.feature_refs:
        view_name, _, feature = _parse_feature_ref(ref)
        if view_name in views:
            prefix = f"{views[view_name].projection.name_to_use()}__" if request.full_feature_names else ""
            asked[view_name].append(prefix + feature)
    inputs = dict(columns)
    arrow: dict[str, pa.ChunkedArray] = {}
    for view_name, wanted in asked.items():
        view = views[view_name]
        if view.write_to_online_store:
            continue
        started = monotonic()
        hidden = _hidden_from(view, set(views), request)
        seen = {
            name: column for name, column in inputs.items() if name not in hidden or view.mode == "substrait"
        }
        if view.mode == "python":
            computed: Any = view.transform_dict({name: list(one.values) for name, one in seen.items()})
            offered = list(computed)
        else:
            for name, one in seen.items():
                if name not in arrow:
                    arrow[name] = _arrow(name, one)
            computed = view.transform_arrow(
                pa.table({name: arrow[name] for name in seen}), request.full_feature_names
            )
            offered = computed.column_names
        if metrics._config.online_features and getattr(view, "track_metrics", False):
            metrics.track_transformation(view_name, view.mode, monotonic() - started)
        kinds = {one.name: one.dtype.to_value_type() for one in view.schema}
        for name in offered:
            if name in wanted:
                columns[name] = _computed(name, kinds.get(name, ValueType.UNKNOWN), computed[name])


def _hidden_from(view: OnDemandFeatureView, on_demand: set[str], request: OnlineRequest) -> set[str]:
    """Names of features that are in the answer but belong to views that `view` does not declare."""
    declared = {projection.name for projection in view.source_feature_view_projections.values()}
    hidden: set[str] = set()
    for ref in request.feature_refs:
        owner, _, feature = _parse_feature_ref(ref)
        if owner not in on_demand and owner not in declared:
            hidden |= {feature, f"{owner}__{feature}"}
    for other in request.on_demand_views:
        for projection in other.source_feature_view_projections.values():
            if projection.name not in declared:
                for one in projection.features:
                    hidden |= {one.name, f"{projection.name}__{one.name}"}
    return hidden


def _arrow(name: str, column: AnswerColumn) -> pa.ChunkedArray:
    converted = _convert_uuids_for_arrow({name: list(column.values)})
    return pa.Table.from_pydict(converted).column(name)


def _computed(name: str, kind: ValueType, values: Any) -> AnswerColumn:
    """What a view's function returned, as Feast shows it."""
    if isinstance(values, pa.ChunkedArray) and kind != ValueType.UNKNOWN:
        column = OnlineColumn(name, kind)
        stored = column.from_arrow(values.combine_chunks()).to_pylist()
        return AnswerColumn(column.to_python(stored), lambda: column.to_values(stored))
    given = values.to_numpy() if isinstance(values, pa.ChunkedArray) else values
    listed = given if isinstance(values, list | pa.ChunkedArray) else [given]
    protos = python_values_to_proto_values(listed, kind)
    return AnswerColumn([feast_value_type_to_python_type(value) for value in protos], lambda: protos)
