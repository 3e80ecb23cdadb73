"""One push a user-day, planned at 00:00: slot, time and five items, ours beside plainer plans.

Measured on user-days with a basket in test. A hit is a basket that holds one of the items and starts in the
4 hours after the push: what it can have caused. The wider reading, a basket in the slot or the 4 hours
after, is given beside it; it is kinder to whoever sends late in the slot. The plainer plans' times are tuned
on validation by the same measure as ours; the headline is over the better of the two most frequent dayparts,
of all time and lately. Quiet hours bind nobody here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from features.calendar import DAYPARTS
from features.errors import UsageError
from flows.progress import step
from flows.timing_frame import with_timing_features
from flows.training_data import TrainingData
from flows.wiring import Stores
from models.hour_profile import HourProfileParams, basket_sessions, hour_profiles
from models.interaction_log import InteractionLog
from models.joint_evaluation import (
    AFTER_SEND,
    SLOT_OR_AFTER,
    BoughtItems,
    Doubles,
    Pushes,
    chance_of_any,
    evaluate_joint,
    joint_slots,
)
from models.joint_peers import best_fixed_sends, favourite_dayparts, reached
from models.queries import QuerySet
from models.ranker import Ranker
from models.send_time import REACH_HOURS, SEND_HOURS, best_sends, blended, reach
from models.timing import TimingModel
from models.timing_rows import with_last_scene
from tests.benchmarks.accuracy.joint_items import popular_rows, rank_slots

OURS = "Kairos: joint"
ITEM_ONLY = "item-only ranker, most frequent daypart"
ITEM_ONLY_LATELY = "item-only ranker, most frequent daypart lately"
SAME_RANKER = "Kairos' ranker, most frequent daypart"
SAME_TIME = "item-only ranker, Kairos' time"
POPULAR = "popular items at noon"
SLOTS_RANKED = 2
USER_DAYS = 3_000
TUNING_USER_DAYS = 10_000
PROFILES = [HourProfileParams(half_life, weekday) for half_life, weekday in product((60, 150), (2, 5))]
PROFILE_SHARES = (0.0, 0.5, 1.0)
FAVOURITE_HALF_LIVES = (30.0, 60.0, 150.0)
_MIDDAY, _NOON = DAYPARTS.index("midday"), 12.0


@dataclass(frozen=True)
class Days:
    """User-days with a basket: (user_id, local_day, cutoff_epoch_seconds), and what was bought on them."""

    rows: pd.DataFrame
    bought: BoughtItems


def measure_joint(
    stores: Stores,
    data: TrainingData,
    queries: QuerySet,
    days: Mapping[str, range],
    model: TimingModel,
    rankers: Mapping[str, Ranker],
) -> dict[str, Any]:
    """hit_ratio with its interval, every plan's rates under both readings, and what was tuned."""
    sessions = basket_sessions(data.log)
    with step("joint: times") as current:
        tried = basket_days(data.log, days["validation"], TUNING_USER_DAYS)
        test = basket_days(data.log, days["test"], USER_DAYS)
        if not len(tried.rows) or not len(test.rows):
            raise UsageError(
                f"{len(tried.rows)} validation and {len(test.rows)} test user-days have a basket, both must "
                "be >= 1; load more history."
            )
        profile, share = tuned_times(sessions, tried, p_engage(stores, data, model, tried.rows))
        _, sends = tuned_favourite(sessions, tried, (np.inf,))
        half_life, sends_lately = tuned_favourite(sessions, tried, FAVOURITE_HALF_LIVES)
        profiles = hour_profiles(sessions, test.rows, profile)
        chance = send_chances(p_engage(stores, data, model, test.rows), profiles, share)
        slot_chance, slot_hour = best_sends(chance)
        favourite = favourite_dayparts(sessions, test.rows)
        lately = favourite_dayparts(sessions, test.rows, half_life)
        current.say(f"{len(test.rows):,} user-days with a basket")
    rows = np.arange(len(slot_chance))
    considered = np.zeros(slot_chance.shape, dtype=bool)
    best = np.argsort(-slot_chance, axis=1, kind="stable")[:, :SLOTS_RANKED]
    np.put_along_axis(considered, best, True, axis=1)
    asked = considered.copy()
    asked[rows, favourite] = asked[rows, lately] = True
    ranked = rank_slots(stores, data, queries.queries, test.rows, asked, rankers)
    worth = np.where(considered, chance_of_any(ranked["all"].chances), np.nan)
    slot = joint_slots(slot_chance, worth)
    hour, fixed = slot_hour[rows, slot], sends[favourite]
    noon = np.full(len(rows), _NOON)
    contenders = {
        OURS: Pushes(slot, hour, ranked["all"].items[rows, slot]),
        ITEM_ONLY: Pushes(favourite, fixed, ranked["context_free"].items[rows, favourite]),
        ITEM_ONLY_LATELY: Pushes(lately, sends_lately[lately], ranked["context_free"].items[rows, lately]),
        SAME_RANKER: Pushes(favourite, fixed, ranked["all"].items[rows, favourite]),
        SAME_TIME: Pushes(slot, hour, ranked["context_free"].items[rows, slot]),
        POPULAR: Pushes(
            np.full(len(rows), _MIDDAY), noon, popular_rows(data.log, queries.queries, test.rows)
        ),
    }
    table = evaluate_joint(contenders, test.bought, test.rows["user_id"], OURS)
    found = {(row["plan"], row["rule"]): row for row in table}
    peer = max((ITEM_ONLY, ITEM_ONLY_LATELY), key=lambda name: found[name, AFTER_SEND]["hit_rate"])
    return {
        **_ratio("hit_ratio", found[peer, AFTER_SEND]),
        "peer": peer,
        "rule": AFTER_SEND,
        **_ratio("hit_ratio_slot_or_after", found[peer, SLOT_OR_AFTER]),
        "user_days": len(rows),
        "of": "user-days with a basket in test",
        "tuned": {
            "profile": {"half_life_days": profile.half_life_days, "weekday_weight": profile.weekday_weight},
            "profile_share": share,
            "lately_half_life_days": half_life,
            "send_hours": dict(zip(DAYPARTS, sends.tolist(), strict=True)),
            "lately_send_hours": dict(zip(DAYPARTS, sends_lately.tolist(), strict=True)),
        },
        "table": table,
    }


def basket_days(log: InteractionLog, days: range, most: int, seed: int = 17) -> Days:
    """User-days with a basket (the strongest events of the log), at most so many, drawn evenly."""
    strongest = log.weight == log.weight.max(initial=0.0)
    rows = np.flatnonzero(strongest & (log.local_day >= days.start) & (log.local_day < days.stop))
    key = log.user[rows].astype(np.int64) << 20 | log.local_day[rows]
    kept = np.unique(key)
    if len(kept) > most:
        kept = np.sort(np.random.default_rng(seed).choice(kept, most, replace=False))
    inside = np.isin(key, kept)
    rows, key = rows[inside], key[inside]
    _, first = np.unique(key, return_index=True)
    frame = pd.DataFrame(
        {
            "user_id": log.users.decode(log.user[rows[first]]),
            "local_day": log.local_day[rows[first]].astype(np.int64),
            "cutoff_epoch_seconds": log.midnight[rows[first]],
        }
    )
    basket, start = np.unique(log.basket[rows], return_inverse=True)
    began = np.full(len(basket), np.inf)
    np.minimum.at(began, start, (log.time[rows] - log.midnight[rows]) / 3600.0)
    hour = np.minimum(began[start], 23.99)  # the day on which clocks go back has a 25th hour
    return Days(frame, BoughtItems(np.searchsorted(kept, key), hour, log.item[rows]))


def p_engage(stores: Stores, data: TrainingData, model: TimingModel, rows: pd.DataFrame) -> Doubles:
    """The timing model's word on each user-day, as of its start, user-days x dayparts."""
    told = with_last_scene(rows, data.sessions)
    told["weekday"] = (told["local_day"] + 3) % 7  # 1970-01-01 was a Thursday
    grid = told.loc[told.index.repeat(len(DAYPARTS))].reset_index(drop=True)
    grid["daypart"] = np.tile(np.array(DAYPARTS, dtype=object), len(rows))
    return model.predict(with_timing_features(stores.features, grid, data)).reshape(-1, len(DAYPARTS))


def send_chances(engage: Doubles, profiles: Doubles, share: float) -> Doubles:
    """P(a session starts in the REACH_HOURS after each of SEND_HOURS), user-days x SEND_HOURS."""
    ends = np.minimum(SEND_HOURS + REACH_HOURS, 24.0)
    return reach(blended(engage, profiles, share), profiles, SEND_HOURS, ends)


def tuned_times(sessions: pd.DataFrame, days: Days, engage: Doubles) -> tuple[HourProfileParams, float]:
    """(profile parameters, profile's share) that reach most validation user-days."""
    best: tuple[float, HourProfileParams, float] | None = None
    for params in PROFILES:
        profiles = hour_profiles(sessions, days.rows, params)
        for share in PROFILE_SHARES:
            hours = SEND_HOURS[send_chances(engage, profiles, share).argmax(axis=1)]
            hit = float(reached(hours, days.bought.user_day, days.bought.hour).mean())
            if best is None or hit > best[0]:
                best = (hit, params, share)
    assert best is not None
    return best[1], best[2]


def tuned_favourite(sessions: pd.DataFrame, days: Days, half_lives: Sequence[float]) -> tuple[float, Doubles]:
    """(half-life of the favourite daypart, hour to send at in each daypart) that reach most of the same."""
    tried = []
    for half_life in half_lives:
        slot = favourite_dayparts(sessions, days.rows, half_life)
        sends = best_fixed_sends(slot, days.bought.user_day, days.bought.hour)
        tried.append((reached(sends[slot], days.bought.user_day, days.bought.hour).mean(), half_life, sends))
    _, half_life, sends = max(tried, key=lambda one: one[0])
    return half_life, sends


def _ratio(name: str, row: Mapping[str, Any]) -> dict[str, float]:
    return {name: row["ratio"], f"{name}_low": row["ratio_low"], f"{name}_high": row["ratio_high"]}
