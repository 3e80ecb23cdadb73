"""When a user, an item and a category are alive: by daypart and by weekday, each shrunk to its parent."""

from __future__ import annotations

import pandas as pd

from features.counted_table import counted_table
from features.recency import decayed_now, ratio, shrunk_share
from features.table import FeatureColumn, FeatureTable, OnDemand

DAYPARTS = 6
WEEKDAYS = 7

USER_DAYPART = counted_table(
    "user_daypart",
    ("user_id", "daypart"),
    "user_daypart",
    of="the user's sessions in the daypart",
    source="visits",
    recency=False,
    half_lives_days=(60,),
)
USER_WEEKDAY = counted_table(
    "user_weekday",
    ("user_id", "weekday"),
    "user_weekday",
    of="the user's sessions on the weekday",
    source="visits",
    recency=False,
)
ITEM_DAYPART = counted_table(
    "item_daypart",
    ("item_id", "daypart"),
    "item_daypart",
    of="sessions with the item in the daypart",
    recency=False,
)
ITEM_WEEKDAY = counted_table(
    "item_weekday",
    ("item_id", "weekday"),
    "item_weekday",
    of="sessions with the item on the weekday",
    recency=False,
)
CATEGORY_DAYPART = counted_table(
    "category_daypart",
    ("category", "daypart"),
    "category_daypart",
    of="sessions with the category in the daypart",
    source="category_visits",
    recency=False,
)
CATEGORY_WEEKDAY = counted_table(
    "category_weekday",
    ("category", "weekday"),
    "category_weekday",
    of="sessions with the category on the weekday",
    source="category_visits",
    recency=False,
)
TIME_TABLES: tuple[FeatureTable, ...] = (
    *(USER_DAYPART, USER_WEEKDAY, ITEM_DAYPART),
    *(ITEM_WEEKDAY, CATEGORY_DAYPART, CATEGORY_WEEKDAY),
)


def everyones_daypart_share(frame: pd.DataFrame) -> pd.Series[float]:
    """Part of all sessions in the row's daypart; even where there are none."""
    return shrunk_share(frame["daypart_sessions"], frame["market_sessions"], 1.0 / DAYPARTS, 20.0)


def user_daypart_share(frame: pd.DataFrame) -> pd.Series[float]:
    """Part of the user's sessions in the row's daypart, shrunk to everybody's."""
    everyones = everyones_daypart_share(frame)
    return shrunk_share(frame["user_daypart_sessions"], frame["user_sessions"], everyones, 3.0)


def _everyones_weekday_share(frame: pd.DataFrame) -> pd.Series[float]:
    return shrunk_share(frame["weekday_sessions"], frame["market_sessions"], 1.0 / WEEKDAYS, 20.0)


def _user_rhythm(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "user_daypart_share": user_daypart_share(frame),
            "user_daypart_rate_60d": decayed_now(frame, "user_daypart", 60),
            "user_weekday_share": shrunk_share(
                frame["user_weekday_sessions"], frame["user_sessions"], _everyones_weekday_share(frame), 5.0
            ),
            "daypart_share": everyones_daypart_share(frame),
            "weekday_share": _everyones_weekday_share(frame),
        }
    )


def _item_rhythm(frame: pd.DataFrame) -> pd.DataFrame:
    columns: dict[str, pd.Series[float]] = {}
    for time, everyones in (
        ("daypart", everyones_daypart_share(frame)),
        ("weekday", _everyones_weekday_share(frame)),
    ):
        category = shrunk_share(
            frame[f"category_{time}_sessions"], frame["category_sessions"], everyones, 20.0
        )
        item = shrunk_share(frame[f"item_{time}_sessions"], frame["item_sessions"], category, 30.0)
        columns |= {
            f"category_{time}_share": category,
            f"item_{time}_share": item,
            f"item_{time}_lift": ratio(item, category),
        }
    return pd.DataFrame(columns)


def _column(
    name: str, meaning: str, unit: str = "share", window: str = "all time", null_means: str = "never null"
) -> FeatureColumn:
    return FeatureColumn(name, "float", meaning, null_means, unit, window)


USER_RHYTHM = OnDemand(
    "user_rhythm",
    tables=(
        *("user_daypart", "user_weekday", "user_activity"),
        *("daypart_activity", "weekday_activity", "market_activity"),
    ),
    request=("request_epoch_seconds",),
    columns=(
        _column("user_daypart_share", "user's part of sessions in this daypart, shrunk to everybody's"),
        _column(
            "user_daypart_rate_60d",
            "the user's sessions in this daypart; 0: none yet",
            "sessions",
            "half-life 60 days",
        ),
        _column("user_weekday_share", "user's part of sessions on this weekday, shrunk to everybody's"),
        _column("daypart_share", "part of all sessions in this daypart, shrunk to an even one"),
        _column("weekday_share", "part of all sessions on this weekday, shrunk to an even one"),
    ),
    transform=_user_rhythm,
)
ITEM_RHYTHM = OnDemand(
    "item_rhythm",
    tables=(
        *("item_daypart", "item_weekday", "category_daypart", "category_weekday"),
        *("item_popularity", "category_popularity"),
        *("daypart_activity", "weekday_activity", "market_activity"),
    ),
    request=(),
    columns=tuple(
        column
        for time, when in (("daypart", "in this daypart"), ("weekday", "on this weekday"))
        for column in (
            _column(f"category_{time}_share", f"category's part sold {when}, shrunk to everything's"),
            _column(f"item_{time}_share", f"item's part sold {when}, shrunk to its category's"),
            _column(f"item_{time}_lift", f"item's part {when} over its category's", "ratio"),
        )
    ),
    transform=_item_rhythm,
)
