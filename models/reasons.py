"""The reasons that can be given for an item: which features speak for each, and how it is worded.

To add one: write its words, then a line per feature prefix in `REASONS`; the longest prefix wins.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from math import isfinite

from features.season import SEASONS

Row = Mapping[Hashable, object]
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MOMENTS = {
    "night": "at night",
    "morning": "in the morning",
    "midday": "around midday",
    "afternoon": "in the afternoon",
    "evening": "in the evening",
    "late": "late in the evening",
}
BEST_MATCH = {"code": "best_match", "words": "the best match among what this user may be offered"}
_CLEARLY_MORE = 1.15  # shares and rates this far above even are worth a sentence


@dataclass(frozen=True)
class Reason:
    """A code for machines and its words: a row's values in, a sentence out; None when it does not hold."""

    code: str
    words: Callable[[Row], str | None]


def number(row: Row, name: Hashable) -> float | None:
    """The row's value as a finite number; None where it is missing.

    Examples:
        >>> number({"a": 1}, "a"), number({"a": float("nan")}, "a"), number({}, "a")
        (1.0, None, None)
    """
    value = row.get(name)
    if not isinstance(value, (int, float)) and not hasattr(value, "__float__"):
        return None
    found = float(value)
    return found if isfinite(found) else None


def _days(days: float) -> str:
    whole = max(round(days), 0)
    return "today" if whole == 0 else "1 day ago" if whole == 1 else f"{whole} days ago"


def _every(days: float) -> str:
    return "every day" if round(days) <= 1 else f"every {round(days)} days"


def _due_again(row: Row) -> str | None:
    since, gap = number(row, "user_item_days_since_last"), number(row, "user_item_mean_gap_days")
    if since is None:
        return None
    return f"bought {_every(gap)}, last {_days(since)}" if gap is not None else f"bought once, {_days(since)}"


def _category_habit(row: Row) -> str | None:
    since, gap = number(row, "user_category_days_since_last"), number(row, "user_category_mean_gap_days")
    if since is None:
        return None
    often = f", usually {_every(gap)}" if gap is not None else ""
    return f"buys from this category{often}, last {_days(since)}"


def _moment(row: Row) -> str:
    weekday, daypart = number(row, "local_weekday"), str(row.get("daypart", ""))
    day = WEEKDAYS[int(weekday)] if weekday is not None and 0 <= weekday <= 6 else ""
    if day:
        return f"on {day} {daypart}".rstrip()
    return MOMENTS.get(daypart, "at this time")


def _user_rhythm(row: Row) -> str | None:
    in_daypart, on_weekday = number(row, "user_daypart_share"), number(row, "user_weekday_share")
    often_then = in_daypart is not None and in_daypart * 6 >= _CLEARLY_MORE
    often_that_day = on_weekday is not None and on_weekday * 7 >= _CLEARLY_MORE
    if often_then and often_that_day:
        return f"usually buys {_moment(row)}"
    if often_then:
        return f"usually buys {MOMENTS.get(str(row.get('daypart')), 'at this time of day')}"
    if often_that_day:
        return f"usually buys {_moment({'local_weekday': row.get('local_weekday')})}"
    return None


def _item_rhythm(row: Row) -> str | None:
    lift = number(row, "item_daypart_lift")
    share = number(row, "item_daypart_share") or number(row, "category_daypart_share")
    when = MOMENTS.get(str(row.get("daypart")), "at this time of day")
    if lift is not None and lift >= _CLEARLY_MORE:
        return f"sells {when} {lift:.1f} times as much as its category does"
    return f"sells well {when}" if share is not None and share * 6 >= _CLEARLY_MORE else None


def _weekday(row: Row) -> str | None:
    weekday = number(row, "local_weekday")
    if weekday is None or not 0 <= weekday <= 6:
        return None
    for name, words in (("item_weekday_share", "sells"), ("category_weekday_share", "its category sells")):
        share = number(row, name)
        if share is not None and share * 7 >= _CLEARLY_MORE:
            return f"{words} well on {WEEKDAYS[int(weekday)]}s"
    return None


def _promotion(row: Row) -> str | None:
    phase = str(row.get("promo_phase", ""))
    if number(row, "promo_active") != 1.0:
        starts, ended = number(row, "promo_days_to_next"), number(row, "promo_days_since_end")
        if phase == "before" and starts is not None:
            return f"a promotion starts {'tomorrow' if starts <= 1 else _in_days(starts)}"
        return f"was on promotion until {_days(ended)}" if phase == "after" and ended is not None else None
    discount, left = number(row, "promo_discount_active"), number(row, "promo_days_left")
    less = f", {discount * 100:.0f} % off" if discount is not None and 0 < discount <= 1 else ""
    where = {"store": " in your store", "region": " in your region"}.get(str(row.get("promo_scope")), "")
    if phase == "last_day":
        until = "for the last day"
    elif phase == "first_day":
        until = "from today"
    elif left is None or left > 7.5:
        until = "now"
    else:
        until = "this week" if left > 1.5 else "until tomorrow"
    return f"on promotion{where} {until}{less}"


def _in_days(days: float) -> str:
    return f"in {max(round(days), 1)} days"


def _store(row: Row) -> str | None:
    share = number(row, "item_store_share_30d") or number(row, "item_store_share_90d")
    lift = number(row, "item_store_lift")
    if lift is not None and lift >= 1.5:
        return f"bought {lift:.1f} times as often in your store as elsewhere"
    if not share:
        return None
    if share < 0.01:
        return "sold in your store"
    return f"in {share * 100:.0f} % of the baskets of your store"


def _scene(scene: str, place: str) -> Callable[[Row], str | None]:
    """Words for what sells better in this part of the scene than elsewhere."""

    def tell(row: Row) -> str | None:
        item, category = number(row, f"item_{scene}_lift"), number(row, f"category_{scene}_lift")
        if item is not None and item >= _CLEARLY_MORE:
            return f"bought {item:.1f} times as often {place} as elsewhere"
        if category is not None and category >= _CLEARLY_MORE:
            return f"its category is bought {category:.1f} times as often {place} as elsewhere"
        return None

    return tell


def _scene_time(row: Row) -> str | None:
    share, everyones = number(row, "store_daypart_share"), number(row, "daypart_share")
    if share is None or not everyones or share / everyones < _CLEARLY_MORE:
        return None
    return f"your store is busy {MOMENTS.get(str(row.get('daypart')), 'at this time of day')}"


def _payday(row: Row) -> str | None:
    since, left = number(row, "days_since_payday"), number(row, "days_to_payday")
    if since is not None and since <= 3:
        return "payday is today" if since < 1 else f"payday was {_days(since)}"
    return f"payday is {_in_days(left)}" if left is not None and left <= 3 else None


def _season(row: Row) -> str | None:
    season = number(row, "season")
    return f"fits the {SEASONS[int(season)]}" if season in (0.0, 1.0, 2.0, 3.0) else None


def _pushes(row: Row) -> str | None:
    days = number(row, "user_push_days_since_open")
    return f"opened a push {_days(days)}" if days is not None and days <= 30 else None


def _users_store(row: Row) -> str | None:
    share = number(row, "user_store_share")
    return f"in this store for {share * 100:.0f} % of all visits" if share and share >= 0.25 else None


def _trend(row: Row) -> str | None:
    for what, words in (("item", "selling"), ("category", "its category is selling")):
        paces = [number(row, f"{what}_trend{window}") for window in ("", "_7d", "_30d", "_1d")]
        pace = next((pace for pace in paces if pace is not None), None)
        if pace is not None and pace >= _CLEARLY_MORE:
            return f"{words} {pace:.1f} times as fast as usual"
    return None


def _popular(row: Row) -> str | None:
    rate = number(row, "item_rate_30d") or number(row, "item_rate_90d")
    return "bought by many customers lately" if rate else None


def _holiday(row: Row) -> str | None:
    left = number(row, "days_to_holiday")
    if left is None or left > 7:
        return None
    return "for today's public holiday" if left < 1 else f"a public holiday in {left:.0f} days"


def _fixed(score: str, words: str) -> Callable[[Row], str | None]:
    """Words that hold whenever the named score is positive."""

    def tell(row: Row) -> str | None:
        scores = (number(row, name) for name in row if str(name).startswith(score))
        return words if any(value is not None and value > 0 for value in scores) else None

    return tell


DUE_AGAIN = Reason("due_again", _due_again)
CATEGORY_HABIT = Reason("category_habit", _category_habit)
USER_RHYTHM = Reason("usual_time", _user_rhythm)
ITEM_RHYTHM = Reason("item_time", _item_rhythm)
PROMOTION = Reason("promotion", _promotion)
STORE = Reason("store", _store)
REGION = Reason("region", _scene("region", "in your region"))
DEVICE = Reason("device", _scene("device", "on this kind of device"))
NETWORK = Reason("network", _scene("network", "on this kind of connection"))
CHANNEL = Reason("channel", _scene("channel", "through this channel"))
SCENE_TIME = Reason("store_time", _scene_time)
PAYDAY = Reason("payday", _payday)
SEASON = Reason("season", _season)
PUSHES = Reason("opens_pushes", _pushes)
TREND = Reason("trending", _trend)
POPULAR = Reason("popular", _popular)
HOLIDAY = Reason("holiday", _holiday)
BOUGHT_TOGETHER = Reason("bought_together", _fixed("score_covisit", "often bought with what this user buys"))
SIMILAR_USERS = Reason("similar_users", _fixed("score_user_neighbours", "users with similar baskets buy it"))
RECURRING_TASTE = Reason("recurring_taste", _fixed("score_tifu_knn", "fits this user's recurring baskets"))

REASONS: Mapping[str, Reason] = {
    "user_item_": DUE_AGAIN,
    "score_personal": DUE_AGAIN,
    "user_category_": CATEGORY_HABIT,
    "score_category": CATEGORY_HABIT,
    "user_daypart": USER_RHYTHM,
    "user_weekday": USER_RHYTHM,
    "item_daypart": ITEM_RHYTHM,
    "category_daypart": ITEM_RHYTHM,
    "query_daypart": ITEM_RHYTHM,
    "item_weekday": Reason("item_day", _weekday),
    "category_weekday": Reason("category_day", _weekday),
    "hour_": ITEM_RHYTHM,
    "local_daypart": ITEM_RHYTHM,
    "daypart_share": ITEM_RHYTHM,
    "weekday_": Reason("item_day", _weekday),
    "promo_": PROMOTION,
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
    "store_daypart": SCENE_TIME,
    "region_daypart": SCENE_TIME,
    "device_daypart": SCENE_TIME,
    "network_daypart": SCENE_TIME,
    "channel_daypart": SCENE_TIME,
    "store_trend": SCENE_TIME,
    "user_push_": PUSHES,
    "score_popular_store": STORE,
    "user_store_": Reason("usual_store", _users_store),
    "item_trend": TREND,
    "category_trend": TREND,
    "item_": POPULAR,
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
    "score_user_neighbours": SIMILAR_USERS,
    "score_tifu_knn": RECURRING_TASTE,
}
