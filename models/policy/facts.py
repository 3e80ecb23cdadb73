"""What the rules read of users and of pushes, joined once; slots and items have files of their own.

Lookups go over integer codes, so a million candidates cost seconds, not a string merge.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.calendar import known_timezones, local_midnight, zone_named
from features.places import OWN, countries
from features.scenes import UNKNOWN, filled_part
from models.policy.kill_switch import STOP_COLUMNS, everything_off
from models.policy.params import PolicyParams
from models.policy.quiet_hours import minute_of_day
from models.policy.weekly_cap import WEEK_DAYS

_SECONDS_BITS = 36  # epoch seconds fit well below 2**36, user codes above
_DAY_SECONDS = 86_400.0


@dataclass(frozen=True)
class PolicyContext:
    """What policy must know besides the users and their scores; columns absent count as unknown.

    Attributes:
        as_of: Knowledge cut-off, UTC.
        items: (item_id, available, stock, sensitive); one row an item.
        purchases: (user_id, item_id, last_bought_epoch_seconds, mean_gap_days); one row a pair ever bought.
        pushes: (user_id, sent_at, channel); sent or planned by any campaign, each once, without the batch
            that this plan replaces.
        stops: `STOP_COLUMNS`, the kill switches that are on.
        usual_prices: From `price_medians`: what candidates without a price are taken to cost; None: the
            medians of the candidates themselves, which only a plan of everybody at once may take.
    """

    as_of: datetime
    items: pd.DataFrame
    purchases: pd.DataFrame
    pushes: pd.DataFrame
    stops: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(STOP_COLUMNS)))
    usual_prices: pd.DataFrame | None = None


def user_facts(
    users: pd.DataFrame, user_ids: pd.Index, context: PolicyContext, params: PolicyParams, plan_date: date
) -> pd.DataFrame:
    """One row per id of `user_ids`, in its order; an id that `users` lacks has no consent.

    Returns:
        (user_id, push_consent, switched_off, timezone, timezone_known, quiet_start and quiet_end in minutes
        of the day, min_window_minutes, cap, pushes_that_day, pushes_that_week, region). A zone is known when
        the user's own row names one; `timezone_source`, where told, says so.
    """
    zone_named(params.default_timezone)
    rows = users.drop_duplicates("user_id").set_index("user_id").reindex(user_ids)

    def column(name: str) -> pd.Series:
        return rows[name] if name in rows else pd.Series(None, index=rows.index, dtype=object)

    valid = column("timezone").isin(known_timezones()).to_numpy(dtype=bool)
    source = column("timezone_source").astype("object").fillna(OWN)
    quiet_from, quiet_until = _default_quiet(countries(column("locale"), column("region")), params)
    start = column("quiet_start").map(minute_of_day).to_numpy(dtype=float)
    end = column("quiet_end").map(minute_of_day).to_numpy(dtype=float)
    own = ~np.isnan(start) & ~np.isnan(end)
    allowed = pd.to_numeric(column("max_per_day"), errors="coerce").fillna(params.default_max_per_day)
    facts = pd.DataFrame(
        {
            "user_id": user_ids.to_numpy(),
            "push_consent": column("push_consent").to_numpy(),
            "switched_off": everything_off(context.stops),
            "timezone": np.where(valid, column("timezone").astype(object), params.default_timezone),
            "timezone_known": valid & source.eq(OWN).to_numpy(dtype=bool),
            "quiet_start": np.where(own, start, quiet_from).astype(np.int64),
            "quiet_end": np.where(own, end, quiet_until).astype(np.int64),
            "min_window_minutes": params.min_window_minutes,
            "cap": allowed.clip(0, params.max_per_day).to_numpy(dtype=np.int64),
            "region": filled_part(column("region")).to_numpy(),
        }
    )
    sent = push_times(context, params, user_ids)
    facts["pushes_that_day"] = _pushes_on(plan_date, 1, facts, sent)
    facts["pushes_that_week"] = _pushes_on(plan_date, WEEK_DAYS, facts, sent)
    return facts


def _default_quiet(country: pd.Series, params: PolicyParams) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(start, end) minutes of those who named none: their country's, else everybody's."""
    everybody = (params.default_quiet_start, params.default_quiet_end)
    named = {name: hours for name, *hours in params.country_quiet}
    codes, names = pd.factorize(country.to_numpy(dtype=object), use_na_sentinel=False)
    found = [[_minute(text) for text in named.get(name, everybody)] for name in names]
    minutes = np.array(found, dtype=np.int64).reshape(len(names), 2)[codes]
    return minutes[:, 0], minutes[:, 1]


def push_times(context: PolicyContext, params: PolicyParams, user_ids: pd.Index) -> NDArray[np.int64]:
    """Sorted keys `user code << 36 | epoch second` of every push that counts, for range look-ups."""
    pushes = context.pushes
    if len(pushes) == 0:
        return np.zeros(0, dtype=np.int64)
    channel = filled_part(pushes["channel"]) if "channel" in pushes else pd.Series(UNKNOWN, pushes.index)
    codes = codes_of(user_ids, pushes["user_id"])
    other = channel.str.lower().isin(params.uncounted_channels).to_numpy(dtype=bool)
    counted = (codes >= 0) & ~other
    seconds = pd.to_datetime(pushes["sent_at"], utc=True).to_numpy("datetime64[s]").astype(float)
    return np.sort(push_keys(codes[counted], seconds[counted]))


def _pushes_on(plan_date: date, days: int, users: pd.DataFrame, sent: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many counted pushes each user has on so many local days, the last of them the plan date."""
    bounds = {
        zone: [
            int(local_midnight(plan_date + timedelta(days=day), zone).timestamp()) for day in (1 - days, 1)
        ]
        for zone in users["timezone"].unique()
    }
    codes = np.arange(len(users))
    first, last = (
        np.searchsorted(
            sent, push_keys(codes, users["timezone"].map({z: b[i] for z, b in bounds.items()}).to_numpy())
        )
        for i in (0, 1)
    )
    return np.asarray(last - first, dtype=np.int64)


def hours_to_nearest(
    user_codes: NDArray[np.int64], epoch_seconds: NDArray[np.float64], sent: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Hours from each instant to the same user's nearest push, before or after; nan without one.

    Examples:
        >>> sent = np.array([(1 << 36) | 7200])
        >>> hours_to_nearest(np.array([0, 1]), np.array([0.0, 0.0]), sent).tolist()
        [nan, 2.0]
    """
    if len(sent) == 0:
        return np.full(len(user_codes), np.nan)
    keys = push_keys(user_codes, np.nan_to_num(epoch_seconds))
    place = np.searchsorted(sent, keys)
    distances = []
    for neighbour in (np.maximum(place - 1, 0), np.minimum(place, len(sent) - 1)):
        same = sent[neighbour] >> _SECONDS_BITS == user_codes
        distances.append(np.where(same, np.abs(sent[neighbour] - keys) / 3600.0, np.nan))
    return np.where(np.isnan(epoch_seconds), np.nan, np.fmin(*distances))


def recent_pushes(
    user_codes: NDArray[np.int64],
    epoch_seconds: NDArray[np.float64],
    sent: NDArray[np.int64],
    half_life_days: float,
) -> NDArray[np.float64]:
    """Pushes to the same user in the week before each instant, halved with every half-life of their age.

    Examples:
        >>> sent = np.array([(1 << 36) | 86_400, (1 << 36) | 172_800])
        >>> recent_pushes(np.array([0, 1]), np.array([172_800.0] * 2), sent, 1.0).tolist()
        [0.0, 0.5]
    """
    now = np.nan_to_num(epoch_seconds)
    first, last = (
        np.searchsorted(sent, push_keys(user_codes, np.maximum(begin, 0.0)))
        for begin in (now - WEEK_DAYS * _DAY_SECONDS, now)
    )
    count = last - first
    row = np.repeat(np.arange(len(now)), count)
    push = np.arange(len(row)) + np.repeat(first - (np.cumsum(count) - count), count)
    age = now[row] - (sent[push] & ((1 << _SECONDS_BITS) - 1))
    weight = np.exp2(-age / (half_life_days * _DAY_SECONDS))
    return np.asarray(np.bincount(row, weights=weight, minlength=len(now)), dtype=np.float64)


def codes_of(ids: pd.Index, values: pd.Series) -> NDArray[np.int64]:
    """Each value's position in `ids`, -1 where it is none of them.

    Examples:
        >>> codes_of(pd.Index(["a", "b"]), pd.Series(["b", "c"])).tolist()
        [1, -1]
    """
    if isinstance(values.dtype, pd.CategoricalDtype):  # few names, many rows
        known = np.append(ids.get_indexer(pd.Index(values.cat.categories.to_numpy(dtype=object))), -1)
        return known[values.cat.codes.to_numpy()].astype(np.int64)
    return ids.get_indexer(pd.Index(values.to_numpy(dtype=object))).astype(np.int64)


def sorted_codes(values: pd.Series) -> tuple[NDArray[np.int64], pd.Index]:
    """(each value's position among the distinct ones, -1 where null; those, sorted).

    Examples:
        >>> codes, names = sorted_codes(pd.Series(["b", None, "a", "b"], dtype="category"))
        >>> codes.tolist(), names.tolist()
        ([1, -1, 0, 1], ['a', 'b'])
    """
    if not isinstance(values.dtype, pd.CategoricalDtype):
        codes, distinct = pd.factorize(values.to_numpy(dtype=object), sort=True)
        return codes.astype(np.int64), pd.Index(distinct)
    codes = values.cat.codes.to_numpy().astype(np.int64)
    seen = np.flatnonzero(np.bincount(codes + 1, minlength=len(values.cat.categories) + 1)[1:])
    names = values.cat.categories.to_numpy(dtype=object)[seen]
    if pd.Index(names).is_monotonic_increasing:
        order = np.arange(len(names))
    else:
        order = np.argsort(names, kind="stable")
    place = np.full(len(values.cat.categories) + 1, -1, dtype=np.int64)
    place[seen[order]] = np.arange(len(seen))
    return place[codes], pd.Index(names[order])


def push_keys(user_codes: NDArray[np.int64], epoch_seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    """One integer a (user, instant), ordered by user, then time."""
    seconds = np.asarray(epoch_seconds).astype(np.int64)
    return (np.asarray(user_codes, dtype=np.int64) << _SECONDS_BITS) + seconds


def _minute(text: str) -> int:
    minute = minute_of_day(text)
    if minute is None:
        raise ValueError(
            f"quiet hours == {text!r}, must be a local time 'HH:MM'; correct the policy setting."
        )
    return minute
