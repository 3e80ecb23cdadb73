"""When a scene is alive: its part of sessions in a daypart, store < region < all."""

from __future__ import annotations

import pandas as pd

from features.recency import shrunk_share
from features.scene_tables import SCENES, tables_of
from features.table import FeatureColumn, OnDemand
from features.time_affinity import everyones_daypart_share

_STRENGTH = 20.0


def _scene_rhythm(frame: pd.DataFrame) -> pd.DataFrame:
    everyones = everyones_daypart_share(frame)

    def share(scene: str, parent: pd.Series[float]) -> pd.Series[float]:
        return shrunk_share(frame[f"{scene}_daypart_sessions"], frame[f"{scene}_sessions"], parent, _STRENGTH)

    parents = {"store": share("region", everyones)}
    return pd.DataFrame(
        {f"{scene}_daypart_share": share(scene, parents.get(scene, everyones)) for scene in SCENES}
    )


SCENE_RHYTHM = OnDemand(
    "scene_rhythm",
    tables=(*tables_of("{}_daypart", "{}_activity"), "daypart_activity", "market_activity"),
    request=(),
    columns=tuple(
        FeatureColumn(
            f"{scene}_daypart_share",
            "float",
            f"part of this {scene}'s sessions in this daypart, shrunk to "
            + ("the region's" if scene == "store" else "everybody's"),
            "never null",
            "share",
            "all time",
        )
        for scene in SCENES
    ),
    transform=_scene_rhythm,
)
