"""How a user takes pushes: how long ago, how many, and at what time of day they are opened.

A source without push events has empty tables: ages and rates are missing, which means 'never pushed'.
"""

from __future__ import annotations

import pandas as pd

from features.counted_table import counted_table
from features.market import HOUR
from features.recency import days_since, decayed_now, ratio, shrunk_share
from features.table import FeatureColumn, FeatureTable, OnDemand
from features.time_affinity import user_daypart_share

_KINDS = {
    "sent": "pushes sent to the user",
    "opened": "pushes the user opened",
    "dismissed": "pushes the user dismissed",
}
USER_PUSHES: tuple[FeatureTable, ...] = tuple(
    counted_table(
        f"user_push_{kind}",
        ("user_id",),
        f"user_push_{kind}",
        of=of,
        source="pushes",
        recency=False,
        half_lives_days=(30,),
        where=f"event_type = 'push_{kind}'",
    )
    for kind, of in _KINDS.items()
)
USER_OPENED_DAYPART = counted_table(
    "user_push_opened_daypart",
    ("user_id", "daypart"),
    "user_push_opened_daypart",
    of="pushes the user opened in the daypart",
    source="pushes",
    recency=False,
    where="event_type = 'push_opened'",
)
MARKET_PUSHES: tuple[FeatureTable, ...] = tuple(
    counted_table(
        f"market_push_{kind}",
        ("market",),
        f"market_push_{kind}",
        of=of.replace("the user", "anybody"),
        source="pushes",
        recency=False,
        where=f"event_type = 'push_{kind}'",
        grid_seconds=HOUR,
    )
    for kind, of in _KINDS.items()
    if kind != "dismissed"
)
PUSH_TABLES: tuple[FeatureTable, ...] = (*USER_PUSHES, USER_OPENED_DAYPART, *MARKET_PUSHES)

_STRENGTH_PUSHES = 10.0
_STRENGTH_OPENS = 3.0


def _at_request(frame: pd.DataFrame) -> pd.DataFrame:
    sent, opened = frame["user_push_sent_sessions"], frame["user_push_opened_sessions"]
    everyones = ratio(frame["market_push_opened_sessions"].fillna(0.0), frame["market_push_sent_sessions"])
    return pd.DataFrame(
        {
            "user_push_sent_rate_30d": decayed_now(frame, "user_push_sent", 30),
            "user_push_days_since_sent": days_since(frame, "user_push_sent_last_epoch_seconds"),
            "user_push_days_since_open": days_since(frame, "user_push_opened_last_epoch_seconds"),
            "user_push_open_rate": shrunk_share(opened, sent, everyones, _STRENGTH_PUSHES),
            "user_push_dismiss_rate": ratio(frame["user_push_dismissed_sessions"].fillna(0.0), sent),
            "user_push_daypart_share": shrunk_share(
                frame["user_push_opened_daypart_sessions"], opened, user_daypart_share(frame), _STRENGTH_OPENS
            ),
        }
    )


PUSH_AT_REQUEST = OnDemand(
    "push_at_request",
    tables=(
        *(table.name for table in PUSH_TABLES),
        *("user_activity", "user_daypart", "daypart_activity", "market_activity"),
    ),
    request=("request_epoch_seconds",),
    columns=(
        FeatureColumn(
            "user_push_sent_rate_30d",
            "float",
            "pushes sent to the user; 0: none",
            "never null",
            "pushes",
            "half-life 30 days",
        ),
        FeatureColumn(
            "user_push_days_since_sent",
            "float",
            "since the last push to the user",
            "never pushed",
            "days",
            "all time",
        ),
        FeatureColumn(
            "user_push_days_since_open",
            "float",
            "since the user last opened a push",
            "never opened one",
            "days",
            "all time",
        ),
        FeatureColumn(
            "user_push_open_rate",
            "float",
            "opens a push of the user, shrunk to everybody's",
            "nobody was ever pushed",
            "ratio",
            "all time",
        ),
        FeatureColumn(
            "user_push_dismiss_rate",
            "float",
            "dismissals a push of the user",
            "never pushed",
            "ratio",
            "all time",
        ),
        FeatureColumn(
            "user_push_daypart_share",
            "float",
            "part of the user's opens in this daypart, shrunk to the user's sessions in it",
            "never null",
            "share",
            "all time",
        ),
    ),
    transform=_at_request,
)
