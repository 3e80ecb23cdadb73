"""Slices: the kinds of queries and of targets on which a ranking may do better or worse than its mean tells.

Everything is known at the query's own cut-off, but for what was bought, which only labels targets.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.calendar import DAYPARTS
from features.scenes import SCENE_PARTS, UNKNOWN
from models.interaction_log import SECONDS_PER_DAY, InteractionLog
from models.reason_words import WEEKDAYS
from models.scene_codes import CODED_PARTS
from models.vocabulary import Ints, Longs, Vocabulary

YOUNG_DAYS = 28
CATEGORIES_SHOWN = 15
ACTIVITY = ("0", "1-4", "5-19", "20+")
FAMILIARITY = ("usual", "used before", "never used")
ITEM_AGE = (f"under {YOUNG_DAYS} days", "28 to 89 days", "90 days or more")
ITEM_REACH = ("top tenth", "next four tenths", "lower half", "never sold before")
_ACTIVITY_BOUNDS = np.array([1, 5, 20])
_QUERIES_AT_ONCE = 4_000  # bounds the expanded histories: some million rows

ORDER: dict[str, tuple[str, ...]] = {
    "daypart": DAYPARTS,
    "weekday": WEEKDAYS,
    "earlier baskets": ACTIVITY,
    "user age": (f"first seen under {YOUNG_DAYS} days ago", "known longer"),
    "scene familiarity": FAMILIARITY,
    **{f"{part.removesuffix('_id')} familiarity": FAMILIARITY for part in SCENE_PARTS},
    "item age": ITEM_AGE,
    "item to the user": ("bought before", "new to the user"),
    "item reach": ITEM_REACH,
}
"""The values of each dimension in the order that people read them; a dimension not in here goes by size."""


def query_slices(log: InteractionLog, queries: pd.DataFrame) -> pd.DataFrame:
    """The slice of each query in each dimension, as text; one row a query, one column a dimension.

    Args:
        log: Interactions; each query is described by those strictly before its cut-off.
        queries: QUERY_COLUMNS.

    Returns:
        daypart; weekday; 'earlier baskets'; 'user age'; '<part> familiarity' for every part of the scene with
        two known values, None where the query does not know it, and 'scene familiarity' for all such parts
        together: never used where one of them is new to the user, usual where each is that of at least half
        of the earlier baskets.
    """
    codes = log.encode(queries)
    baskets = log.baskets_before(codes.user, codes.cutoff)
    columns: dict[str, object] = {
        "daypart": queries["daypart"].to_numpy(dtype=object),
        "weekday": np.array(WEEKDAYS, dtype=object)[queries["weekday"].to_numpy(dtype=np.int64)],
        "earlier baskets": np.array(ACTIVITY, dtype=object)[
            np.searchsorted(_ACTIVITY_BOUNDS, baskets, side="right")
        ],
        "user age": np.array(ORDER["user age"], dtype=object)[
            (codes.cutoff - _first_seen(log)[codes.user] >= YOUNG_DAYS * SECONDS_PER_DAY).astype(np.int64)
        ],
    }
    shares = scene_shares(log, queries)
    known = shares.loc[:, [part for part in shares if _tells(log, str(part)) and shares[part].notna().any()]]
    for part in known:
        columns[f"{str(part).removesuffix('_id')} familiarity"] = _familiarity(known[part].to_numpy())
    if known.shape[1] > 1:
        columns["scene familiarity"] = _familiarity(known.min(axis=1).to_numpy(dtype=np.float64))
    return pd.DataFrame(columns)


def scene_shares(log: InteractionLog, queries: pd.DataFrame) -> pd.DataFrame:
    """The share of the user's earlier baskets in each part of the query's scene, queries x SCENE_PARTS.

    0 for a user without baskets; missing where the query does not know the part.
    """
    codes = log.encode(queries)
    opens = np.zeros(len(log), dtype=bool)
    opens[np.unique(log.basket, return_index=True)[1]] = True
    shares = {}
    for part in SCENE_PARTS:
        values, of_row = _part_of_rows(log, part)
        asked = values.codes(queries[part].astype("str")) if part in queries else np.full(len(queries), -1)
        unknown = (queries[part].astype("str") == UNKNOWN).to_numpy() if part in queries else asked < 0
        share = np.zeros(len(queries))
        for begin in range(0, len(queries), _QUERIES_AT_ONCE):
            rows = np.arange(begin, min(begin + _QUERIES_AT_ONCE, len(queries)))
            past = log.expand(codes.take(rows))
            first = opens[past.row]
            same = first & (of_row[past.row] == asked[rows][past.query])
            total = np.bincount(past.query[first], minlength=len(rows))
            share[rows] = np.bincount(past.query[same], minlength=len(rows)) / np.maximum(total, 1)
        shares[part] = np.where(unknown, np.nan, share)
    return pd.DataFrame(shares)


def target_slices(log: InteractionLog, queries: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """The slice of each target in each dimension, as text; one row a row of `truth`.

    Args:
        log: Interactions of the items that are ranked.
        queries: QUERY_COLUMNS.
        truth: (query_id, item_id); every query_id stands in `queries`.

    Returns:
        'item age' (since it was created, else first seen in the log); 'item to the user'; 'item reach', by
        how many users bought it before the first query; category, at the coarsest level that tells items
        apart, the rarer ones together as 'others'.
    """
    codes = log.encode(queries)
    place = pd.Index(queries["query_id"]).get_indexer(pd.Index(truth["query_id"]))
    item = log.items.codes(truth["item_id"])
    cutoff = codes.cutoff[place]
    born = item_births(log)
    age = (cutoff - np.append(born, np.iinfo(np.int64).max // 2)[item]) / SECONDS_PER_DAY
    category = log.categories.decode(np.append(log.item_category, -1).astype(np.int32)[item])
    return pd.DataFrame(
        {
            "item age": np.array(ITEM_AGE, dtype=object)[np.searchsorted([YOUNG_DAYS, 90], age, "right")],
            "item to the user": np.where(
                bought_before(log, codes.user[place], item, cutoff), "bought before", "new to the user"
            ).astype(object),
            "item reach": _reach(log, int(codes.cutoff.min()))[item],
            "category": _named(category) if len(category) else category,
        }
    )


def item_births(log: InteractionLog) -> Longs:
    """When each item came to be, UTC seconds: created where the shop tells, else first seen in the log."""
    born = np.full(log.n_items, np.iinfo(np.int64).max // 2, dtype=np.int64)
    np.minimum.at(born, log.item, log.time)
    if log.shop is not None and len(log.shop.created) == log.n_items:
        born = np.where(log.shop.created >= 0, np.minimum(log.shop.created, born), born)
    return born


def bought_before(log: InteractionLog, user: Ints, item: Ints, cutoff: Longs) -> NDArray[np.bool_]:
    """Whether the user had dealt with the item strictly before the instant; False for code -1."""
    width = np.int64(log.n_items + 1)
    # Rows are sorted by user, then time, so the first of a pair is the earliest.
    pair, first = np.unique(log.user.astype(np.int64) * width + log.item, return_index=True)
    asked = user.astype(np.int64) * width + item
    place = np.minimum(np.searchsorted(pair, asked), max(len(pair) - 1, 0))
    if not len(pair):
        return np.zeros(len(asked), dtype=bool)
    found = (pair[place] == asked) & (user >= 0) & (item >= 0)
    return np.asarray(found & (log.time[first[place]] < cutoff), dtype=bool)


def _first_seen(log: InteractionLog) -> Longs:
    """UTC seconds of each user's first interaction; far ahead for one without, and at the end for code -1."""
    first = np.full(log.n_users + 1, np.iinfo(np.int64).max // 2, dtype=np.int64)
    np.minimum.at(first, log.user, log.time)
    return first


def _part_of_rows(log: InteractionLog, part: str) -> tuple[Vocabulary, Ints]:
    """(the values of a part of the scene, the code of it in each row of the log)."""
    if part not in CODED_PARTS:
        return log.stores, log.store
    values = Vocabulary.of(log.scenes[part])
    return values, values.codes(log.scenes[part])[log.scene]


def _tells(log: InteractionLog, part: str) -> bool:
    """Whether the log knows two values of this part of the scene."""
    values, of_row = _part_of_rows(log, part)
    return len(set(values.decode(np.unique(of_row))) - {UNKNOWN}) > 1


def _familiarity(share: NDArray[np.float64]) -> NDArray[np.object_]:
    """Usual for at least half of the baskets, used before, never used; None where unknown."""
    named = np.array([*FAMILIARITY, None], dtype=object)
    step = np.where(np.isnan(share), 3, np.where(share >= 0.5, 0, np.where(share > 0, 1, 2)))
    return np.asarray(named[step], dtype=object)


def _reach(log: InteractionLog, before: int) -> NDArray[np.object_]:
    """ITEM_REACH of each item, by distinct users before the instant; the last entry serves code -1."""
    users = users_per_item(log, before)
    rank = np.argsort(np.argsort(-users, kind="stable"), kind="stable") / max(log.n_items, 1)
    step = np.where(users == 0, 3, np.searchsorted([0.1, 0.5], rank, side="right"))
    return np.asarray(np.array(ITEM_REACH, dtype=object)[np.append(step, 3)], dtype=object)


def users_per_item(log: InteractionLog, before: int) -> Longs:
    """Distinct users of each item strictly before this UTC instant."""
    early = log.time < before
    pair = np.unique(log.user[early].astype(np.int64) * max(log.n_items, 1) + log.item[early])
    return np.bincount(pair % max(log.n_items, 1), minlength=log.n_items).astype(np.int64)


def _named(category: NDArray[np.object_]) -> NDArray[np.object_]:
    """The commonest categories by name at the first level of the path that has two, others as 'others'."""
    paths = pd.Series(category, dtype="object").str.split(" > ")
    for depth in range(1, int(paths.str.len().max()) + 1):
        names = paths.str[:depth].str.join(" > ")
        if names[names != UNKNOWN].nunique() > 1:
            break
    kept = names.value_counts().index[:CATEGORIES_SHOWN]
    return np.asarray(names.where(names.isin(kept), "others"), dtype=object)
