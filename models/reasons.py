"""The reasons that can be given for an item, and which features speak for each.

To add one: write its words in `reason_words`, name it here, then a line per feature prefix in `REASONS`; the
longest prefix wins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from models import reason_words as words
from models.reason_words import Row

BEST_MATCH = {"code": "best_match", "words": "the best match among what this user may be offered"}


@dataclass(frozen=True)
class Reason:
    """A code for machines and its words: a row's values in, a sentence out; None when it does not hold."""

    code: str
    words: Callable[[Row], str | None]


DUE_AGAIN = Reason("due_again", words.due_again)
CATEGORY_HABIT = Reason("category_habit", words.category_habit)
USER_RHYTHM = Reason("usual_time", words.user_rhythm)
ITEM_RHYTHM = Reason("item_time", words.item_rhythm)
ITEM_DAY = Reason("item_day", words.weekday_sales)
PROMOTION = Reason("promotion", words.promotion)
STORE = Reason("store", words.store_sales)
USUAL_STORE = Reason("usual_store", words.users_store)
REGION = Reason("region", words.scene_sales("region", "in your region"))
DEVICE = Reason("device", words.scene_sales("device", "on this kind of device"))
NETWORK = Reason("network", words.scene_sales("network", "on this kind of connection"))
CHANNEL = Reason("channel", words.scene_sales("channel", "through this channel"))
WEATHER = Reason("weather", words.scene_sales("weather", "in such weather"))
SCENE_TIME = Reason("store_time", words.scene_time)
PAYDAY = Reason("payday", words.payday)
SEASON = Reason("season", words.season_fit)
HOLIDAY = Reason("holiday", words.holiday)
PUSHES = Reason("opens_pushes", words.pushes)
TREND = Reason("trending", words.trend)
POPULAR = Reason("popular", words.popular)
NEW_ITEM = Reason("new_item", words.new_item)
PRICE = Reason("price", words.nothing)
"""Its contribution counts, but no sentence tells it: a price alone is no reason to be reminded of an item."""
BASKET = Reason("basket_size", words.nothing)
"""How large a basket is expected moves the order, but is nothing to tell a reader."""
RIVALS = Reason("rivals", words.nothing)
"""What else of its kind is on promotion moves the order, but is no reason to be reminded of an item."""
PRICE_CUT = Reason("price_cut", words.price_cut)
BOUGHT_TOGETHER = Reason(
    "bought_together",
    words.proposed(
        "often bought with what this user buys",
        *("score_covisit", "score_item_knn", "score_ease", "score_als", "score_bpr"),
    ),
)
SIMILAR_USERS = Reason(
    "similar_users",
    words.proposed("users who buy alike buy it", "score_user_neighbours", "score_facet_neighbours"),
)
SIMILAR_ITEMS = Reason("similar_items", words.proposed("similar to what this user buys", "score_content"))
RECURRING_TASTE = Reason(
    "recurring_taste", words.proposed("fits this user's recurring baskets", "score_tifu_knn")
)
NEWCOMERS = Reason("newcomers", words.proposed("a good start here, at this time of day", "score_onboarding"))
EXPECTED = Reason(
    "expected", words.proposed("what users like this one are likely to buy here now", "score_expected")
)

REASONS: Mapping[str, Reason] = {
    "user_item_": DUE_AGAIN,
    "score_personal": DUE_AGAIN,
    "score_repurchase": DUE_AGAIN,
    "score_habit_time": USER_RHYTHM,
    "score_habit_scene": DUE_AGAIN,
    "score_occasion_": DUE_AGAIN,
    "score_kind_": CATEGORY_HABIT,
    "score_basket_": BASKET,
    "score_deal_habit": PRICE_CUT,
    "score_rivals": RIVALS,
    "item_price_": PRICE_CUT,
    "user_category_": CATEGORY_HABIT,
    "score_category": CATEGORY_HABIT,
    "user_daypart": USER_RHYTHM,
    "user_weekday": USER_RHYTHM,
    "item_daypart": ITEM_RHYTHM,
    "category_daypart": ITEM_RHYTHM,
    "query_daypart": ITEM_RHYTHM,
    "item_weekday": ITEM_DAY,
    "category_weekday": ITEM_DAY,
    "hour_": ITEM_RHYTHM,
    "local_daypart": ITEM_RHYTHM,
    "daypart_share": ITEM_RHYTHM,
    "weekday_": ITEM_DAY,
    "promo_": PROMOTION,
    "score_promoted": PROMOTION,
    "score_promotion_": PROMOTION,
    "score_promotion_habit": PROMOTION,
    "item_store_": STORE,
    "category_store_": STORE,
    "item_region_": REGION,
    "category_region_": REGION,
    "item_device_": DEVICE,
    "category_device_": DEVICE,
    "item_network_": NETWORK,
    "category_network_": NETWORK,
    "item_channel_": CHANNEL,
    "category_channel_": CHANNEL,
    "item_weather_": WEATHER,
    "category_weather_": WEATHER,
    "store_daypart": SCENE_TIME,
    "region_daypart": SCENE_TIME,
    "device_daypart": SCENE_TIME,
    "network_daypart": SCENE_TIME,
    "channel_daypart": SCENE_TIME,
    "weather_daypart": SCENE_TIME,
    "store_trend": SCENE_TIME,
    "user_push_": PUSHES,
    "score_popular_store": STORE,
    "user_store_": USUAL_STORE,
    "item_trend": TREND,
    "category_trend": TREND,
    "score_trending": TREND,
    "item_": POPULAR,
    "item_price": PRICE,
    "item_age": NEW_ITEM,
    "score_new_items": NEW_ITEM,
    "category_": POPULAR,
    "score_popular": POPULAR,
    "days_to_holiday": HOLIDAY,
    "days_since_holiday": HOLIDAY,
    "days_to_payday": PAYDAY,
    "days_since_payday": PAYDAY,
    "season": SEASON,
    "year_": SEASON,
    "score_popular_daypart": ITEM_RHYTHM,
    "score_covisit": BOUGHT_TOGETHER,
    "score_item_knn": BOUGHT_TOGETHER,
    "score_ease": BOUGHT_TOGETHER,
    "score_als": BOUGHT_TOGETHER,
    "score_bpr": BOUGHT_TOGETHER,
    "score_user_neighbours": SIMILAR_USERS,
    "score_facet_neighbours": SIMILAR_USERS,
    "score_content": SIMILAR_ITEMS,
    "score_tifu_knn": RECURRING_TASTE,
    "score_onboarding": NEWCOMERS,
    "score_expected": EXPECTED,
}
