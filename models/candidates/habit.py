"""What the user takes again at such a moment: habits, moved by how well each fits the hour or the scene."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from features.errors import UsageError
from features.scenes import UNKNOWN
from models.candidates.retriever import decay, values_at
from models.histories import Histories, QueryCodes
from models.interaction_log import InteractionLog
from models.scene_codes import CODED_PARTS
from models.vocabulary import Floats, Ints

Fit = Literal["time", "scene"]


@dataclass(frozen=True)
class Habit:
    """The user's decayed frequency of each item, times how much more it is taken where the query asks.

    score(i) = n(u, i) * product over parts c of the moment of P(c | u, i) / P(c | u)
    P(c | u, i) = (n(u, i, c) + own * P(c | u) * lift(i, c)) / (n(u, i) + own)
    lift(i, c) = (n(i, c) / P(c) + everyones) / (n(i) + everyones)

    The parts are daypart and weekday for 'time'; store and the parts of the scene for 'scene'. A part that
    the query does not tell moves nothing.

    Attributes:
        fit_to: What a habit must fit.
        half_life_days: Forgetting of the user's own habits; must be > 0.
        own: Times the user must have taken an item before their own rhythm counts as much as everybody's.
        everyones: The same for everybody's rhythm of an item beside none.

    Source:
        Naive Bayes over the parts, each a Dirichlet mean within a Dirichlet mean; MacKay and Peto (1995).
    """

    fit_to: Fit = "time"
    half_life_days: float = 60.0
    own: float = 3.0
    everyones: float = 30.0

    def __post_init__(self) -> None:
        for field in ("half_life_days", "own", "everyones"):
            if not getattr(self, field) > 0:
                raise UsageError(f"{field} == {getattr(self, field)}, must be > 0.")

    @property
    def name(self) -> str:
        """habit_time or habit_scene."""
        return f"habit_{self.fit_to}"

    def fit(self, log: InteractionLog) -> FittedHabit:
        """Everybody's rhythm of each item as of `log.known_until`.

        Examples:
            >>> Habit("scene").name
            'habit_scene'
        """
        parts = _parts_of_log(log, self.fit_to)
        sold = np.bincount(log.item, weights=log.weight, minlength=log.n_items).astype(np.float32)
        everywhere: dict[str, csr_matrix] = {}
        for name, value in parts.items():
            told = value >= 0
            if len(np.unique(value[told])) > 1:  # one value is everyone: it tells nothing
                shape = (log.n_items, int(value.max()) + 1)
                cells = (log.weight[told], (log.item[told], value[told]))
                everywhere[name] = csr_matrix(cells, shape=shape, dtype=np.float32)
        return FittedHabit(self, log, everywhere, sold)


@dataclass(frozen=True)
class FittedHabit:
    """Everybody's rhythms.

    Attributes:
        params: How they were counted.
        log: What was known.
        counts: By part, items x values.
        sold: Of each item, in all.
    """

    params: Habit
    log: InteractionLog
    counts: Mapping[str, csr_matrix]
    sold: Floats

    def scores(self, queries: QueryCodes, histories: Histories) -> csr_matrix:
        """The fitting habits, queries x items; nothing for what the user never took."""
        params, n_items = self.params, histories.n_items
        weight = histories.weight * decay(np.maximum(histories.age_days, 0), params.half_life_days)
        pair, place = np.unique(
            histories.query.astype(np.int64) * n_items + histories.item, return_inverse=True
        )
        query, item = (pair // n_items).astype(np.int32), (pair % n_items).astype(np.int32)
        often = np.bincount(place, weights=weight, minlength=len(pair)).astype(np.float64)  # whole if empty
        in_all = np.bincount(histories.query, weights=weight, minlength=len(queries))
        score = often.copy()
        for name, counts in self.counts.items():
            asked = _asked(name, queries, self.log)
            past = _in_history(name, histories, self.log)
            fits = (past >= 0) & (past == asked[histories.query])
            here = np.bincount(place, weights=weight * fits, minlength=len(pair))
            of_user = np.bincount(histories.query, weights=weight * fits, minlength=len(queries))
            known = (asked >= 0) & (asked < counts.shape[1])
            value = np.where(known, asked, 0)
            total = np.asarray(counts.sum(axis=0), dtype=np.float64).ravel()
            share = total[value] / max(total.sum(), 1e-12)
            known &= share > 0
            share = np.where(known, share, 1.0)
            own_share = (of_user + params.own * share) / (in_all + params.own)
            seen = values_at(counts, item, value[query])
            lift = (seen / share[query] + params.everyones) / (self.sold[item] + params.everyones)
            expected = np.minimum(own_share[query] * lift, 1.0)
            chance = (here + params.own * expected) / (often + params.own)
            score *= np.where(known[query], chance / own_share[query], 1.0)
        return csr_matrix((score, (query, item)), shape=(len(queries), n_items), dtype=np.float32)


def _parts_of_log(log: InteractionLog, fit_to: Fit) -> dict[str, Ints]:
    """The code of each part in every row of the log, -1 where it is not told."""
    if fit_to == "time":
        return {"daypart": log.daypart, "weekday": log.weekday}
    scenes = {part: codes[log.scene] for part, codes in log.part_codes.items()}
    return {"store_id": _told(log.store, log), **scenes}


def _told(store: Ints, log: InteractionLog) -> Ints:
    """The stores' codes, -1 also for the unknown one."""
    unknown = log.stores.codes(pd.Series([UNKNOWN], dtype=object))[0]
    return np.where(store == unknown, -1, store).astype(np.int32)


def _in_history(name: str, histories: Histories, log: InteractionLog) -> Ints:
    """The part's code in every entry of the histories, -1 where it is not told."""
    if name == "daypart" and histories.daypart is not None:
        return histories.daypart
    if name == "weekday" and histories.weekday is not None:
        return histories.weekday
    if name == "store_id" and histories.store is not None:
        return _told(histories.store, log)
    if name in CODED_PARTS and histories.scene is not None:
        return log.part_codes[name][histories.scene]
    return np.full(len(histories.query), -1, dtype=np.int32)


def _asked(name: str, queries: QueryCodes, log: InteractionLog) -> Ints:
    """The part's code in every query, -1 where it is not told."""
    if name == "daypart":
        return queries.daypart
    if name == "weekday":
        return queries.weekday
    if name == "store_id":
        return _told(queries.store, log)
    if queries.scene is None:
        return np.full(len(queries), -1, dtype=np.int32)
    return np.asarray(queries.scene[:, CODED_PARTS.index(name)], dtype=np.int32)
