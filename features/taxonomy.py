"""The scene taxonomy: which scenes are known, and what each falls back on. One for training and planning.

A store's parent is its region, learnt from events that tell both; the first one seen stays, so that a stray
event moves no store. A region's parent is everything. Parents of devices, networks and channels are declared.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd
from duckdb import DuckDBPyRelation

from features.errors import KairosError
from features.scenes import SCENE_PARTS, UNKNOWN, fill_scene

FORMAT = 1

_MOBILE = ("android", "ios", "iphone", "mobile_web", "phone", "smartphone", "tablet", "ipad")
_FIXED = ("desktop", "laptop", "linux", "mac", "macos", "pc", "windows")
DECLARED_PARENTS: Mapping[str, Mapping[str, str]] = {
    "device": dict.fromkeys(_MOBILE, "mobile") | dict.fromkeys(_FIXED, "web"),
    "network": dict.fromkeys(("2g", "3g", "4g", "5g", "lte", "edge"), "cellular")
    | dict.fromkeys(("wlan", "wi-fi", "ethernet", "dsl", "cable"), "wifi"),
    "channel": dict.fromkeys(("ios_app", "android_app", "mobile_app"), "app")
    | dict.fromkeys(("website", "mobile_web", "desktop_web", "online"), "web")
    | dict.fromkeys(("pos", "shop", "branch", "in_store"), "store"),
}
"""By part: a value and what stands for it where events have never shown it. Letter case does not matter."""


@dataclass(frozen=True)
class SceneTaxonomy:
    """Every scene that events have shown.

    Attributes:
        regions: Region by store, of stores whose region is known.
        seen: By part, every value seen, sorted; 'unknown' is never one.
    """

    regions: Mapping[str, str] = field(default_factory=dict)
    seen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """12 hex digits that change exactly when the taxonomy does.

        >>> len(SceneTaxonomy().version), SceneTaxonomy().version == SceneTaxonomy({"s1": "north"}).version
        (12, False)
        """
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    def resolve(self, frame: pd.DataFrame) -> pd.DataFrame:
        """A copy of `frame` with every scene part as the tables know it.

        A missing part is 'unknown'. A region that is not told is that of the store. A value never seen
        becomes its declared parent where that was seen, else 'unknown': then features fall back on the next
        wider scene.

        Examples:
            >>> known = SceneTaxonomy({"s1": "north"}, {"store_id": ("s1",), "region": ("north",)})
            >>> rows = known.resolve(pd.DataFrame({"store_id": ["s1", "s9"]}))
            >>> rows[["store_id", "region"]].to_numpy().tolist()
            [['s1', 'north'], ['unknown', 'unknown']]
        """
        filled = fill_scene(frame)
        for part in SCENE_PARTS:
            filled[part] = _mapped(filled[part], {value: value for value in self.seen.get(part, ())}, part)
        of_store = _mapped(filled["store_id"], self.regions, "")
        filled["region"] = filled["region"].where(filled["region"] != UNKNOWN, of_store)
        return filled

    def to_json(self) -> str:
        """The taxonomy as JSON, the same text for the same content."""
        content = {
            "format": FORMAT,
            "regions": dict(sorted(self.regions.items())),
            "seen": {part: sorted(self.seen.get(part, ())) for part in SCENE_PARTS},
        }
        return json.dumps(content, ensure_ascii=False, separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> SceneTaxonomy:
        """The taxonomy that `to_json` wrote.

        Raises:
            KairosError: The text is another format.
        """
        stored = json.loads(text)
        if not isinstance(stored, dict) or stored.get("format") != FORMAT:
            found = stored.get("format") if isinstance(stored, dict) else type(stored).__name__
            raise KairosError(
                f"scene taxonomy format == {found!r}, must be {FORMAT}; run kairos materialize, which writes "
                "it."
            )
        seen = {part: tuple(values) for part, values in stored["seen"].items()}
        return SceneTaxonomy(stored["regions"], seen)


def extend_taxonomy(known: SceneTaxonomy | None, visits: DuckDBPyRelation) -> SceneTaxonomy:
    """`known` and every scene of `visits`; what is known stays as it is.

    Args:
        known: What earlier visits told; None at the beginning.
        visits: Lines of `features.visits` with the scene parts and `first_at`, in any order.
    """
    known = known or SceneTaxonomy()
    told = " UNION ALL ".join(
        f"SELECT DISTINCT '{part}' AS part, {part}::VARCHAR AS value FROM lines_of_scenes "
        f"WHERE {_is_told(part)}"
        for part in SCENE_PARTS
    )
    seen = {part: set(known.seen.get(part, ())) for part in SCENE_PARTS}
    for part, value in visits.query("lines_of_scenes", told).fetchall():
        seen[part].add(value)
    first = visits.query(
        "lines_of_scenes",
        f"""
        SELECT store_id, arg_min(region::VARCHAR, (first_at, region::VARCHAR)) FROM lines_of_scenes
        WHERE {_is_told("store_id")} AND {_is_told("region")} GROUP BY store_id
        """,
    ).fetchall()
    return SceneTaxonomy(
        dict(first) | dict(known.regions), {part: tuple(sorted(values)) for part, values in seen.items()}
    )


def _is_told(part: str) -> str:
    return f"{part} IS NOT NULL AND {part} NOT IN ('', '{UNKNOWN}')"


def _mapped(values: pd.Series, names: Mapping[str, str], part: str) -> pd.Series:
    """The values by `names`, else by the part's declared parents, else 'unknown'; each looked up once."""
    parents = DECLARED_PARENTS.get(part, {})
    codes, distinct = pd.factorize(values)
    found = [
        names.get(str(value), names.get(parents.get(str(value).casefold(), ""), UNKNOWN))
        for value in distinct
    ]
    return pd.Series(pd.array([*found, UNKNOWN], dtype="object")[codes], index=values.index, dtype=object)
