"""When a user, an item and a category are alive: by daypart and by weekday."""

from __future__ import annotations

import pandas as pd

from features.counted_table import counted_table
from features.recency import decayed_now, ratio, shrunk_share
from features.table import FeatureColumn, OnDemand

DAYPARTS = 6
WEEKDAYS = 7

USER_DAYPART = counted_table(
    "user_daypart",
    ("user_id", "daypart"),
    "user_daypart",
    of="the user's sessions in the daypart",
    half_lives_days=(60,),
    where="TRUE",
)
USER_WEEKDAY = counted_table(
    "user_weekday",
    ("user_id", "weekday"),
    "user_weekday",
    of="the user's sessions on the weekday",
    where="TRUE",
)
ITEM_DAYPART = counted_table(
    "item_daypart", ("item_id", "daypart"), "item_daypart", of="sessions with the item in the daypart"
)
CATEGORY_DAYPART = counted_table(
    "category_daypart",
    ("category", "daypart"),
    "category_daypart",
    of="sessions with the category in the daypart",
)
CATEGORY_WEEKDAY = counted_table(
    "category_weekday",
    ("category", "weekday"),
    "category_weekday",
    of="sessions with the category on the weekday",
)


def _user_rhythm(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "user_daypart_share": shrunk_share(
                frame["user_daypart_sessions"], frame["user_sessions"], 1.0 / DAYPARTS, 3.0
            ),
            "user_daypart_rate_60d": decayed_now(frame, "user_daypart", 60),
            "user_weekday_share": shrunk_share(
                frame["user_weekday_sessions"], frame["user_sessions"], 1.0 / WEEKDAYS, 5.0
            ),
        }
    )


def _item_rhythm(frame: pd.DataFrame) -> pd.DataFrame:
    category_daypart = shrunk_share(
        frame["category_daypart_sessions"], frame["category_sessions"], 1.0 / DAYPARTS, 20.0
    )
    item_daypart = shrunk_share(
        frame["item_daypart_sessions"], frame["item_sessions"], category_daypart, 30.0
    )
    return pd.DataFrame(
        {
            "category_daypart_share": category_daypart,
            "item_daypart_share": item_daypart,
            "item_daypart_lift": ratio(item_daypart, category_daypart),
            "category_weekday_share": shrunk_share(
                frame["category_weekday_sessions"], frame["category_sessions"], 1.0 / WEEKDAYS, 20.0
            ),
        }
    )


USER_RHYTHM = OnDemand(
    "user_rhythm",
    tables=("user_daypart", "user_weekday", "user_activity"),
    request=("request_epoch_seconds",),
    columns=(
        FeatureColumn(
            "user_daypart_share", "float", "user's part of sessions in this daypart, shrunk", "never null"
        ),
        FeatureColumn(
            "user_daypart_rate_60d",
            "float",
            "the user's sessions in this daypart, half-life 60 days",
            "never null",
        ),
        FeatureColumn(
            "user_weekday_share", "float", "user's part of sessions on this weekday, shrunk", "never null"
        ),
    ),
    transform=_user_rhythm,
)
ITEM_RHYTHM = OnDemand(
    "item_rhythm",
    tables=("item_daypart", "category_daypart", "category_weekday", "item_popularity", "category_popularity"),
    request=(),
    columns=(
        FeatureColumn(
            "category_daypart_share", "float", "category's part sold in this daypart, shrunk", "never null"
        ),
        FeatureColumn(
            "item_daypart_share",
            "float",
            "item's part sold in this daypart, shrunk to its category",
            "never null",
        ),
        FeatureColumn(
            "item_daypart_lift", "float", "item's part in this daypart over its category's", "never null"
        ),
        FeatureColumn(
            "category_weekday_share", "float", "category's part sold on this weekday, shrunk", "never null"
        ),
    ),
    transform=_item_rhythm,
)
