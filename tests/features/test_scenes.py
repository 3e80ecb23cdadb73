"""Scenes are complete, and two different scenes never share a key."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.scenes import SCENE_PARTS, UNKNOWN, fill_scene, scene_key

values = st.one_of(st.none(), st.text(alphabet="a|=% 7CD", max_size=5))


def test_missing_null_and_blank_parts_are_unknown() -> None:
    filled = fill_scene(pd.DataFrame({"device": ["ios", None, "  "], "store_id": [343, None, 31]}))
    assert filled["device"].tolist() == ["ios", UNKNOWN, UNKNOWN]
    assert filled["store_id"].tolist() == ["343.0", UNKNOWN, "31.0"]
    assert (filled[["network", "region", "channel"]] == UNKNOWN).all(axis=None)


def test_the_input_is_not_changed() -> None:
    frame = pd.DataFrame({"device": [None, "ios"]})
    fill_scene(frame)
    assert frame.columns.tolist() == ["device"] and frame["device"].isna().tolist() == [True, False]


@settings(deadline=None)
@given(st.lists(st.tuples(*[values] * len(SCENE_PARTS)), min_size=2, max_size=6))
def test_keys_are_equal_exactly_when_scenes_are(rows: list[tuple[str | None, ...]]) -> None:
    frame = pd.DataFrame(rows, columns=list(SCENE_PARTS))
    scenes = [tuple(row) for row in fill_scene(frame)[list(SCENE_PARTS)].to_numpy()]
    keys = scene_key(frame).tolist()
    for left in range(len(rows)):
        for right in range(len(rows)):
            assert (keys[left] == keys[right]) == (scenes[left] == scenes[right])


@pytest.mark.parametrize("parts", [(), ("colour",)])
def test_bad_parts_are_refused(parts: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="must be a non-empty choice"):
        scene_key(pd.DataFrame({"device": ["ios"]}), parts)
