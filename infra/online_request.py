"""What an online request asks for, in columns: Feast's resolution of it, without Feast's protobufs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from feast.feature_service import FeatureService
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.type_map import feast_value_type_to_python_type, python_values_to_proto_values
from feast.utils import _get_cached_request_context, ensure_request_data_values_exist
from feast.value_type import ValueType

from infra.online_response import AnswerColumn

_PLAIN = {
    ValueType.STRING: ({str},),
    ValueType.INT64: ({int},),
    ValueType.DOUBLE: ({float},),
    ValueType.BOOL: ({bool},),
    ValueType.UNKNOWN: ({str}, {int}, {float}, {bool}),
}
_LARGEST = 2**63 - 1


@dataclass(frozen=True)
class OnlineRequest:
    """A resolved request.

    Attributes:
        rows: How many entity rows.
        given: Join keys, then request data, as the response shows them.
        join_keys: Name to the values given.
        join_keys_of_entities: Entity name to join key.
        grouped: (view, names of its features to read), those that on-demand views read included.
        on_demand_views: Views to compute.
        feature_refs: What was asked for.
        wanted: Names the response shows.
        full_feature_names: Whether those carry their view's name.
        times: The request's own moments in UTC seconds, where it has them.
    """

    rows: int
    given: dict[str, AnswerColumn]
    join_keys: dict[str, Sequence[Any]]
    join_keys_of_entities: dict[str, str]
    grouped: list[tuple[Any, list[str]]]
    on_demand_views: list[OnDemandFeatureView]
    feature_refs: list[str]
    wanted: set[str]
    full_feature_names: bool
    times: Sequence[Any] | None

    def moments(self, clock: Callable[[], datetime]) -> np.ndarray:
        """Each row's moment in UTC microseconds: its own where it names one, else the clock's."""
        now = round(clock().timestamp() * 1e6)
        if self.times is None:
            return np.full(self.rows, now)
        own = np.array([np.nan if one is None else float(one) for one in self.times])
        known = np.isfinite(own)
        return np.where(known, np.rint(np.where(known, own, 0) * 1e6).astype(np.int64), now)


def read_request(
    features: list[str] | FeatureService,
    entity_rows: Any,
    registry: BaseRegistry,
    project: str,
    full_feature_names: bool,
    time_field: str,
) -> OnlineRequest | None:
    """The request resolved, or None for one that only Feast's own code answers.

    Raises:
        ValueError: The entity rows are not of the same columns.
    """
    (
        feature_refs,
        on_demand_views,
        join_keys_of_entities,
        entity_types,
        join_key_names,
        grouped,
        wanted,
        request_fields,
        without_entity,
    ) = _get_cached_request_context(registry, project, features, full_feature_names)
    precomputed = isinstance(features, FeatureService) and getattr(features, "precompute_online", False)
    if (precomputed and not on_demand_views) or any(view.aggregations for view in on_demand_views):
        return None
    if any(getattr(view.projection, "version_tag", None) is not None for view, _ in grouped):
        return None
    columns = _columns(entity_rows)
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1:
        raise ValueError("All entity rows must have the same columns.")
    [rows] = lengths
    join_keys: dict[str, Sequence[Any]] = {}
    data: dict[str, AnswerColumn] = {}
    given: dict[str, AnswerColumn] = {}
    for name, values in columns.items():
        key = name if name in join_key_names else join_keys_of_entities.get(name)
        if name in request_fields:
            data[name] = _given(values, entity_types.get(name, ValueType.UNKNOWN))
        elif key is not None:
            given[key] = _given(values, entity_types.get(name, ValueType.UNKNOWN))
            join_keys[key] = given[key].values
    ensure_request_data_values_exist(request_fields, data)
    shown = set(wanted) | set(given)
    if without_entity:
        join_keys[DUMMY_ENTITY_ID] = [DUMMY_ENTITY_VAL] * rows
    return OnlineRequest(
        rows,
        given | data,
        join_keys,
        join_keys_of_entities,
        [(view, list(wanted_features)) for view, wanted_features in grouped],
        on_demand_views,
        feature_refs,
        shown,
        full_feature_names,
        columns.get(time_field),
    )


def _columns(entity_rows: Any) -> dict[str, list[Any]]:
    """Name to values, from rows or from columns of lists, arrays or Feast's repeated values."""
    if isinstance(entity_rows, Mapping):
        return {name: _listed(values) for name, values in entity_rows.items()}
    rows = list(entity_rows)
    names = list(rows[0]) if rows else []
    if any(row.keys() != rows[0].keys() for row in rows):
        raise ValueError("All entity_rows must have the same keys.")
    return {name: [row[name] for row in rows] for name in names}


def _listed(values: Any) -> list[Any]:
    return list(values.tolist() if hasattr(values, "tolist") else getattr(values, "val", values) or ())


def _given(values: list[Any], kind: ValueType) -> AnswerColumn:
    """A column of the request as Feast shows it; plain values of the right type stay as they are."""
    kinds = set(map(type, values)) - {type(None)}
    if kinds in _PLAIN.get(kind, ()) and not (
        kinds == {int} and any(one is not None and abs(one) > _LARGEST for one in values)
    ):
        # Feast takes NaN for missing.
        plain = [None if one != one else one for one in values] if kinds == {float} else values
        return AnswerColumn(plain, lambda: python_values_to_proto_values(values, kind))
    protos = python_values_to_proto_values(values, kind)
    return AnswerColumn([feast_value_type_to_python_type(value) for value in protos], lambda: protos)
