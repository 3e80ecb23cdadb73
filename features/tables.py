"""The register: every feature table, on-demand view and service, one line each.

A new view is one new file that declares tables and on-demand views, and its line here.
"""

from __future__ import annotations

from functools import cache

from features.item import CATEGORY_POPULARITY, ITEM_AT_REQUEST, ITEM_POPULARITY
from features.market import DAYPART_ACTIVITY, MARKET_ACTIVITY, WEEKDAY_ACTIVITY
from features.moment import MOMENT
from features.price import PRICE, PRICE_TABLES
from features.promotion import PROMOTION_TABLES
from features.promotion_phase import PROMOTION_AT_REQUEST
from features.push import PUSH_AT_REQUEST, PUSH_TABLES
from features.scene_affinity import ITEM_SCENE, USER_SCENE
from features.scene_rhythm import SCENE_RHYTHM
from features.scene_tables import SCENE_TABLES
from features.table import FeatureColumn, FeatureTable, OnDemand, Service
from features.time_affinity import ITEM_RHYTHM, TIME_TABLES, USER_RHYTHM
from features.trend import TREND, WINDOWS
from features.user import USER_ACTIVITY, USER_AT_REQUEST
from features.user_item import REPEAT_AT_REQUEST, USER_CATEGORY, USER_ITEM

FEATURE_TABLES: tuple[FeatureTable, ...] = (
    *(MARKET_ACTIVITY, DAYPART_ACTIVITY, WEEKDAY_ACTIVITY),
    *(USER_ACTIVITY, ITEM_POPULARITY, CATEGORY_POPULARITY, *WINDOWS),
    *(USER_ITEM, USER_CATEGORY),
    *TIME_TABLES,
    *SCENE_TABLES,
    *PUSH_TABLES,
    *PRICE_TABLES,
    *PROMOTION_TABLES,
)

ON_DEMAND: tuple[OnDemand, ...] = (
    MOMENT,
    USER_AT_REQUEST,
    USER_RHYTHM,
    USER_SCENE,
    SCENE_RHYTHM,
    PUSH_AT_REQUEST,
    ITEM_AT_REQUEST,
    TREND,
    PRICE,
    ITEM_RHYTHM,
    ITEM_SCENE,
    REPEAT_AT_REQUEST,
    PROMOTION_AT_REQUEST,
)


def _columns_of(*views: OnDemand) -> tuple[str, ...]:
    return tuple(column.name for view in views for column in view.columns)


RANKING = Service(
    "ranking_v3",
    (
        "user_sessions",
        "item_sessions",
        "user_item_sessions",
        "user_category_sessions",
        *_columns_of(*ON_DEMAND),
    ),
)
TIMING = Service(
    "timing_v2",
    (
        "user_sessions",
        *_columns_of(MOMENT, USER_AT_REQUEST, USER_RHYTHM, SCENE_RHYTHM, PUSH_AT_REQUEST),
    ),
)
SERVICES: tuple[Service, ...] = (RANKING, TIMING)


@cache
def _columns() -> dict[str, FeatureColumn]:
    declared = [owner.columns for owner in FEATURE_TABLES] + [owner.columns for owner in ON_DEMAND]
    return {column.name: column for columns in declared for column in columns}


def column_named(name: str) -> FeatureColumn:
    """The declaration of a stored or on-demand column.

    Raises:
        KeyError: No table and no on-demand view offers it.

    >>> column_named("user_due").dtype
    'float'
    """
    return _columns()[name]


@cache
def declared_trends() -> dict[str, int]:
    """The trend of every stored or on-demand column whose meaning demands one, by name.

    >>> declared_trends()["promo_active"]
    1
    """
    return {name: column.trend for name, column in _columns().items() if column.trend}
