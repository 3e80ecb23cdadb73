"""The register: every feature table, on-demand view and service, one line each."""

from __future__ import annotations

from features.item import CATEGORY_POPULARITY, ITEM_AT_REQUEST, ITEM_POPULARITY
from features.moment import MOMENT
from features.promotion import ITEM_STORE_PROMOTION, PROMOTION_AT_REQUEST
from features.scene_affinity import ITEM_SCENE, ITEM_STORE, STORE_ACTIVITY, USER_SCENE, USER_STORE
from features.table import FeatureColumn, FeatureTable, OnDemand, Service
from features.time_affinity import (
    CATEGORY_DAYPART,
    CATEGORY_WEEKDAY,
    ITEM_DAYPART,
    ITEM_RHYTHM,
    USER_DAYPART,
    USER_RHYTHM,
    USER_WEEKDAY,
)
from features.user import USER_ACTIVITY, USER_AT_REQUEST
from features.user_item import REPEAT_AT_REQUEST, USER_CATEGORY, USER_ITEM

FEATURE_TABLES: tuple[FeatureTable, ...] = (
    USER_ACTIVITY,
    ITEM_POPULARITY,
    CATEGORY_POPULARITY,
    USER_ITEM,
    USER_CATEGORY,
    USER_DAYPART,
    USER_WEEKDAY,
    ITEM_DAYPART,
    CATEGORY_DAYPART,
    CATEGORY_WEEKDAY,
    USER_STORE,
    STORE_ACTIVITY,
    ITEM_STORE,
    ITEM_STORE_PROMOTION,
)

ON_DEMAND: tuple[OnDemand, ...] = (
    MOMENT,
    USER_AT_REQUEST,
    USER_RHYTHM,
    USER_SCENE,
    ITEM_AT_REQUEST,
    ITEM_RHYTHM,
    ITEM_SCENE,
    REPEAT_AT_REQUEST,
    PROMOTION_AT_REQUEST,
)


def _columns_of(*views: OnDemand) -> tuple[str, ...]:
    return tuple(column.name for view in views for column in view.columns)


RANKING = Service(
    "ranking_v1",
    (
        "user_sessions",
        "item_sessions",
        "user_item_sessions",
        "user_category_sessions",
        *_columns_of(*ON_DEMAND),
    ),
)
TIMING = Service("timing_v1", ("user_sessions", *_columns_of(MOMENT, USER_AT_REQUEST, USER_RHYTHM)))
SERVICES: tuple[Service, ...] = (RANKING, TIMING)


def column_named(name: str) -> FeatureColumn:
    """The declaration of a stored or on-demand column.

    Raises:
        KeyError: No table and no on-demand view offers it.

    >>> column_named("user_due").dtype
    'float'
    """
    declared = [owner.columns for owner in FEATURE_TABLES] + [owner.columns for owner in ON_DEMAND]
    for columns in declared:
        for column in columns:
            if column.name == name:
                return column
    raise KeyError(name)
