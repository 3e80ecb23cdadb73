"""The scene taxonomy is learnt once, stays as it is, and knows what an unseen scene falls back on."""

from __future__ import annotations

import json

import duckdb
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import KairosError
from features.scenes import SCENE_PARTS, UNKNOWN
from features.taxonomy import SceneTaxonomy, extend_taxonomy

values = st.sampled_from(["a", "b", "c", UNKNOWN])
lines = st.lists(st.tuples(*[values] * len(SCENE_PARTS), st.integers(0, 9)), max_size=12)


def visits(*rows: tuple) -> duckdb.DuckDBPyRelation:
    frame = pd.DataFrame(rows, columns=[*SCENE_PARTS, "first_at"])
    frame = frame.astype(dict.fromkeys(SCENE_PARTS, "string") | {"first_at": "int64"})
    connection = duckdb.connect()
    connection.register("frame", frame)
    connection.execute("CREATE TABLE visits AS SELECT * FROM frame")
    return connection.table("visits")


def seen_at(store: str, region: str, moment: int, device: str = "ios") -> tuple:
    told = {"device": device, "region": region, "store_id": store}
    return (*(told.get(part, UNKNOWN) for part in SCENE_PARTS), moment)


def test_the_first_region_seen_stays() -> None:
    first = extend_taxonomy(
        None, visits(seen_at("s1", UNKNOWN, 1), seen_at("s1", "south", 3), seen_at("s1", "north", 2))
    )
    assert first.regions == {"s1": "north"}
    later = extend_taxonomy(first, visits(seen_at("s1", "south", 0), seen_at("s2", "south", 5)))
    assert later.regions == {"s1": "north", "s2": "south"}
    assert later.seen["region"] == ("north", "south")
    assert extend_taxonomy(later, visits(seen_at("s2", "south", 9))).version == later.version
    assert len({first.version, later.version, SceneTaxonomy().version}) == 3


def test_scenes_are_resolved_to_what_is_known() -> None:
    known = extend_taxonomy(
        None,
        visits(
            seen_at("s1", "north", 1), seen_at("s2", "south", 1), seen_at("s2", "south", 2, device="mobile")
        ),
    )
    asked = pd.DataFrame(
        {
            "query": [5, 6, 7, 8],
            "store_id": ["s1", "s2", "new", None],
            "region": [None, "north", "east", "south"],
            "device": pd.Categorical(["ios", "iPad", "fridge", None]),
        },
        index=[9, 3, 4, 5],
    )
    found = known.resolve(asked)
    assert found.index.tolist() == [9, 3, 4, 5] and found["query"].tolist() == [5, 6, 7, 8]
    assert found["store_id"].tolist() == ["s1", "s2", UNKNOWN, UNKNOWN]
    assert found["region"].tolist() == ["north", "north", UNKNOWN, "south"]  # what is told comes first
    assert found["device"].tolist() == ["ios", "mobile", UNKNOWN, UNKNOWN]
    assert (found[["network", "channel"]] == UNKNOWN).all(axis=None)
    assert len(known.resolve(asked[:0])) == 0


@settings(max_examples=15, deadline=None)
@given(lines, lines)
def test_growing_keeps_what_was_known(first: list[tuple], second: list[tuple]) -> None:
    known = extend_taxonomy(None, visits(*first))
    grown = extend_taxonomy(known, visits(*second))
    assert known.regions.items() <= grown.regions.items()
    for part in SCENE_PARTS:
        assert set(known.seen[part]) <= set(grown.seen[part])
        assert UNKNOWN not in grown.seen[part]
    again = SceneTaxonomy.from_json(grown.to_json())
    assert again.to_json() == grown.to_json() and again.version == grown.version
    frame = pd.DataFrame([row[:-1] for row in second], columns=list(SCENE_PARTS))
    once = grown.resolve(frame)
    pd.testing.assert_frame_equal(grown.resolve(once), once)
    for part in set(SCENE_PARTS) - {"region"}:
        assert once[part].tolist() == frame[part].tolist(), "what was seen is kept"


@pytest.mark.parametrize("text", [json.dumps({"format": 0}), "[]"])
def test_another_format_is_refused(text: str) -> None:
    with pytest.raises(KairosError, match="must be 1; run kairos materialize"):
        SceneTaxonomy.from_json(text)
