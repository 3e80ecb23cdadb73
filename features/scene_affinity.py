"""Where a user is at home and what sells where: every scene shrunk to its parent, store < region < all."""

from __future__ import annotations

import pandas as pd

from features.recency import days_since, decayed_now, due, mean_gap_days, ratio, shrunk_lift, shrunk_share
from features.scene_tables import SCENES, STOCKED, tables_of
from features.table import FeatureColumn, OnDemand

_USER_STRENGTH = 2.0
_LIFT_STRENGTH = 5.0
"""So many expected sessions with an item must be seen in a scene before half of what they say counts."""
_PARENT = {"store": "region"}
_ORDER = sorted(SCENES, key=lambda scene: scene in _PARENT)  # parents first


def _user_scene(frame: pd.DataFrame) -> pd.DataFrame:
    columns: dict[str, pd.Series[float]] = {}
    for scene in _ORDER:
        everyones = ratio(frame[f"{scene}_sessions"], frame["market_sessions"])
        if scene in _PARENT:
            parent = _PARENT[scene]
            within = ratio(frame[f"{scene}_sessions"], frame[f"{parent}_sessions"]).clip(upper=1.0)
            everyones = (columns[f"user_{parent}_share"] * within).fillna(everyones)
        # Missing where nobody was ever seen in the scene: then it says nothing about the user.
        columns[f"user_{scene}_share"] = shrunk_share(
            frame[f"user_{scene}_sessions"], frame["user_sessions"], everyones, _USER_STRENGTH
        )
        columns[f"user_{scene}_rate_90d"] = decayed_now(frame, f"user_{scene}", 90).where(
            frame[f"{scene}_sessions"].notna()
        )
        columns[f"user_{scene}_days_since_last"] = days_since(frame, f"user_{scene}_last_epoch_seconds")
    return pd.DataFrame({column.name: columns[column.name] for column in USER_SCENE.columns})


def _item_scene(frame: pd.DataFrame) -> pd.DataFrame:
    everyone = decayed_now(frame, "market", 90)
    item, category = (decayed_now(frame, what, 90) for what in ("item", "category"))
    item_share = ratio(item, everyone).where(item > 0)
    columns: dict[str, pd.Series[float]] = {"item_share_90d": item_share}
    for scene in _ORDER:
        scene_share = ratio(decayed_now(frame, scene, 90), everyone)
        parent = _PARENT.get(scene)
        category_lift = shrunk_lift(
            decayed_now(frame, f"category_{scene}", 90),
            category * scene_share,
            columns[f"category_{parent}_lift"] if parent else 1.0,
            _LIFT_STRENGTH,
        )
        # In a region an item does as its category does; in a store as it does in the region, moved by how
        # its category differs there from the region.
        item_lift = shrunk_lift(
            decayed_now(frame, f"item_{scene}", 90),
            item * scene_share,
            columns[f"item_{parent}_lift"] * category_lift / columns[f"category_{parent}_lift"]
            if parent
            else category_lift,
            _LIFT_STRENGTH,
        )
        columns[f"category_{scene}_lift"] = category_lift
        columns[f"item_{scene}_lift"] = item_lift
        columns[f"item_{scene}_share_90d"] = item_share * item_lift
    for scene in STOCKED:
        since = days_since(frame, f"item_{scene}_last_epoch_seconds")
        gap = mean_gap_days(frame, f"item_{scene}")
        quarter = decayed_now(frame, f"item_{scene}", 90)
        seen = frame[f"{scene}_sessions"].notna()
        share = ratio(decayed_now(frame, f"item_{scene}", 30), decayed_now(frame, scene, 30) + 20.0)
        columns |= {
            f"item_{scene}_rate_90d": quarter.where(seen),
            f"item_{scene}_share_30d": share.where(seen),
            f"item_{scene}_days_since_sold": since,
            f"item_{scene}_mean_gap_days": gap,
            f"item_{scene}_absence": due(since, gap),
            f"item_{scene}_part_of_item": ratio(quarter.where(seen), item),
        }
    return pd.DataFrame({column.name: columns[column.name] for column in ITEM_SCENE.columns})


def _column(
    name: str, meaning: str, unit: str, window: str = "half-life 90 days", null_means: str = "never null"
) -> FeatureColumn:
    return FeatureColumn(name, "float", meaning, null_means, unit, window)


def _user_columns(scene: str) -> tuple[FeatureColumn, ...]:
    parent = "to the region's" if scene == "store" else "to everybody's"
    return (
        _column(
            f"user_{scene}_share",
            f"part of the user's sessions in this {scene}, shrunk {parent}",
            "share",
            "all time",
            f"unknown or unseen {scene}",
        ),
        _column(
            f"user_{scene}_rate_90d",
            f"the user's sessions in this {scene}; 0: none yet",
            "sessions",
            null_means=f"unknown or unseen {scene}",
        ),
        _column(
            f"user_{scene}_days_since_last",
            f"since the user's last session in this {scene}",
            "days",
            "all time",
            f"new user, never in this {scene}, or unknown {scene}",
        ),
    )


def _item_columns(scene: str) -> tuple[FeatureColumn, ...]:
    parent = "the region's" if scene == "store" else "everywhere's"
    columns = (
        _column(
            f"category_{scene}_lift",
            f"the category's sessions in this {scene} over those expected, shrunk to {parent}",
            "ratio",
        ),
        _column(
            f"item_{scene}_lift",
            f"the item's sessions in this {scene} over those expected, shrunk to its category's"
            + (" and the region's" if scene == "store" else ""),
            "ratio",
        ),
        _column(
            f"item_{scene}_share_90d",
            f"part of this {scene}'s sessions with the item, shrunk to {parent}",
            "share",
            null_means="new item",
        ),
    )
    return columns + _stock_columns(scene) if scene in STOCKED else columns


def _stock_columns(scene: str) -> tuple[FeatureColumn, ...]:
    once = f"new item, sold in this {scene} at most once, or unknown {scene}"
    never = f"new item, never sold in this {scene}, or unknown {scene}"
    unseen = f"unknown or unseen {scene}"
    return (
        _column(
            f"item_{scene}_rate_90d",
            f"sessions with the item in this {scene}; 0: none yet",
            "sessions",
            null_means=unseen,
        ),
        _column(
            f"item_{scene}_share_30d",
            f"part of this {scene}'s sessions with the item, as if 20 more had gone without",
            "share",
            "half-life 30 days",
            unseen,
        ),
        _column(
            f"item_{scene}_days_since_sold",
            f"since the item was sold in this {scene}",
            "days",
            "all time",
            never,
        ),
        _column(
            f"item_{scene}_mean_gap_days",
            f"mean between the item's sessions in this {scene}",
            "days",
            "all time",
            once,
        ),
        _column(
            f"item_{scene}_absence",
            f"time since sold in this {scene} over the mean gap; far above 1 it is hardly on offer",
            "ratio",
            "all time",
            once,
        ),
        _column(
            f"item_{scene}_part_of_item",
            f"part of the item's sessions in this {scene}",
            "share",
            null_means=f"new item, or unknown {scene}",
        ),
    )


USER_SCENE = OnDemand(
    "user_scene",
    tables=(*tables_of("user_{}", "{}_activity"), "user_activity", "market_activity"),
    request=("request_epoch_seconds",),
    columns=tuple(column for scene in SCENES for column in _user_columns(scene)),
    transform=_user_scene,
)
ITEM_SCENE = OnDemand(
    "item_scene",
    tables=(
        *tables_of("item_{}", "category_{}", "{}_activity"),
        *("item_popularity", "category_popularity", "market_activity"),
    ),
    request=("request_epoch_seconds",),
    columns=(
        _column("item_share_90d", "part of all sessions with the item", "share", null_means="new item"),
        *(column for scene in SCENES for column in _item_columns(scene)),
    ),
    transform=_item_scene,
)
