"""The four tables that Kairos reads: columns, what stands in for what is not told, and rules.

>>> rows = pd.DataFrame({"item_id": [7, 8], "price": [1.5, -1.0]})
>>> split = ITEMS.split(rows, now=datetime.fromisoformat("2026-01-01T00:00Z"))
>>> split.accepted[["item_id", "price", "available"]].values.tolist()
[['7', 1.5, True]]
>>> split.quarantined["reason"].tolist()
['negative price']
"""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from features.calendar import known_timezones
from features.contract import ZONE_SOURCE, Contract, ContractColumn, Rule
from features.scenes import SCENE_PARTS, UNKNOWN

EVENT_TYPES: tuple[str, ...] = (
    "app_open",
    "search",
    "view",
    "add_to_cart",
    "purchase",
    "push_sent",
    "push_delivered",
    "push_opened",
    "push_dismissed",
    "opt_out",
    "complaint",
)
ITEM_EVENT_TYPES: tuple[str, ...] = ("view", "add_to_cart", "purchase")  # mean nothing without an item
FUTURE = "event_ts in the future"


def _negative(column: str) -> Rule:
    return Rule(f"negative {column}", column, lambda frame, now: frame[column] < 0)


def _half_quiet(frame: pd.DataFrame, now: datetime) -> pd.Series:
    return frame["quiet_start"].isna() != frame["quiet_end"].isna()


_SCENE = tuple(
    # Few shops tell the weather: that they do not is worth no word.
    ContractColumn(part, "id" if part == "store_id" else "text", fill=UNKNOWN, expected=part != "weather")
    for part in SCENE_PARTS
)

EVENTS = Contract(
    "events",
    (
        ContractColumn("event_id", "id", required=True),
        ContractColumn("user_id", "id", required=True),
        ContractColumn("item_id", "id"),
        ContractColumn("event_type", required=True),
        ContractColumn("event_ts", "time", required=True),
        ContractColumn("quantity", "number"),
        ContractColumn("amount", "number"),
        ContractColumn("session_id", "id"),
        ContractColumn("query"),
        *_SCENE,
        ContractColumn("push_id", "id"),
        ContractColumn("split", expected=False),  # train, validation or test: only the benchmark asks
    ),
    (
        Rule("unknown event_type", "event_type", lambda f, now: ~f["event_type"].isin(EVENT_TYPES)),
        Rule(FUTURE, "event_ts", lambda f, now: f["event_ts"] > now),
        Rule(
            "item_id missing for this event_type",
            "item_id",
            lambda f, now: f["item_id"].isna() & f["event_type"].isin(ITEM_EVENT_TYPES),
        ),
        _negative("amount"),
        _negative("quantity"),
    ),
)
USERS = Contract(
    "users",
    (
        ContractColumn("user_id", "id", required=True),
        ContractColumn("signup_ts", "time"),
        ContractColumn("timezone", fill="UTC"),
        ContractColumn("locale", fill=UNKNOWN),
        ContractColumn("region", fill=UNKNOWN),
        ContractColumn("push_consent", "flag", fill=False),
        ContractColumn("quiet_start", "clock"),
        ContractColumn("quiet_end", "clock"),
        ContractColumn("max_per_day", "number"),
        ContractColumn("segment", fill=UNKNOWN),
        ContractColumn(ZONE_SOURCE, expected=False),  # filled in at ingest, whatever the source says
    ),
    (
        Rule("unknown timezone", "timezone", lambda f, now: ~f["timezone"].isin(known_timezones())),
        Rule("quiet_start and quiet_end must come together", "quiet_start", _half_quiet),
        _negative("max_per_day"),
    ),
)
ITEMS = Contract(
    "items",
    (
        ContractColumn("item_id", "id", required=True),
        ContractColumn("title", fill=UNKNOWN),
        ContractColumn("category_path", fill=UNKNOWN),
        ContractColumn("brand", fill=UNKNOWN),
        ContractColumn("price", "number"),
        ContractColumn("tags"),
        ContractColumn("created_ts", "time"),
        ContractColumn("available", "flag", fill=True),
        ContractColumn("stock", "number"),
        ContractColumn("sensitive", "flag", fill=False),
    ),
    (_negative("price"), _negative("stock")),
)
PROMOTIONS = Contract(
    "promotions",
    (
        ContractColumn("promotion_id", "id", required=True),
        ContractColumn("item_id", "id"),
        ContractColumn("category_path"),
        ContractColumn("region"),
        ContractColumn("store_id", "id"),
        ContractColumn("starts_at", "time"),
        ContractColumn("ends_at", "time"),
        ContractColumn("kind", fill=UNKNOWN),
        ContractColumn("discount", "number"),
    ),
    (
        Rule(
            "names neither item nor category",
            "item_id",
            lambda f, now: f["item_id"].isna() & f["category_path"].isna(),
        ),
        Rule("ends before it starts", "ends_at", lambda f, now: f["ends_at"] <= f["starts_at"]),
        _negative("discount"),
    ),
)
CONTRACTS: dict[str, Contract] = {table.name: table for table in (EVENTS, USERS, ITEMS, PROMOTIONS)}
