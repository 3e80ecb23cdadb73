"""The tables of scenes: five families, each declared once and made for every part of a scene.

Lines that do not tell the part are left out, so a source that never tells it has empty tables, and a request
in an unknown or unseen scene finds nothing there and falls back on the parent.
"""

from __future__ import annotations

from collections.abc import Callable

from features.counted_table import counted_table
from features.market import HOUR
from features.scenes import SCENE_PARTS, UNKNOWN
from features.table import FeatureTable

SCENES: dict[str, str] = {part.removesuffix("_id"): part for part in SCENE_PARTS}
"""What a part is called in names of tables and columns, and its key."""
STOCKED = ("region", "store")
"""Parts in which things lie on a shelf: there it matters when an item was last sold and how often it is."""


def _where(key: str) -> str:
    return f"{key} <> '{UNKNOWN}'"


def _user_scene(scene: str, key: str) -> FeatureTable:
    return counted_table(
        f"user_{scene}",
        ("user_id", key),
        f"user_{scene}",
        of=f"the user's sessions in the {scene}",
        source="visits",
        recency=False,
        half_lives_days=(90,),
        where=_where(key),
    )


def _activity(scene: str, key: str) -> FeatureTable:
    return counted_table(
        f"{scene}_activity",
        (key,),
        scene,
        of=f"sessions in the {scene}",
        source="visits",
        recency=False,
        half_lives_days=(30, 90) if scene in STOCKED else (90,),
        where=_where(key),
    )


def _item_scene(scene: str, key: str) -> FeatureTable:
    return counted_table(
        f"item_{scene}",
        ("item_id", key),
        f"item_{scene}",
        of=f"sessions with the item in the {scene}",
        recency=scene in STOCKED,
        visits=scene in STOCKED,
        half_lives_days=(30, 90) if scene in STOCKED else (90,),
        where=_where(key),
    )


def _category_scene(scene: str, key: str) -> FeatureTable:
    return counted_table(
        f"category_{scene}",
        ("category", key),
        f"category_{scene}",
        of=f"sessions with the category in the {scene}",
        source="category_visits",
        recency=False,
        half_lives_days=(90,),
        where=_where(key),
    )


def _scene_daypart(scene: str, key: str) -> FeatureTable:
    return counted_table(
        f"{scene}_daypart",
        (key, "daypart"),
        f"{scene}_daypart",
        of=f"sessions in the {scene} in the daypart",
        source="visits",
        recency=False,
        where=_where(key),
        grid_seconds=HOUR,
    )


_FAMILIES: tuple[Callable[[str, str], FeatureTable], ...] = (
    _user_scene,
    _activity,
    _item_scene,
    _category_scene,
    _scene_daypart,
)
SCENE_TABLES: tuple[FeatureTable, ...] = tuple(
    family(scene, key) for family in _FAMILIES for scene, key in SCENES.items()
)


def tables_of(*patterns: str) -> tuple[str, ...]:
    """Names of tables for every scene: `tables_of("user_{}")`."""
    return tuple(pattern.format(scene) for pattern in patterns for scene in SCENES)
