"""Every Feast type goes through the online stores and comes back as Feast's own stores give it."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pandas as pd
import pytest
from feast import types
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import feast_value_type_to_python_type, python_values_to_proto_values
from feast.types import Array, Set
from online_stores import KINDS, entity, feature_store, feature_view, new_store, repo_config

NOW = datetime(2026, 3, 1, 12, 30, 15, tzinfo=UTC)
BEFORE_1970 = datetime(1960, 1, 1, tzinfo=UTC)
IDS = [uuid.UUID(int=1), uuid.UUID(int=2)]
USER = entity("user_id")
VALUES = {
    "bool": (types.Bool, [True, False]),
    "bytes": (types.Bytes, [b"", b"\x00\xff,\"'\n\\"]),
    "double": (types.Float64, [0.1 + 0.2, -1e300]),
    "float": (types.Float32, [0.5, 1 / 3]),
    "int32": (types.Int32, [-(2**31), 2**31 - 1]),
    "int64": (types.Int64, [-(2**62), 2**62 + 1]),
    "string": (types.String, ["", 'q"u,o\\te\n']),
    "instant": (types.UnixTimestamp, [NOW, BEFORE_1970]),
    "bytes_list": (Array(types.Bytes), [[b"a", b"\x00"], [b""]]),
    "bool_list": (Array(types.Bool), [[True, False], [False]]),
    "double_list": (Array(types.Float64), [[0.1, -2.0], [1e-300]]),
    "float_list": (Array(types.Float32), [[0.5], [1.5, 2.5]]),
    "int32_list": (Array(types.Int32), [[1, 2], [3]]),
    "int64_list": (Array(types.Int64), [[2**62], [3, 4]]),
    "string_list": (Array(types.String), [["", "b"], ["c"]]),
    "instant_list": (Array(types.UnixTimestamp), [[NOW], [NOW, BEFORE_1970]]),
    "int64_set": (Set(types.Int64), [{1, 2}, {3}]),
    "string_set": (Set(types.String), [{"a", "b"}, {"c"}]),
    "map": (types.Map, [{"a": 1, "b": "x"}, {"c": 2.5}]),
    "map_list": (Array(types.Map), [[{"a": 1}], [{"b": 2}, {"c": "y"}]]),
    "uuid": (types.Uuid, IDS),
    "decimal": (types.Decimal, [Decimal("1.10"), Decimal("-2")]),
    "json": (types.Json, ['{"a": 1}', "[1, 2]"]),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", VALUES)
def test_a_value_comes_back(kind: str, name: str, postgres_url, tmp_path) -> None:
    dtype, values = VALUES[name]
    store, config = new_store(kind), repo_config(kind, postgres_url, tmp_path)
    view = feature_view("typed", [USER], {"value": dtype})
    store.update(config, [], [view], [], [], partial=True)
    protos = [*python_values_to_proto_values(values, dtype.to_value_type()), Value()]
    users = [Value(string_val=f"u{n}") for n in range(len(protos))]
    keys = [EntityKey(join_keys=["user_id"], entity_values=[user]) for user in users]
    rows = [(key, {"value": value}, NOW, None) for key, value in zip(keys, protos, strict=True)]
    store.online_write_batch(config, view, rows, None)
    assert [found["value"] for _, found in store.online_read(config, view, keys)] == protos
    store.teardown(config, [view], [])


@pytest.mark.parametrize("kind", KINDS)
def test_frames_answer_as_feast_converts_them(kind: str, postgres_url, tmp_path) -> None:
    features = {name: dtype for name, (dtype, _) in VALUES.items()}
    view = feature_view("typed", [USER], features)
    store = feature_store(kind, postgres_url, tmp_path, [USER, view])
    # Sets and maps have no frame of their own in Arrow: sets are lists there, maps are left out.
    columns = {
        name: [sorted(one) for one in values] if name.endswith("_set") else values
        for name, (_, values) in VALUES.items()
    }
    columns |= {name: [None, None] for name in VALUES if name.startswith("map")}
    columns["event_timestamp"] = [NOW, NOW - timedelta(days=1)]
    frame = pd.DataFrame({"user_id": ["u0", "u1"]} | columns)
    store.write_to_online_store("typed", frame)
    answer = store.get_online_features([f"typed:{name}" for name in features], {"user_id": ["u0", "u1"]})
    shown = answer.to_dict()
    for name, (dtype, values) in VALUES.items():
        expected = [
            feast_value_type_to_python_type(value)
            for value in python_values_to_proto_values(values, dtype.to_value_type())
        ]
        assert shown[name] == ([None, None] if name.startswith("map") else expected), name
    store.teardown()
