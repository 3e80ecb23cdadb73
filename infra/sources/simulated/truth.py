"""What a push truly does: P(open), P(purchase once opened), P(opt-out), P(complaint) of any one could send.

This is for the market's own answers, for tests and for benchmarks: the platform never sees it. With

    attention  log of how much likelier than at an average hour the user is there within two hours
    device     log of how much likelier than one in two the push's device is in hand then; 0 if it names none
    appeal     how much the user likes the item
    hour, hand what the time of day and the device do to the item's kind
    need       share of the way from one purchase of the kind to the next; 0 when a push has just sold it
    leisure    1 at eight in the evening, -1 at eight in the morning, higher on days off
    recent     pushes of late, halved every three days, times the user's own proneness
    quiet      1 in the user's quiet hours

    logit P(open)        = base + openness + attention + device + appeal + hour + hand + need + discount
                           - recent - quiet
    logit P(buys | open) = base + appeal + hour + hand + need + leisure + discount
    P(opt-out)           = base * exp(recent - appeal + quiet), at most `opt_out_most`

each term times its coefficient in `Truth`. Time counts through attention, hour and leisure, the scene through
device and hand, the item through all but attention: none is best chosen without the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import expit

from features.calendar import DAYPARTS
from infra.sources.simulated.chance import Doubles, Flags, Longs
from infra.sources.simulated.days import is_off, wall_clock, whole_seconds
from infra.sources.simulated.event_table import numbers_of
from infra.sources.simulated.market import DESKTOP, PHONE, TABLET, Market, leisure
from infra.sources.simulated.memory import PushMemory
from infra.sources.simulated.needs import pressure
from infra.sources.simulated.promotions import discount_of

NO_HAND = -1
"""A push that names no device: shown on whatever is in hand."""
TRUTH_COLUMNS = ("p_delivered", "p_open", "p_buys_once_open", "p_purchase", "p_opt_out", "p_complaint")
_HANDS = {"ios": PHONE, "android": PHONE, "desktop": DESKTOP, "tablet": TABLET}
_ATTENTION_BOUNDS, _DEVICE_BOUNDS = (-2.0, 1.5), (-1.5, 0.7)


def hands_of(devices: Sequence[object]) -> Longs:
    """The code of what each device of a scene is held by, `NO_HAND` for any other word.

    Examples:
        >>> hands_of(["ios", "desktop", "unknown"]).tolist()
        [0, 1, -1]
    """
    return np.array([_HANDS.get(str(device), NO_HAND) for device in devices], dtype=np.int64)


def push_truth(
    market: Market, user: Longs, item: Longs, instant: Longs, hand: Longs, memory: PushMemory
) -> pd.DataFrame:
    """`TRUTH_COLUMNS`, one row a push: potential outcomes of any that one could send, whether it is or not.

    `p_open`, `p_opt_out` and `p_complaint` are of a push that was delivered; `p_purchase` is P(opened and
    its first item bought) of it. An opt-out or a complaint is independent of opening.

    Args:
        market: Where.
        user, item: Numbers of the user and of the item it shows first.
        instant: UTC epoch seconds at which it is sent.
        hand: From `hands_of`.
        memory: What earlier pushes left behind; those at or after `instant` do not count.
    """
    params, people, truth = market.params, market.people, market.params.truth
    day, second = wall_clock(params, people.place[user], instant)
    hour = second // 3600
    off = is_off(params, people.place[user], day)
    held, device = _device(market, user, hour, off, hand)
    kind = market.goods.kind[item]
    appeal = market.appeal(user, item)
    by_hour, by_hand = market.fit(kind, hour, held)
    by_hand = np.where(hand == NO_HAND, 0.0, by_hand)
    satisfied = memory.has_sold(market, user, kind, instant)
    need = np.where(satisfied, 0.0, pressure(market, user, kind, day + second / 86_400.0))
    discount = discount_of(params, market.goods.kind, people.store[user], item, day)
    recent = people.proneness[user] * memory.recent(market, user, instant)
    quiet = is_quiet(market, user, hour)
    open_odds = (
        truth.open_base
        + people.openness[user]
        + truth.open_attention * attention(market, user, day, second)
        + truth.open_device * device
        + truth.open_taste * appeal
        + truth.open_hour * by_hour
        + truth.open_hand * by_hand
        + truth.open_need * need
        + truth.open_discount * discount
        - truth.open_fatigue * recent
        - truth.open_quiet * quiet
    )
    buy_odds = (
        truth.buy_base
        + truth.buy_taste * appeal
        + truth.buy_hour * by_hour
        + truth.buy_hand * by_hand
        + truth.buy_need * need
        + truth.buy_leisure * leisure(hour, off)
        + truth.buy_discount * discount
    )
    annoyance = truth.opt_out_fatigue * recent - truth.opt_out_taste * appeal + truth.opt_out_quiet * quiet
    leaves = np.minimum(truth.opt_out_base * np.exp(annoyance), truth.opt_out_most)
    reachable = people.consents[user] & ~memory.has_left(user, instant)
    sold = market.goods.sold(item, day)
    p_open, p_buys = expit(open_odds), np.where(sold, expit(buy_odds), 0.0)
    return pd.DataFrame(
        {
            "p_delivered": np.where(reachable, truth.delivered, 0.0),
            "p_open": p_open,
            "p_buys_once_open": p_buys,
            "p_purchase": p_open * p_buys,
            "p_opt_out": leaves,
            "p_complaint": truth.complaints * leaves,
        }
    )


def plan_truth(market: Market, pushes: pd.DataFrame, memory: PushMemory) -> pd.DataFrame:
    """`TRUTH_COLUMNS` of each row of a plan, 0 where its user or item is nobody's here.

    Args:
        market: Where.
        pushes: (user_id, item_id, send_at, device), one row a push; `device` is that of its scene.
        memory: What earlier pushes left behind. Pushes of this plan do not count for each other.
    """
    user = numbers_of(pushes["user_id"], len(market.people))
    item = numbers_of(pushes["item_id"], len(market.goods))
    sent, hand = whole_seconds(pushes["send_at"]), hands_of(pushes["device"].tolist())
    truth = push_truth(market, np.maximum(user, 0), np.maximum(item, 0), sent, hand, memory)
    truth[(user < 0) | (item < 0)] = 0.0
    return truth


def attention(market: Market, user: Longs, day: Longs, second: Longs) -> Doubles:
    """Log of how much likelier than at an average hour each user is there in the two hours from then on."""
    off = is_off(market.params, market.people.place[user], day).astype(np.int64)
    rhythm, hour, part = market.people.rhythm, second // 3600, second % 3600 / 3600.0
    shares = [rhythm[user, off, (hour + ahead) % 24] for ahead in range(3)]
    near = ((1.0 - part) * shares[0] + shares[1] + part * shares[2]) / 2.0
    return np.clip(np.log(24.0 * near), *_ATTENTION_BOUNDS)


def is_quiet(market: Market, user: Longs, hour: Longs) -> Flags:
    """Whether each user wants silence at that local hour."""
    start, end = market.people.quiet_start[user], market.people.quiet_end[user]
    return np.where(start > end, (hour >= start) | (hour < end), (hour >= start) & (hour < end))


def most_frequent_daypart(market: Market) -> Longs:
    """Code in `DAYPARTS` of the part of the day in which each user comes most, over all days."""
    starts = np.array([0, 6, 10, 14, 17, 21, 24])
    hours = (5.0 * market.people.rhythm[:, 0] + 2.0 * market.people.rhythm[:, 1]) / 7.0
    parts = [hours[:, starts[part] : starts[part + 1]].sum(axis=1) for part in range(len(DAYPARTS))]
    return np.asarray(np.stack(parts, axis=1).argmax(axis=1), dtype=np.int64)


def _device(market: Market, user: Longs, hour: Longs, off: Flags, hand: Longs) -> tuple[Longs, Doubles]:
    """(what is in hand when it is seen, log of how much likelier than one in two that is)."""
    share = market.people.in_hand(user, hour, off)
    named = np.maximum(hand, PHONE)
    fits = np.log(np.maximum(2.0 * share[np.arange(len(user)), named], 1e-9))
    return named, np.where(hand == NO_HAND, 0.0, np.clip(fits, *_DEVICE_BOUNDS))
