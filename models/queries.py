"""Queries: the moments at which a ranking is asked for, and what was bought then.

Source: the ranking protocol (docs: a query is a basket with enough eligible items by a user with enough
earlier baskets; it may use nothing from 00:00 local of its day on, and its models nothing from 00:00 local
of its week's Monday on).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.calendar import DAYPARTS, local_midnight, zone_named
from features.errors import UsageError
from features.scenes import PASSING_PARTS, SCENE_PARTS, UNKNOWN
from models.interaction_log import InteractionLog
from models.scene_codes import CODED_PARTS
from models.vocabulary import Floats, Ints, Longs

SPLITS = ("train", "validation", "test")
QUERY_COLUMNS = (
    "query_id",
    "user_id",
    *SCENE_PARTS,
    "daypart",
    "weekday",
    "local_day",
    "cutoff_epoch_seconds",
    "fit_epoch_seconds",
    "split",
    "n_items",
)
_EPOCH = date(1970, 1, 1)
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday
_DAY_SECONDS = 86_400


@dataclass(frozen=True)
class QueryParams:
    """Which baskets become queries, and how their weeks are split.

    Attributes:
        min_items: Distinct eligible items a basket needs.
        min_earlier_baskets: Baskets with an eligible item that the user needs before the cut-off.
        train_weeks, validation_weeks, test_weeks: Whole local weeks, counted back from `as_of`: the test
            weeks come last. With test_weeks=0 the newest weeks validate, as a production run wants.
        most_train: At most so many baskets teach, an even draw of all; a large shop has millions.
        most_judged: At most so many validate, and so many test.
        seed: The same seed draws the same baskets.
    """

    min_items: int = 3
    min_earlier_baskets: int = 5
    train_weeks: int = 8
    validation_weeks: int = 2
    test_weeks: int = 4
    most_train: int = 40_000
    most_judged: int = 12_000
    seed: int = 20_171_204

    def __post_init__(self) -> None:
        for name in ("min_items", "most_train", "most_judged"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} == {getattr(self, name)}, must be >= 1.")
        for name in ("min_earlier_baskets", "train_weeks", "validation_weeks", "test_weeks"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} == {getattr(self, name)}, must be >= 0.")
        if not self.weeks:
            raise UsageError("train_weeks + validation_weeks + test_weeks == 0, must be >= 1.")

    @property
    def weeks(self) -> int:
        """Weeks in all three splits together."""
        return self.train_weeks + self.validation_weeks + self.test_weeks


@dataclass(frozen=True)
class QuerySet:
    """Queries with what was bought.

    Attributes:
        queries: QUERY_COLUMNS, one row per query, ordered by day, user and basket; query_id is the position.
        truth: (query_id, item_id, relevance), one row per query and bought eligible item.
    """

    queries: pd.DataFrame
    truth: pd.DataFrame

    def of_split(self, *splits: str) -> QuerySet:
        """The queries of these splits and their truth; query_id keeps its value."""
        queries = self.queries[self.queries["split"].isin(splits)]
        truth = self.truth[self.truth["query_id"].isin(queries["query_id"])]
        return QuerySet(queries.reset_index(drop=True), truth.reset_index(drop=True))


def monday_of(local_day: Ints) -> Ints:
    """The Monday of each local day's week; both in days since 1970-01-01.

    Examples:
        >>> monday_of(np.array([0, 4, 10, 11], dtype=np.int32)).tolist()  # Thu, Mon, Sun, Mon
        [-3, 4, 4, 11]
    """
    return (local_day - (local_day + _EPOCH_WEEKDAY) % 7).astype(np.int32)


def last_monday(as_of: datetime, timezone: str) -> int:
    """The Monday on or before `as_of` in this zone, in days since 1970-01-01.

    Examples:
        >>> from datetime import UTC
        >>> last_monday(datetime(2017, 12, 4, 5, tzinfo=UTC), "America/New_York")
        17504
        >>> last_monday(datetime(2017, 12, 4, 4, tzinfo=UTC), "America/New_York")
        17497
    """
    day = (as_of.astimezone(zone_named(timezone)).date() - _EPOCH).days
    return int(monday_of(np.array([day], dtype=np.int32))[0])


def first_query_monday(as_of: datetime, timezone: str, params: QueryParams) -> date:
    """The local Monday on which the oldest split begins; the catalogue is fixed as of its midnight."""
    return _EPOCH + timedelta(days=last_monday(as_of, timezone) - 7 * params.weeks)


def build_queries(
    log: InteractionLog, as_of: datetime, timezone: str, params: QueryParams | None = None
) -> QuerySet:
    """Queries and truth from a log that is already restricted to the eligible items.

    Args:
        log: Interactions with eligible items only: baskets without one neither ask nor count as earlier.
        as_of: Knowledge cut-off; weeks are counted back from the last Monday on or before it.
        timezone: Zone in which `as_of` is turned into a date; each user's days are their own.
        params: Which baskets ask, and how weeks are split.

    Returns:
        The queries of all splits. `fit_epoch_seconds` is one instant per week, the earliest of its users'
        own Monday midnights, so that a model serves everyone and has seen nobody's week.

    Raises:
        UsageError: No basket qualifies.
    """
    params = params or QueryParams()
    _, first, n_items = np.unique(log.basket, return_index=True, return_counts=True)
    user, day, cutoff = log.user[first], log.local_day[first], log.midnight[first]
    monday = monday_of(day)
    weeks_back = (last_monday(as_of, timezone) - monday) // 7
    asked = (weeks_back >= 1) & (weeks_back <= params.weeks) & (n_items >= params.min_items)
    asked &= log.time[first] < int(as_of.timestamp())
    asked &= log.baskets_before(user, cutoff) >= params.min_earlier_baskets
    if not asked.any():
        raise UsageError(
            f"no basket of the {params.weeks} weeks before {as_of:%Y-%m-%d} has min_items == "
            f"{params.min_items} and min_earlier_baskets == {params.min_earlier_baskets}; load more history "
            "or lower them (KAIROS_MIN_BASKET_ITEMS, KAIROS_MIN_EARLIER_BASKETS)."
        )
    split = np.where(weeks_back > params.test_weeks, SPLITS[1], SPLITS[2])
    split = np.where(weeks_back > params.test_weeks + params.validation_weeks, SPLITS[0], split)
    weeks = _week_starts(monday[asked], day[asked], cutoff[asked])
    drawn = _drawn(split[asked], params)
    return queries_of_baskets(log, first[asked][drawn], split[asked][drawn], weeks[drawn])


def _drawn(split: NDArray[np.str_], params: QueryParams) -> Longs:
    """Positions of the baskets to ask, ascending: all of a split, or an even draw of as many as may be."""
    rng = np.random.default_rng(params.seed)
    chosen = []
    for name in SPLITS:
        rows = np.flatnonzero(split == name)
        most = params.most_train if name == SPLITS[0] else params.most_judged
        chosen.append(rows if len(rows) <= most else rng.choice(rows, most, replace=False))
    return np.sort(np.concatenate(chosen))


def queries_of_baskets(
    log: InteractionLog,
    rows: Longs,
    split: NDArray[np.str_],
    fit: Longs,
    relevance: Floats | None = None,
) -> QuerySet:
    """The queries of these baskets and what each holds.

    Args:
        log: Interactions of eligible items.
        rows: Position of each asking basket's first row; that row's day, scene and daypart are the query's.
        split: Of each basket.
        fit: UTC seconds; what models that serve the basket may know ends there.
        relevance: Of each row of the log, 0 for what is no target; every row's weight when None.
    """
    order = np.lexsort((np.arange(len(rows)), log.user[rows], log.local_day[rows]))
    rows, split, fit = rows[order], split[order], fit[order]
    relevance = log.weight if relevance is None else relevance
    query_of_basket = np.full(int(log.basket.max(initial=-1)) + 1, -1, dtype=np.int64)
    query_of_basket[log.basket[rows]] = np.arange(len(rows))
    query = query_of_basket[log.basket]
    kept = np.flatnonzero((query >= 0) & (relevance > 0))
    kept = kept[np.lexsort((log.item[kept], query[kept]))]
    queries = pd.DataFrame(
        {
            "query_id": np.arange(len(rows), dtype=np.int64),
            "user_id": log.users.decode(log.user[rows]),
            **scene_of(log, log.store[rows], log.scene[rows]),
            "daypart": log.dayparts.decode(log.daypart[rows]),
            "weekday": log.weekday[rows].astype(np.int64),
            "local_day": log.local_day[rows].astype(np.int64),
            "cutoff_epoch_seconds": log.midnight[rows],
            "fit_epoch_seconds": fit,
            "split": split.astype(object),
            "n_items": np.bincount(query[kept], minlength=len(rows)).astype(np.int64),
        }
    )
    truth = pd.DataFrame(
        {
            "query_id": query[kept],
            "item_id": log.items.decode(log.item[kept]),
            "relevance": relevance[kept].astype(np.float64),
        }
    )
    return QuerySet(queries, truth)


def _week_starts(monday: Ints, day: Ints, midnight: Longs) -> Longs:
    """The earliest Monday midnight among the queries of each query's week, UTC seconds, one per query.

    Stepping back from a day's midnight in whole days misses Monday's by the hour of a clock change in
    between; the minimum over a week holds Monday's own queries and so is exact wherever anyone asks then.
    """
    own = midnight - (day - monday).astype(np.int64) * _DAY_SECONDS
    weeks, week = np.unique(monday, return_inverse=True)
    earliest = np.full(len(weeks), np.iinfo(np.int64).max, dtype=np.int64)
    np.minimum.at(earliest, week, own)
    return np.asarray(earliest[week], dtype=np.int64)


def usual_scenes(log: InteractionLog, half_life_days: float = 60.0) -> pd.DataFrame:
    """The scene that each user's baskets favour, one row per user with any: (user_id, *SCENE_PARTS).

    First the favourite store, then the favourite device, network, region and so on of the baskets there.
    Baskets count by recency within the user's own history; ties go to what is first in the alphabet.
    """
    _, first = np.unique(log.basket, return_index=True)
    user, store = log.user[first], log.store[first]
    last = np.zeros(log.n_users, dtype=np.int64)
    np.maximum.at(last, user, log.time[first])
    weight = np.exp2((log.time[first] - last[user]) / (half_life_days * _DAY_SECONDS))
    favourite = _favourites(user, store, weight, log.n_users)
    there = store == favourite[user]
    lasting = log.scenes.assign(**dict.fromkeys(PASSING_PARTS, UNKNOWN))
    alike, _ = pd.factorize(pd.MultiIndex.from_frame(lasting))
    _, example = np.unique(alike, return_index=True)
    of_basket = example[alike].astype(np.int32)[log.scene[first]]  # a scene that differs only in what passes
    scene = _favourites(user[there], of_basket[there], weight[there], log.n_users)
    seen = np.unique(user)
    parts = scene_of(log, favourite[seen], scene[seen]) | {
        part: np.full(len(seen), UNKNOWN, dtype=object) for part in PASSING_PARTS
    }
    return pd.DataFrame({"user_id": log.users.decode(seen), **parts})


def scene_of(log: InteractionLog, store: Ints, scene: Ints) -> dict[str, NDArray[np.object_]]:
    """The parts of scenes given by their codes in the log, as text, in the order of SCENE_PARTS."""
    values = {part: log.scenes[part].to_numpy(dtype=object)[scene] for part in CODED_PARTS}
    values["store_id"] = log.stores.decode(store)
    return {part: values[part] for part in SCENE_PARTS}


def _favourites(user: Ints, value: Ints, weight: NDArray[np.float64], n_users: int) -> Ints:
    """Each user's value with the largest weight, the smallest of equal ones; -1 without any."""
    lowest = int(value.min(initial=0))
    span = int(value.max(initial=0)) - lowest + 1
    pair, position = np.unique(user.astype(np.int64) * span + (value - lowest), return_inverse=True)
    total = np.bincount(position, weights=weight, minlength=len(pair))
    of_user, of_value = pair // span, pair % span + lowest
    order = np.lexsort((of_value, -total, of_user))
    best = order[np.unique(of_user[order], return_index=True)[1]]
    found = np.full(n_users, -1, dtype=np.int32)
    found[of_user[best]] = of_value[best]
    return found


def fit_instant(timezones: Collection[str], plan_date: date, as_of: datetime) -> int:
    """UTC seconds at which the knowledge of the day's retrievers ends: where its week begins first.

    Examples:
        >>> from datetime import UTC
        >>> fit_instant(["UTC", "Asia/Tokyo"], date(1970, 1, 8), datetime(1970, 1, 8, tzinfo=UTC))
        313200
    """
    monday = plan_date - timedelta(days=plan_date.weekday())
    known_until = int(as_of.timestamp())
    return min([known_until, *(int(local_midnight(monday, str(name)).timestamp()) for name in timezones)])


def scoring_queries(opportunities: pd.DataFrame, plan_date: date, as_of: datetime) -> pd.DataFrame:
    """Queries for a day that has not happened, one row per row of `opportunities`, in their order.

    Args:
        opportunities: (user_id, timezone, daypart, *SCENE_PARTS): who may be reached when, with the scene to
            assume, usually `usual_scenes`.
        plan_date: The local date of every opportunity.
        as_of: Knowledge cut-off; no query's cut-off is later.

    Returns:
        QUERY_COLUMNS with split 'score' and n_items 0.

    Raises:
        UsageError: A daypart is unknown.
    """
    unknown = set(opportunities["daypart"]) - set(DAYPARTS)
    if unknown:
        raise UsageError(f"daypart == {min(unknown)!r}, must be one of {', '.join(DAYPARTS)}.")
    known_until = int(as_of.timestamp())
    zones = {str(name) for name in opportunities["timezone"].unique()}
    midnights = {name: int(local_midnight(plan_date, name).timestamp()) for name in zones}
    n = len(opportunities)
    return pd.DataFrame(
        {
            "query_id": np.arange(n, dtype=np.int64),
            "user_id": opportunities["user_id"].to_numpy(dtype=object),
            **{part: opportunities[part].to_numpy(dtype=object) for part in SCENE_PARTS},
            "daypart": opportunities["daypart"].to_numpy(dtype=object),
            "weekday": np.full(n, plan_date.weekday(), dtype=np.int64),
            "local_day": np.full(n, (plan_date - _EPOCH).days, dtype=np.int64),
            "cutoff_epoch_seconds": np.minimum(
                opportunities["timezone"].map(midnights).to_numpy(dtype=np.int64), known_until
            ),
            "fit_epoch_seconds": np.full(n, fit_instant(zones, plan_date, as_of), dtype=np.int64),
            "split": np.full(n, "score", dtype=object),
            "n_items": np.zeros(n, dtype=np.int64),
        },
        columns=list(QUERY_COLUMNS),
    )
