"""What the rules read, joined once: facts of users, of their slots, and of candidate items.

Lookups go over integer codes, so a million candidates cost seconds, not a string merge.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.calendar import known_timezones, local_midnight, zone_named
from features.scenes import UNKNOWN, filled_part
from models.policy.params import PolicyParams
from models.policy.quiet_hours import minute_of_day, send_window

_SECONDS_BITS = 36  # epoch seconds fit well below 2**36, user codes above


@dataclass(frozen=True)
class PolicyContext:
    """What policy must know besides the users and their scores; columns absent count as unknown.

    Attributes:
        as_of: Knowledge cut-off, UTC.
        items: (item_id, available, stock, sensitive); one row an item.
        purchases: (user_id, item_id, last_bought_epoch_seconds, mean_gap_days); one row a pair ever bought.
        pushes: (user_id, sent_at, channel); sent or planned, without the batch that this plan replaces.
    """

    as_of: datetime
    items: pd.DataFrame
    purchases: pd.DataFrame
    pushes: pd.DataFrame


def user_facts(
    users: pd.DataFrame, user_ids: pd.Index, context: PolicyContext, params: PolicyParams, plan_date: date
) -> pd.DataFrame:
    """One row per id of `user_ids`, in its order; an id that `users` lacks has no consent.

    Returns:
        (user_id, push_consent, timezone, timezone_known, quiet_start and quiet_end in minutes of the day,
        min_window_minutes, cap, pushes_that_day, region).
    """
    zone_named(params.default_timezone)
    rows = users.drop_duplicates("user_id").set_index("user_id").reindex(user_ids)

    def column(name: str) -> pd.Series:
        return rows[name] if name in rows else pd.Series(None, index=rows.index, dtype=object)

    known = column("timezone").isin(known_timezones()).to_numpy(dtype=bool)
    start = column("quiet_start").map(minute_of_day).to_numpy(dtype=float)
    end = column("quiet_end").map(minute_of_day).to_numpy(dtype=float)
    own = ~np.isnan(start) & ~np.isnan(end)
    allowed = pd.to_numeric(column("max_per_day"), errors="coerce").fillna(params.default_max_per_day)
    facts = pd.DataFrame(
        {
            "user_id": user_ids.to_numpy(),
            "push_consent": column("push_consent").to_numpy(),
            "timezone": np.where(known, column("timezone").astype(object), params.default_timezone),
            "timezone_known": known,
            "quiet_start": np.where(own, start, _minute(params.default_quiet_start)).astype(np.int64),
            "quiet_end": np.where(own, end, _minute(params.default_quiet_end)).astype(np.int64),
            "min_window_minutes": params.min_window_minutes,
            "cap": allowed.clip(0, params.max_per_day).to_numpy(dtype=np.int64),
            "region": filled_part(column("region")).to_numpy(),
        }
    )
    facts["pushes_that_day"] = _pushes_on(plan_date, facts, push_times(context, params, user_ids))
    return facts


def push_times(context: PolicyContext, params: PolicyParams, user_ids: pd.Index) -> NDArray[np.int64]:
    """Sorted keys `user code << 36 | epoch second` of every push that counts, for range look-ups."""
    pushes = context.pushes
    if len(pushes) == 0:
        return np.zeros(0, dtype=np.int64)
    channel = filled_part(pushes["channel"]) if "channel" in pushes else pd.Series(UNKNOWN, pushes.index)
    codes = codes_of(user_ids, pushes["user_id"])
    counted = (codes >= 0) & channel.isin(params.push_channels).to_numpy(dtype=bool)
    seconds = pd.to_datetime(pushes["sent_at"], utc=True).to_numpy("datetime64[s]").astype(float)
    return np.sort(push_keys(codes[counted], seconds[counted]))


def _pushes_on(plan_date: date, users: pd.DataFrame, sent: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many counted pushes each user has on the local day."""
    bounds = {
        zone: [int(local_midnight(plan_date + timedelta(days=day), zone).timestamp()) for day in (0, 1)]
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


def slot_facts(
    slots: pd.DataFrame, users: pd.DataFrame, sent: NDArray[np.int64], as_of: datetime, plan_date: date
) -> pd.DataFrame:
    """`slots` with its user's facts, its send window and the distance to the user's nearest push.

    Args:
        slots: (user_code, slot, ...); `user_code` is a row number of `users`.
        users: From `user_facts`.
        sent: From `push_times`.

    Returns:
        ... plus send_epoch_seconds and expires_epoch_seconds (nan where quiet hours leave no send window),
        as_of_epoch_seconds, hours_to_nearest_push (nan without any).
    """
    own = users.iloc[slots["user_code"].to_numpy()].reset_index(drop=True)
    facts = pd.concat([slots.reset_index(drop=True), own.drop(columns="push_consent")], axis=1)
    kinds = facts[["slot", "timezone", "quiet_start", "quiet_end", "min_window_minutes"]]
    kind = kinds.groupby(list(kinds), sort=False).ngroup().to_numpy()
    distinct = kinds.iloc[np.unique(kind, return_index=True)[1]]
    windows = [send_window(plan_date, *row) for row in distinct.itertuples(index=False, name=None)]
    bounds = np.array([window or (np.nan, np.nan) for window in windows], dtype=float).reshape(
        len(windows), 2
    )[kind]
    facts["send_epoch_seconds"], facts["expires_epoch_seconds"] = bounds[:, 0], bounds[:, 1]
    facts["as_of_epoch_seconds"] = as_of.timestamp()
    facts["hours_to_nearest_push"] = hours_to_nearest(
        facts["user_code"].to_numpy(), facts["send_epoch_seconds"].to_numpy(), sent
    )
    return facts


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


def codes_of(ids: pd.Index, values: pd.Series) -> NDArray[np.int64]:
    """Each value's position in `ids`, -1 where it is none of them.

    Examples:
        >>> codes_of(pd.Index(["a", "b"]), pd.Series(["b", "c"])).tolist()
        [1, -1]
    """
    return ids.get_indexer(pd.Index(values.to_numpy(dtype=object))).astype(np.int64)


def item_facts(
    user_codes: NDArray[np.int64],
    item_codes: NDArray[np.int64],
    user_ids: pd.Index,
    item_ids: pd.Index,
    context: PolicyContext,
) -> pd.DataFrame:
    """One row a candidate: (in_catalogue, available, stock, sensitive, days_since_bought, mean_gap_days)."""
    catalogue = context.items.drop_duplicates("item_id").set_index("item_id")
    known = np.asarray(item_ids.isin(catalogue.index))
    rows = catalogue.reindex(item_ids)

    def number(name: str) -> NDArray[np.float64]:
        values = rows[name] if name in rows else pd.Series(np.nan, index=rows.index)
        return pd.to_numeric(values, errors="coerce").to_numpy(dtype=float, na_value=np.nan)[item_codes]

    last, gap = _purchase_facts(user_codes, item_codes, user_ids, item_ids, context.purchases)
    return pd.DataFrame(
        {
            "in_catalogue": known[item_codes],
            "available": number("available"),
            "stock": number("stock"),
            "sensitive": number("sensitive") == 1.0,
            "days_since_bought": (context.as_of.timestamp() - last) / 86_400.0,
            "mean_gap_days": gap,
        }
    )


def _purchase_facts(
    user_codes: NDArray[np.int64],
    item_codes: NDArray[np.int64],
    user_ids: pd.Index,
    item_ids: pd.Index,
    purchases: pd.DataFrame,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(last purchase in epoch seconds, mean gap in days) of each (user, item) pair; nan if never bought."""
    users, items = codes_of(user_ids, purchases["user_id"]), codes_of(item_ids, purchases["item_id"])
    wanted = (users >= 0) & (items >= 0)
    bought = purchases[wanted]
    keys = users[wanted] * np.int64(len(item_ids)) + items[wanted]
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    sought = user_codes * np.int64(len(item_ids)) + item_codes
    never = np.full(len(sought), np.nan)
    if len(keys) == 0:
        return never, never.copy()
    place = np.minimum(np.searchsorted(keys, sought), len(keys) - 1)
    found = keys[place] == sought
    last, gap = (
        np.where(found, bought[name].to_numpy(dtype=float, na_value=np.nan)[order][place], np.nan)
        for name in ("last_bought_epoch_seconds", "mean_gap_days")
    )
    return last, gap


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
