"""Which of the ranker's columns tell the moment: the time, the scene, and what is on promotion then.

The ablations hide them, and where there is little to learn from they must prove that they pay.
"""

from __future__ import annotations

from features.moment import MOMENT
from features.price import PRICE
from features.promotion_phase import PROMOTION_AT_REQUEST
from features.scene_affinity import ITEM_SCENE, USER_SCENE
from features.scene_rhythm import SCENE_RHYTHM
from features.table import OnDemand
from features.time_affinity import ITEM_RHYTHM, USER_RHYTHM
from features.trend import TREND


def _names(*views: OnDemand) -> frozenset[str]:
    return frozenset(column.name for view in views for column in view.columns)


_STORE_TREND = frozenset(name for name in _names(TREND) if name.startswith("store_"))

_BY_TIME_AND_SCENE = {
    *("score_onboarding", "score_occasion_store_daypart", "score_occasion_alike", "score_basket_expected"),
}
TIME = _names(MOMENT, USER_RHYTHM, ITEM_RHYTHM) | {
    *("query_daypart", "score_popular_daypart", "score_habit_time", *_BY_TIME_AND_SCENE),
}
SCENE = (
    _names(USER_SCENE, ITEM_SCENE, SCENE_RHYTHM)
    | _STORE_TREND
    | {"score_popular_store", "score_habit_scene", "score_occasion_store", "score_expected"}
    | _BY_TIME_AND_SCENE
)
PROMOTIONS = _names(PROMOTION_AT_REQUEST, PRICE) | {
    *("score_promoted", "score_promotion_habit", "score_deal_habit", "score_rivals", "score_expected"),
}
CONTEXT = TIME | SCENE | PROMOTIONS
"""Every column that tells of the moment; a score by two kinds of context belongs to both."""
