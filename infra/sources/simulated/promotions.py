"""Promotions: drawn week by week, announced two weeks ahead, some of one region or one store only."""

from __future__ import annotations

import numpy as np
import pandas as pd

from infra.sources.simulated.chance import Doubles, Longs, uniforms
from infra.sources.simulated.days import midnight
from infra.sources.simulated.kinds import KINDS
from infra.sources.simulated.params import MarketParams
from infra.sources.simulated.places import PLACES, STORES, STORES_A_PLACE

ANNOUNCED_WEEKS = 2
_ITEMS_A_PROMOTION = 20
_OF_KIND = 1  # promotions of a whole kind a week, beside those of single items


def promotions_of_week(params: MarketParams, week: int) -> pd.DataFrame:
    """(number, item, kind, region, store, first_day, last_day, discount) of those that start in a week.

    Codes are -1 where they do not restrict; days are counted from the market's first one, the last included.
    """
    count = max(3, params.items // _ITEMS_A_PROMOTION) + _OF_KIND
    number = np.arange(count)

    def uniform(purpose: str) -> Doubles:
        return uniforms(params.seed, purpose, number, week)

    of_kind = number < _OF_KIND
    where = np.searchsorted([0.6, 0.8], uniform("where"), side="right")
    short = uniform("how long") < 0.3
    start = 7 * week + np.where(short, 4, 0)  # a weekend's from Friday on
    return pd.DataFrame(
        {
            "number": number,
            "item": np.where(of_kind, -1, (uniform("promoted item") * params.items).astype(np.int64)),
            "kind": np.where(of_kind, (uniform("promoted kind") * len(KINDS)).astype(np.int64), -1),
            "region": np.where(where == 1, (uniform("region") * len(PLACES)).astype(np.int64), -1),
            "store": np.where(where == 2, (uniform("promoting store") * len(STORES)).astype(np.int64), -1),
            "first_day": start,
            "last_day": start + np.where(short, 2, 6),
            "discount": np.round(0.1 + 0.3 * uniform("discount"), 2),
        }
    )


def discounts(params: MarketParams, kind: Longs, days: range) -> Doubles:
    """The largest discount that holds on each day in each store on each item, days x stores x items.

    Args:
        kind: Of each item.
        days: Counted from the market's first one.
    """
    found = np.zeros((len(days), len(STORES), params.items))
    for week in range(days.start // 7 - 1, (days.stop - 1) // 7 + 1):
        rows = promotions_of_week(params, week)
        codes = rows[["item", "kind", "region", "store", "first_day", "last_day"]].to_numpy()
        for (item, of, region, store, first, last), discount in zip(codes, rows["discount"], strict=True):
            begin, end = max(first, days.start) - days.start, min(last + 1, days.stop) - days.start
            if begin >= end:
                continue
            stores = slice(None)
            if store >= 0:
                stores = slice(store, store + 1)
            elif region >= 0:
                stores = slice(region * STORES_A_PLACE, (region + 1) * STORES_A_PLACE)
            items = np.flatnonzero(kind == of) if of >= 0 else np.array([item])
            held = found[begin:end, stores]
            held[:, :, items] = np.maximum(held[:, :, items], discount)
    return found


def discount_of(params: MarketParams, kind: Longs, store: Longs, item: Longs, day: Longs) -> Doubles:
    """The discount on each item in each store on each day.

    Args:
        kind: Of every item there is.
        store, item, day: Aligned.
    """
    if len(day) == 0:
        return np.zeros(0)
    days = range(int(day.min()), int(day.max()) + 1)
    return np.asarray(discounts(params, kind, days)[day - days.start, store, item], dtype=np.float64)


def promotion_rows(params: MarketParams, days: range) -> pd.DataFrame:
    """PROMOTIONS rows of every promotion that starts on these days or is announced by their end."""
    last_week = (days.stop - 1) // 7 + ANNOUNCED_WEEKS
    weeks = {week: promotions_of_week(params, week) for week in range(days.start // 7, last_week + 1)}
    rows = pd.concat([one.assign(week=week) for week, one in weeks.items()], ignore_index=True)
    paths, regions = [one.path for one in KINDS], [one.region for one in PLACES]
    return pd.DataFrame(
        {
            "promotion_id": [f"w{week}-{n}" for week, n in zip(rows["week"], rows["number"], strict=True)],
            "item_id": [f"i{item:05d}" if item >= 0 else None for item in rows["item"]],
            "category_path": [paths[kind] if kind >= 0 else None for kind in rows["kind"]],
            "region": [regions[region] if region >= 0 else None for region in rows["region"]],
            "store_id": [STORES[store] if store >= 0 else None for store in rows["store"]],
            "starts_at": [midnight(params, day) for day in rows["first_day"]],
            "ends_at": [midnight(params, day + 1) for day in rows["last_day"]],
            "kind": np.where(rows["last_day"] - rows["first_day"] < 6, "weekend", "week"),
            "discount": rows["discount"],
        }
    )
