"""One push a user-day: how often was it followed by a basket that holds one of its items?

Every contender names a slot, a time inside it and a few items at 00:00. Two readings, side by side: what a
push can have caused, a basket after it was sent; and whatever happened in the slot or soon after.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bootstrap import UserSample
from models.evaluation import EvaluationParams
from models.send_time import ENDS, REACH_HOURS, STARTS
from models.vocabulary import Column, Ints, Longs

Doubles = NDArray[np.float64]
AFTER_SEND, SLOT_OR_AFTER = RULES = ("after_send", "slot_or_after")


@dataclass(frozen=True)
class Pushes:
    """One push a user-day, arrays in the user-days' order.

    Attributes:
        slot: Daypart code.
        send_hour: Local hour inside the slot.
        items: Item codes, user-days x items; -1 for none.
    """

    slot: Longs
    send_hour: Doubles
    items: Ints


@dataclass(frozen=True)
class BoughtItems:
    """What happened on the user-days: one entry per item of a basket.

    Attributes:
        user_day: Position of the user-day.
        hour: Local hour at which the basket started.
        item: Item code.
    """

    user_day: Longs
    hour: Doubles
    item: Ints


def chance_of_any(chances: Doubles) -> Doubles:
    """P(at least one of a row's items is bought), as if one did not bear on another.

    Examples:
        >>> chance_of_any(np.array([[0.5, 0.5]])).tolist()
        [0.75]
    """
    return np.asarray(1.0 - np.prod(1.0 - chances, axis=-1), dtype=np.float64)


def joint_slots(reach: Doubles, chance: Doubles) -> Longs:
    """The slot with the best expected hits of each row: the argmax of reach x chance.

    Args:
        reach: P(a session starts in time | slot), rows x slots.
        chance: P(one of the items ranked for the slot is bought | session), same shape; nan where none were.

    Examples:
        >>> joint_slots(np.array([[0.3, 0.5]]), np.array([[0.9, 0.5]])).tolist()
        [0]
    """
    return np.asarray(np.nan_to_num(reach * chance, nan=-1.0).argmax(axis=1), dtype=np.int64)


def in_time(pushes: Pushes, user_day: Longs, hour: Doubles, rule: str) -> NDArray[np.bool_]:
    """Whether each basket counts for its user-day's push, one entry a basket."""
    sent = pushes.send_hour[user_day]
    counts = (sent <= hour) & (hour < sent + REACH_HOURS)
    if rule == SLOT_OR_AFTER:
        slot = pushes.slot[user_day]
        counts |= (STARTS[slot] <= hour) & (hour < ENDS[slot])
    return np.asarray(counts)


def outcomes(pushes: Pushes, bought: BoughtItems, rule: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(hit, reached) of each user-day: a basket in time with one of the items; any basket in time."""
    timely = in_time(pushes, bought.user_day, bought.hour, rule)
    wanted = (pushes.items[bought.user_day] == bought.item[:, None]).any(axis=1)
    hit, reached = (np.zeros(len(pushes.slot), dtype=bool) for _ in range(2))
    hit[bought.user_day[timely & wanted]] = True
    reached[bought.user_day[timely]] = True
    return hit, reached


def evaluate_joint(
    contenders: Mapping[str, Pushes],
    bought: BoughtItems,
    users: Column,
    ours: str,
    params: EvaluationParams | None = None,
) -> list[dict[str, Any]]:
    """One row per contender and rule, ours first, judged on the same user-days.

    Args:
        contenders: Name -> its pushes.
        bought: What happened.
        users: The user of each user-day.
        ours: Whom the others are compared with.
        params: Resamples of users, the same for all, confidence and seed.

    Returns:
        {plan, rule, hit_rate, low, high, reached: share of user-days with a basket in time, ratio = our hit
        rate / theirs with ratio_low and ratio_high, user_days, users}.

    Source: Efron and Tibshirani (1993), An introduction to the bootstrap.
    """
    sample = UserSample.of(users, params)
    names = [ours, *(name for name in contenders if name != ours)]
    table = []
    for rule in RULES:
        found = {name: outcomes(contenders[name], bought, rule) for name in names}
        hits = np.column_stack([found[name][0] for name in names]).astype(np.float64)
        drawn = sample.resampled(sample.totals(np.column_stack([hits, np.ones(len(hits))])))
        total = hits.sum(axis=0)
        for place, name in enumerate(names):
            rate = sample.interval(total[place] / len(hits), drawn[:, place] / drawn[:, -1])
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = sample.interval(total[0] / total[place], drawn[:, 0] / drawn[:, place])
            table.append(
                {"plan": name, "rule": rule, "hit_rate": rate.mean, "low": rate.low, "high": rate.high}
                | {"reached": float(found[name][1].mean())}
                | {"ratio": ratio.mean, "ratio_low": ratio.low, "ratio_high": ratio.high}
                | {"user_days": len(hits), "users": sample.n_users}
            )
    return table
