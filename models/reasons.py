"""The reasons that can be given for an item: which features speak for each, and how it is worded.

To add one: write its words, then a line per feature prefix in `REASONS`; the longest prefix wins.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from math import isfinite

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


def _category_weekday(row: Row) -> str | None:
    share, weekday = number(row, "category_weekday_share"), number(row, "local_weekday")
    if share is None or weekday is None or share * 7 < _CLEARLY_MORE or not 0 <= weekday <= 6:
        return None
    return f"its category sells well on {WEEKDAYS[int(weekday)]}s"


def _promotion(row: Row) -> str | None:
    if number(row, "promo_active") != 1.0:
        return None
    discount, left = number(row, "promo_discount_active"), number(row, "promo_days_left")
    less = f", {discount * 100:.0f} % off" if discount is not None and 0 < discount <= 1 else ""
    until = "this week" if left is None or left > 1.5 else "until tomorrow"
    return f"on promotion in your store {until}{less}"


def _store(row: Row) -> str | None:
    share = number(row, "item_store_share_30d") or number(row, "item_store_share_90d")
    if not share:
        return None
    if share < 0.01:
        return "sold in your store"
    return f"in {share * 100:.0f} % of the baskets of your store"


def _users_store(row: Row) -> str | None:
    share = number(row, "user_store_share")
    return f"in this store for {share * 100:.0f} % of all visits" if share and share >= 0.25 else None


def _trend(row: Row) -> str | None:
    item, category = number(row, "item_trend"), number(row, "category_trend")
    if item is not None and item >= _CLEARLY_MORE:
        return f"selling {item:.1f} times as fast as usual"
    if category is not None and category >= _CLEARLY_MORE:
        return f"its category is selling {category:.1f} times as fast as usual"
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
    "category_weekday": Reason("category_day", _category_weekday),
    "promo_": PROMOTION,
    "item_store_": STORE,
    "score_popular_store": STORE,
    "user_store_": Reason("usual_store", _users_store),
    "item_trend": TREND,
    "category_trend": TREND,
    "item_": POPULAR,
    "category_": POPULAR,
    "score_popular": POPULAR,
    "days_to_holiday": HOLIDAY,
    "days_since_holiday": HOLIDAY,
    "score_popular_daypart": ITEM_RHYTHM,
    "score_covisit": BOUGHT_TOGETHER,
    "score_user_neighbours": SIMILAR_USERS,
    "score_tifu_knn": RECURRING_TASTE,
}
