"""What the user buys on occasions like this one: how many of the baskets alike held the item."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from features.calendar import DAYPARTS
from features.errors import UsageError
from features.scenes import UNKNOWN
from models.candidates.retriever import decay
from models.histories import Histories, QueryCodes
from models.interaction_log import InteractionLog
from models.vocabulary import Floats, Ints

Likeness = Literal["any", "store", "store_daypart", "alike"]
_SATURDAY = 5
_OTHER_STORE = 0.3
_OTHER_PART = 0.6
_OTHER_HALF_OF_WEEK = 0.8
_DAYPARTS_APART = np.array([1.0, 0.7, 0.5, 0.4], dtype=np.float32)  # neighbouring dayparts are much alike


@dataclass(frozen=True)
class Occasion:
    """Share of the user's earlier baskets that held the item, each counting by how like the query it is.

    share(i) = (sum over baskets with i of w + shrinkage * share of any basket(i)) / (sum of w + shrinkage),
    with w a basket's likeness times its age's weight. Baskets are alike in

    - any: every basket; the share is shrunk to 0,
    - store: the same store; where the query names none that is known, every basket,
    - store_daypart: the same store in the same daypart,
    - alike: all of it by degrees: another store, another part of the scene, a daypart further away or the
      other half of the week counts a basket for less.

    An opinion for the ranker rather than a way to find items: who buys what where depends on the trip.

    Attributes:
        likeness: Which baskets are alike.
        half_life_days: Forgetting, where only few baskets are alike; must be > 0.
        any_half_life_days: Forgetting where all are counted; must be > 0.
        shrinkage: Baskets alike that outweigh all others; must be > 0.

    Source:
        A Nadaraya-Watson (1964) estimate of the share with a product kernel over context, recency among it;
        contextual pre-filtering by degrees: Adomavicius and Tuzhilin (2011), Context-aware recommender
        systems.
    """

    likeness: Likeness = "alike"
    half_life_days: float = 180.0
    any_half_life_days: float = 60.0
    shrinkage: float = 2.0

    def __post_init__(self) -> None:
        for field in ("half_life_days", "any_half_life_days", "shrinkage"):
            if not getattr(self, field) > 0:
                raise UsageError(f"{field} == {getattr(self, field)}, must be > 0.")

    @property
    def name(self) -> str:
        """occasion_alike and so on."""
        return f"occasion_{self.likeness}"

    def fit(self, log: InteractionLog) -> FittedOccasion:
        """Only what codes mean: there is nothing to learn from others.

        Examples:
            >>> Occasion("store").name
            'occasion_store'
        """
        order = {name: place for place, name in enumerate(DAYPARTS)}
        place = np.array([order.get(str(name), -1) for name in log.dayparts.values], dtype=np.int32)
        unknown = int(log.stores.codes(pd.Series([UNKNOWN], dtype=object))[0])
        return FittedOccasion(self, np.append(place, np.int32(-1)), unknown, log.part_codes)


@dataclass(frozen=True)
class FittedOccasion:
    """What the codes of one log mean.

    Attributes:
        params: How baskets are likened.
        daypart_place: Place in the day of each daypart code, -1 unknown; the last entry is that of code -1.
        unknown_store: Code of the store that nobody told; -1 where all did.
        part_codes: By part of the scene, its code in each scene; -1 where it is not told.
    """

    params: Occasion
    daypart_place: Ints
    unknown_store: int
    part_codes: Mapping[str, Ints]

    def scores(self, queries: QueryCodes, histories: Histories) -> csr_matrix:
        """The shares, queries x items; nothing for what the user never bought."""
        params, n_items, n = self.params, histories.n_items, len(queries)
        age = np.maximum(histories.age_days, 0)
        key = histories.query.astype(np.int64) * n_items + histories.item
        pair, place = np.unique(key, return_inverse=True)
        query, item = (pair // n_items).astype(np.int32), (pair % n_items).astype(np.int32)
        baskets = basket_rows(histories)

        def share(weight: Floats, prior: NDArray[np.float64] | float) -> NDArray[np.float64]:
            held = np.bincount(place, weights=weight * histories.weight, minlength=len(pair))
            there = np.bincount(histories.query[baskets], weights=weight[baskets], minlength=n)
            return np.asarray((held + params.shrinkage * prior) / (there[query] + params.shrinkage))

        # As little as half an event says something of any basket; of baskets alike, the prior says more.
        any_weight = decay(age, params.any_half_life_days)
        found = share(any_weight, 0.0)
        if params.likeness == "alike":
            found = share(any_weight * self.likeness(queries, histories), found)
        elif params.likeness != "any":
            same = self._same_store(queries, histories)
            if params.likeness == "store_daypart":
                same &= histories.daypart == queries.daypart[histories.query]
            found = share(decay(age, params.half_life_days) * same, found)
        return csr_matrix((found.astype(np.float32), (query, item)), shape=(n, n_items))

    def likeness(self, queries: QueryCodes, histories: Histories) -> Floats:
        """How like the query each entry's basket is in place and time, in (0, 1]."""
        asked = histories.query
        like = np.where(self._same_store(queries, histories), 1.0, _OTHER_STORE).astype(np.float32)
        if queries.scene is not None and histories.scene is not None:
            for position, codes in enumerate(self.part_codes.values()):
                wanted, past = queries.scene[asked, position], codes[histories.scene]
                like[(wanted >= 0) & (past >= 0) & (wanted != past)] *= np.float32(_OTHER_PART)
        if histories.daypart is not None:
            wanted = self.daypart_place[queries.daypart][asked]
            past = self.daypart_place[histories.daypart]
            apart = np.abs(wanted - past)
            apart = np.minimum(apart, len(DAYPARTS) - apart)
            told = (wanted >= 0) & (past >= 0)
            like *= _DAYPARTS_APART[np.where(told, apart, 0)]
        if histories.weekday is not None:
            other = (histories.weekday >= _SATURDAY) != (queries.weekday[asked] >= _SATURDAY)
            like[other & (queries.weekday[asked] >= 0)] *= np.float32(_OTHER_HALF_OF_WEEK)
        return like

    def _same_store(self, queries: QueryCodes, histories: Histories) -> NDArray[np.bool_]:
        """Whether each entry is of the query's store; all are where it names none that is known."""
        asked = queries.store[histories.query]
        if histories.store is None:
            return np.ones(len(asked), dtype=np.bool_)
        return np.asarray((asked < 0) | (asked == self.unknown_store) | (histories.store == asked))


def basket_rows(histories: Histories) -> NDArray[np.intp]:
    """The position of one entry of each query's every basket."""
    width = np.int64(histories.n_baskets.max(initial=0)) + 1
    key = histories.query.astype(np.int64) * width + histories.basket_age
    _, rows = np.unique(key, return_index=True)
    return np.asarray(rows, dtype=np.intp)
