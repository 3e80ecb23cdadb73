"""The sentences behind reasons: each takes a row's values and tells what holds, or None where nothing does.

A sentence is only told when the row's own numbers bear it out, and quotes them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
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
_NEW_DAYS = 42  # an item is news for its first six weeks
_CLEARLY_CHEAPER = 0.93  # half of a small cut is chance
_CLEARLY_MORE = 1.15  # shares and rates this far above even are worth a sentence


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


def due_again(row: Row) -> str | None:
    """How often the user buys the item, and when last."""
    since, gap = number(row, "user_item_days_since_last"), number(row, "user_item_mean_gap_days")
    if since is None:
        return None
    return f"bought {_every(gap)}, last {_days(since)}" if gap is not None else f"bought once, {_days(since)}"


def category_habit(row: Row) -> str | None:
    """How often the user buys from the category, and when last."""
    since, gap = number(row, "user_category_days_since_last"), number(row, "user_category_mean_gap_days")
    if since is None:
        return None
    often = f", usually {_every(gap)}" if gap is not None else ""
    return f"buys from this category{often}, last {_days(since)}"


def _moment(row: Row) -> str:
    weekday, daypart = number(row, "local_weekday"), str(row.get("daypart", ""))
    if weekday is None or not 0 <= weekday <= 6:
        return MOMENTS.get(daypart, "at this time")
    day = WEEKDAYS[int(weekday)]
    odd = {"midday": f"around midday on {day}", "late": f"late on {day} evening"}
    return odd.get(daypart, f"on {day} {daypart}".rstrip())


def user_rhythm(row: Row) -> str | None:
    """When the user usually buys, if now is such a time."""
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


def item_rhythm(row: Row) -> str | None:
    """Whether the item sells well at this time of day."""
    lift = number(row, "item_daypart_lift")
    share = number(row, "item_daypart_share") or number(row, "category_daypart_share")
    when = MOMENTS.get(str(row.get("daypart")), "at this time of day")
    if lift is not None and lift >= _CLEARLY_MORE:
        return f"sells {when} {lift:.1f} times as much as its category does"
    return f"sells well {when}" if share is not None and share * 6 >= _CLEARLY_MORE else None


def weekday_sales(row: Row) -> str | None:
    """Whether the item or its category sells well on this weekday."""
    weekday = number(row, "local_weekday")
    if weekday is None or not 0 <= weekday <= 6:
        return None
    for name, words in (("item_weekday_share", "sells"), ("category_weekday_share", "its category sells")):
        share = number(row, name)
        if share is not None and share * 7 >= _CLEARLY_MORE:
            return f"{words} well on {WEEKDAYS[int(weekday)]}s"
    return None


def price_cut(row: Row) -> str | None:
    """How far the item's price lies below its usual one these days."""
    now = number(row, "item_price_7d")
    if now is None or now > _CLEARLY_CHEAPER:
        return None
    return f"about {round(100 * (1 - now))}% below its usual price these days"


def promotion(row: Row) -> str | None:
    """The promotion that runs, begins or ended here."""
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


def store_sales(row: Row) -> str | None:
    """How well the item sells in this store."""
    share = number(row, "item_store_share_30d") or number(row, "item_store_share_90d")
    lift = number(row, "item_store_lift")
    if lift is not None and lift >= 1.5:
        return f"bought {lift:.1f} times as often in your store as elsewhere"
    if not share:
        return None
    if share < 0.01:
        return "sold in your store"
    return f"in {share * 100:.0f} % of the baskets of your store"


def scene_sales(scene: str, place: str) -> Callable[[Row], str | None]:
    """Words for what sells better in this part of the scene than elsewhere."""

    def tell(row: Row) -> str | None:
        item, category = number(row, f"item_{scene}_lift"), number(row, f"category_{scene}_lift")
        if item is not None and item >= _CLEARLY_MORE:
            return f"bought {item:.1f} times as often {place} as elsewhere"
        if category is not None and category >= _CLEARLY_MORE:
            return f"its category is bought {category:.1f} times as often {place} as elsewhere"
        return None

    return tell


def scene_time(row: Row) -> str | None:
    """Whether the store is busy at this time of day."""
    share, everyones = number(row, "store_daypart_share"), number(row, "daypart_share")
    if share is None or not everyones or share / everyones < _CLEARLY_MORE:
        return None
    return f"your store is busy {MOMENTS.get(str(row.get('daypart')), 'at this time of day')}"


def payday(row: Row) -> str | None:
    """How near payday is."""
    since, left = number(row, "days_since_payday"), number(row, "days_to_payday")
    if since is not None and since <= 3:
        return "payday is today" if since < 1 else f"payday was {_days(since)}"
    return f"payday is {_in_days(left)}" if left is not None and left <= 3 else None


def season_fit(row: Row) -> str | None:
    """The season."""
    season = number(row, "season")
    return f"fits the {SEASONS[int(season)]}" if season in (0.0, 1.0, 2.0, 3.0) else None


def pushes(row: Row) -> str | None:
    """When the user last opened a push."""
    days = number(row, "user_push_days_since_open")
    return f"opened a push {_days(days)}" if days is not None and days <= 30 else None


def users_store(row: Row) -> str | None:
    """How much of the user's shopping this store sees."""
    share = number(row, "user_store_share")
    return f"in this store for {share * 100:.0f} % of all visits" if share and share >= 0.25 else None


def trend(row: Row) -> str | None:
    """Whether the item or its category sells faster than usual."""
    for what, words in (("item", "selling"), ("category", "its category is selling")):
        paces = [number(row, f"{what}_trend{window}") for window in ("", "_7d", "_30d", "_1d")]
        pace = next((pace for pace in paces if pace is not None), None)
        if pace is not None and pace >= _CLEARLY_MORE:
            return f"{words} {pace:.1f} times as fast as usual"
    return None


def popular(row: Row) -> str | None:
    """How many buy the item lately."""
    share = number(row, "item_share_90d")
    if share is not None and share >= 0.01:
        return f"in {share * 100:.0f} % of all baskets lately"
    rate = number(row, "item_rate_30d") or number(row, "item_rate_90d")
    return "other customers bought it lately" if rate else None


def new_item(row: Row) -> str | None:
    """Since when the item is sold, while it is news."""
    age = number(row, "item_age_days")
    if age is None or not 0 <= age <= _NEW_DAYS:
        return None
    return f"new: first sold {_days(age)}"


def holiday(row: Row) -> str | None:
    """How near a public holiday is."""
    left = number(row, "days_to_holiday")
    if left is None or left > 7:
        return None
    if left < 1:
        return "for today's public holiday"
    return "tomorrow is a public holiday" if left < 2 else f"a public holiday in {left:.0f} days"


def proposed(words: str, *scores: str) -> Callable[[Row], str | None]:
    """Words that hold whenever a retriever of one of these score columns proposes the item."""

    def tell(row: Row) -> str | None:
        found = (number(row, name) for name in row if str(name).startswith(scores))
        return words if any(value is not None and value > 0 for value in found) else None

    return tell


def nothing(row: Row) -> str | None:
    """No words, whatever holds."""
    del row
    return None
