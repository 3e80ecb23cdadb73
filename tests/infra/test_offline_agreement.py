"""Our answers are those of Feast's DuckDB store where it is right, and of plain Python everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from offline_world import NUMBER, TEXT, World, answers, hour

TEXTS = st.sampled_from(["a", "b", "a:b", "", None])
NUMBERS = st.sampled_from([1, 11, -1, None])
HOURS = st.integers(0, 8)
KEYS = {"name": TEXT, "number": NUMBER}
UTC_US = pa.timestamp("us", "UTC")
ROW = st.tuples(TEXTS, NUMBERS, HOURS, st.one_of(st.none(), st.integers(0, 12)))
ENTITY = st.tuples(TEXTS, NUMBERS, st.one_of(HOURS, st.just(7.5)))


def source_rows(drawn: Sequence[tuple]) -> list[dict[str, Any]]:
    return [
        {"name": n, "number": k, "ts": hour(h), "created": hour(c), "value": float(i), "second": float(-i)}
        for i, (n, k, h, c) in enumerate(drawn)
    ]


def source_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    kinds = {"name": pa.string(), "number": pa.int64(), "ts": UTC_US, "created": UTC_US}
    columns = ("name", "number", "ts", "created", "value", "second")
    return pa.table({c: pa.array([r[c] for r in rows], kinds.get(c, pa.float64())) for c in columns})


def entity_frame(drawn: Sequence[tuple]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "order": pd.Series(range(len(drawn)), dtype="int64"),
            "name": pd.Series([e[0] for e in drawn], dtype=object),
            "number": pd.array([e[1] for e in drawn], dtype="Int64"),
            "event_timestamp": pd.to_datetime([hour(e[2]) for e in drawn], utc=True).astype(
                "datetime64[us, UTC]"
            ),
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("agreement")


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    entities=st.lists(ENTITY, max_size=20),
    rows=st.lists(ROW, max_size=25),
    keys=st.sampled_from([("name",), ("number",), ("name", "number"), ()]),
    ttl=st.sampled_from([None, timedelta(0), timedelta(hours=1), timedelta(hours=3)]),
    created=st.booleans(),
    only_created=st.booleans(),
    full_feature_names=st.booleans(),
)
def test_random_data(folder, entities, rows, keys, ttl, created, only_created, full_feature_names) -> None:
    known, frame = source_rows(rows), entity_frame(entities)
    source = {"created_timestamp_column": "created"} if created else {}
    names = ["view__value", "view__second"] if full_feature_names else ["value", "second"]
    found = {}
    for world in (World(folder), World(folder, stock=True)):
        if world.stock and frame.empty:
            continue
        view = world.view(
            "view", source_table(known), {k: KEYS[k] for k in keys}, ("value", "second"), ttl, **source
        )
        table = world.ask(
            frame.copy(),
            [view],
            full_feature_names=full_feature_names,
            filter_by_created_timestamp=only_created,
        )
        assert sorted(table["order"].to_pylist()) == list(range(len(frame))), "rows out equal rows in"
        found[world.stock] = dict(
            zip(
                table["order"].to_pylist(),
                zip(*(table[n].to_pylist() for n in names), strict=True),
                strict=True,
            )
        )
        if not world.stock:
            assert (
                table.select(list(frame.columns))
                .to_pandas()
                .equals(pa.Table.from_pandas(frame).to_pandas(ignore_metadata=True))
            ), "the entity rows come back as they were, in order"
    for order, (name, number, at) in enumerate(entities):
        entity = {"name": name, "number": number, "event_timestamp": hour(at)}
        right = answers(
            entity,
            known,
            {key: key for key in keys},
            ttl=ttl or None,
            created=created,
            only_created=created and only_created,
        )
        allowed = {(row["value"], row["second"]) for row in right} or {(None, None)}
        assert found[False][order] in allowed
        if len(allowed) == 1:
            assert found[True][order] == found[False][order]


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    entities=st.lists(ENTITY, min_size=1, max_size=15),
    rows=st.lists(ROW, max_size=15, unique_by=lambda r: r[:3]),
)
def test_aliases_key_maps_and_field_mapping(folder, entities, rows) -> None:
    known, frame = source_rows(rows), entity_frame(entities)
    stored = source_table(known).rename_columns(["n", "k", "t", "made", "v", "second"])
    mapping = {"n": "name", "k": "number", "t": "ts", "made": "created", "v": "value"}
    asked = frame.rename(columns={"name": "sender"}).assign(receiver="a")
    found = []
    for world in (World(folder), World(folder, stock=True)):
        view = world.view("mapped", stored, {"name": TEXT}, field_mapping=mapping)
        views = [
            view.with_name("from").with_join_key_map({"name": "sender"}),
            view.with_name("to").with_join_key_map({"name": "receiver"}),
        ]
        table = world.ask(asked.copy(), views, full_feature_names=True).sort_by("order")
        found.append({name: table[name].to_pylist() for name in ("from__value", "to__value")})
    for order, (name, _, at) in enumerate(entities):
        for column, key in (("from__value", name), ("to__value", "a")):
            entity = {"name": key, "event_timestamp": hour(at)}
            right = {row["value"] for row in answers(entity, known, {"name": "name"})} or {None}
            assert found[0][column][order] in right
            if len(right) == 1:
                assert found[1][column][order] == found[0][column][order]


def test_a_key_map_that_names_one_of_two_keys_joins_on_both(folder) -> None:
    """Feast's store joins on the named key alone and takes another pair's row."""
    rows = source_rows([("a", 1, 0, None), ("a", 11, 1, None)])
    frame = entity_frame([("a", 1, 2)]).rename(columns={"name": "sender"})
    results = {}
    for world in (World(folder), World(folder, stock=True)):
        view = world.view("pair", source_table(rows), KEYS).with_join_key_map({"name": "sender"})
        results[world.stock] = world.ask(frame.copy(), [view])["value"].to_pylist()
    entity = {"sender": "a", "number": 1, "event_timestamp": hour(2)}
    assert results[False] == [
        row["value"] for row in answers(entity, rows, {"name": "sender", "number": "number"})
    ]
    assert results[True] != results[False], "Feast has repaired its store: compare again"


def test_a_feature_whose_name_ends_in_y(folder) -> None:
    """Feast's store drops all such columns after its join, and fails."""
    rows = source_table(source_rows([("a", 1, 0, None)])).rename_columns(
        ["name", "number", "ts", "created", "value", "share_y"]
    )
    frame = entity_frame([("a", 1, 2)])
    ours, stock = World(folder), World(folder, stock=True)
    view = ours.view("y", rows, {"name": TEXT}, ("share_y",))
    assert ours.ask(frame.copy(), [view])["share_y"].to_pylist() == [0.0]
    with pytest.raises(Exception, match="share_y"):
        stock.ask(frame.copy(), [view])


def test_nanoseconds_are_cut_on_both_sides(folder) -> None:
    """An entity row of the very same instant finds the row; Feast's store fails."""
    at = pa.array([1_488_326_400_000_000_900], pa.timestamp("ns", "UTC"))
    rows = pa.table({"name": ["a"], "ts": at, "value": [1.0]})
    frame = pa.table({"name": ["a"], "event_timestamp": at}).to_pandas()
    ours, stock = World(folder), World(folder, stock=True)
    view = ours.view("fine", rows, {"name": TEXT})
    assert ours.ask(frame.copy(), [view])["value"].to_pylist() == [1.0]
    with pytest.raises(pa.ArrowInvalid, match="would lose data"):
        stock.ask(frame.copy(), [view])
