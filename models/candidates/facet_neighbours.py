"""Users alike in when they come, what kinds of things they buy and how often: what such people buy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix, diags, hstack

from features.errors import UsageError
from models.candidates.neighbours import mean_of, nearest_users, spread_sample
from models.candidates.retriever import decay, full_rows
from models.histories import Histories, QueryCodes
from models.interaction_log import InteractionLog
from models.vocabulary import Floats, Ints

_PACES = np.log(np.array([2.0, 4.0, 8.0, 16.0, 32.0]))  # days between baskets that frequency is told in


@dataclass(frozen=True)
class FacetNeighbours:
    """Similarity-weighted purchases of the users nearest by facets.

    similarity(u, v) = sum over facets of weight * cosine(u, v in the facet). The facets are the time of week
    (daypart and weekday of baskets), categories (purchases, rare ones counting more) and frequency (how near
    the days between baskets are to 2, 4, 8, 16 and 32). Items do not matter: two who buy none in common may
    be alike, so this finds what item-based neighbours cannot.

    Attributes:
        time_weight, category_weight, frequency_weight: Must be >= 0, and one of them > 0.
        neighbours: How many are asked.
        half_life_days: Forgetting in profiles and purchases; must be > 0.
        power: Exponent on counts; below 1 it damps habits so that variety decides.
        pool_users: At most this many users serve as neighbours, evenly spread.

    Source:
        Adomavicius and Kwon (2007), New recommendation techniques for multicriteria rating systems.
    """

    time_weight: float = 0.1
    category_weight: float = 0.8
    frequency_weight: float = 0.1
    neighbours: int = 100
    half_life_days: float = 90.0
    power: float = 0.5
    pool_users: int = 20_000
    name: str = "facet_neighbours"

    def __post_init__(self) -> None:
        weights = (self.time_weight, self.category_weight, self.frequency_weight)
        if min(weights) < 0 or not sum(weights) > 0:
            raise UsageError(f"facet weights == {weights}, must be >= 0, and one of them > 0.")
        for field in ("neighbours", "half_life_days", "power", "pool_users"):
            if not getattr(self, field) > 0:
                raise UsageError(f"{field} == {getattr(self, field)}, must be > 0.")

    def fit(self, log: InteractionLog) -> FittedFacetNeighbours:
        """Profiles and purchases of possible neighbours as of `log.known_until`."""
        everyone = log.everyone()
        n_categories = len(log.categories)
        category = np.where(log.item_category < 0, n_categories, log.item_category).astype(np.int32)
        cells = (np.ones(len(log), dtype=np.float32), (log.user, category[log.item]))
        buyers = csr_matrix(cells, shape=(log.n_users, n_categories + 1)).getnnz(axis=0)
        rarity = np.log((1 + log.n_users) / (1 + buyers)).astype(np.float32)
        times = self._times_of_week(log)
        profiles = self.profiles(everyone, times, category, rarity)
        pool = spread_sample(log.n_users, self.pool_users)
        bought = everyone.matrix(everyone.weight * decay(everyone.age_days, self.half_life_days))[pool]
        bought.data **= np.float32(self.power)
        return FittedFacetNeighbours(self, pool, profiles[pool], _unit(bought), times, category, rarity)

    def _times_of_week(self, log: InteractionLog) -> csr_matrix:
        """Decayed baskets of each user by weekday and daypart, beside those by daypart alone."""
        opens = np.unique(log.basket, return_index=True)[1]
        weight = decay(log.age_days[opens], self.half_life_days)
        user, daypart, weekday = log.user[opens], log.daypart[opens], log.weekday[opens]
        width = len(log.dayparts)
        exact = csr_matrix((weight, (user, weekday * width + daypart)), shape=(log.n_users, 7 * width))
        rough = csr_matrix((weight, (user, daypart)), shape=(log.n_users, width))
        return hstack([exact, rough], format="csr").astype(np.float32)

    def profiles(self, histories: Histories, times: csr_matrix, category: Ints, rarity: Floats) -> csr_matrix:
        """One profile a query of the histories: facets side by side, each of length sqrt(weight).

        Args:
            histories: What categories and frequency are read from.
            times: Time of week, one row a query.
            category: Category code, one an item.
            rarity: Weight of each category.
        """
        n = len(histories.n_baskets)
        weight = histories.weight * decay(histories.age_days, self.half_life_days)
        cells = (weight, (histories.query, category[histories.item]))
        categories = csr_matrix(cells, shape=(n, len(rarity)), dtype=np.float32)
        categories.data **= np.float32(self.power)
        facets = (
            (self.time_weight, times),
            (self.category_weight, categories @ diags(rarity)),
            (self.frequency_weight, _paces(histories)),
        )
        return hstack([_unit(facet) * np.sqrt(part) for part, facet in facets], format="csr").astype(
            np.float32
        )


@dataclass(frozen=True)
class FittedFacetNeighbours:
    """Profiles and purchases of the users of `pool`; times of week of all users."""

    params: FacetNeighbours
    pool: Ints
    profiles: csr_matrix
    bought: csr_matrix
    times: csr_matrix
    category: Ints
    rarity: Floats

    def scores(self, queries: QueryCodes, histories: Histories) -> csr_matrix:
        """Similarity-weighted mean of what the neighbours buy, queries x items.

        Examples:
            >>> FacetNeighbours(neighbours=7).neighbours
            7
        """
        known = np.flatnonzero(queries.user >= 0)
        ones = np.ones(len(known), dtype=np.float32)
        pick = csr_matrix((ones, (known, queries.user[known])), shape=(len(queries), self.times.shape[0]))
        asking = self.params.profiles(histories, pick @ self.times, self.category, self.rarity)
        near = nearest_users(asking, queries.user, self.profiles, self.pool, self.params.neighbours, "cosine")
        return full_rows(mean_of(near, self.bought))


def _paces(histories: Histories) -> csr_matrix:
    """How near each query's days between baskets are to each pace; empty for fewer than two baskets."""
    n = histories.n_baskets.astype(np.float64)
    oldest = np.zeros(len(n))
    np.maximum.at(oldest, histories.query, histories.age_days)
    several = n >= 2
    pace = np.log(np.maximum(oldest[several] / n[several], 0.5))
    near = np.zeros((len(n), len(_PACES)), dtype=np.float32)
    near[several] = np.exp(-(((pace[:, None] - _PACES) / np.log(2)) ** 2))
    return csr_matrix(near)


def _unit(vectors: csr_matrix) -> csr_matrix:
    """Each row at length one; empty rows stay empty."""
    length = np.sqrt(np.asarray(vectors.multiply(vectors).sum(axis=1), dtype=np.float32).ravel())
    return (diags(1 / np.where(length > 0, length, 1)) @ vectors).tocsr().astype(np.float32)
