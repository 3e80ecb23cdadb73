"""What is due again: how likely each item is bought anew, from how often and how long ago it was bought."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from features.errors import UsageError
from models.candidates.retriever import decay
from models.histories import Histories, QueryCodes
from models.interaction_log import InteractionLog
from models.vocabulary import Floats, Ints

Doubles = NDArray[np.float64]
_ROUNDS = 8  # Newton steps of the logistic regression; four already agree to three digits
N_INPUTS = 10
_RIDGE = 1.0  # keeps a column that never varies from breaking the steps


@dataclass(frozen=True)
class Repurchase:
    """P(the item is in the next basket) of every item that the user has bought, by a discrete-time hazard.

    An item's interval is the days at risk per repeat over all users; a user's own interval of it is shrunk
    to that. The logit is linear in counts, ages and how due the item is (age over interval, with its square
    and its excess over one), learnt from what the newest baskets of the log held.

    Attributes:
        half_life_days: Forgetting of the recent count among the inputs; must be > 0.
        shrinkage: Repeats of the user that outweigh the item's interval, and of the item the log's; > 0.
        recent_baskets: Newest baskets of each user that teach, >= 1.
        max_lessons: At most this many baskets teach, evenly spread over users; >= 1.

    Source:
        Bhagat et al. (2018), Buy it again: modeling repeat purchase recommendations, KDD; the regression is
        Cox's (1972) discrete logistic model.
    """

    half_life_days: float = 30.0
    shrinkage: float = 2.0
    recent_baskets: int = 4
    max_lessons: int = 8_000
    name: str = "repurchase"

    def __post_init__(self) -> None:
        for field in ("half_life_days", "shrinkage", "recent_baskets", "max_lessons"):
            if not getattr(self, field) > 0:
                raise UsageError(f"{field} == {getattr(self, field)}, must be > 0.")

    def fit(self, log: InteractionLog) -> FittedRepurchase:
        """Intervals and weights as of `log.known_until`."""
        interval = self._item_intervals(log)
        lessons, basket = self._lessons(log)
        histories = log.expand(lessons)
        pairs = Pairs.of(histories, interval, self)
        if not len(pairs.query):
            return FittedRepurchase(self, interval, np.zeros(N_INPUTS + 1))
        taught = np.isin(log.basket, basket)
        held = log.basket[taught].astype(np.int64) * log.n_items + log.item[taught]
        bought = np.isin(basket[pairs.query].astype(np.int64) * log.n_items + pairs.item, held)
        return FittedRepurchase(self, interval, _logistic_weights(pairs.inputs, bought))

    def _item_intervals(self, log: InteractionLog) -> Floats:
        """Days at risk per repeat purchase of each item, shrunk to those of all items."""
        if not len(log):
            return np.ones(log.n_items, dtype=np.float32)
        order = np.lexsort((log.time, log.user.astype(np.int64) * log.n_items + log.item))
        pair = log.user[order].astype(np.int64) * log.n_items + log.item[order]
        first = np.append(True, pair[1:] != pair[:-1])
        opening = order[first]
        at_risk = np.bincount(log.item[opening], weights=log.age_days[opening], minlength=log.n_items)
        repeats = np.bincount(log.item[order[~first]], minlength=log.n_items)
        usual = at_risk.sum() / max(repeats.sum(), 1)
        return np.asarray((at_risk + self.shrinkage * usual) / (repeats + self.shrinkage), dtype=np.float32)

    def _lessons(self, log: InteractionLog) -> tuple[QueryCodes, Ints]:
        """The newest baskets of each user as queries at their days' midnights, and the baskets' codes."""
        opens = np.unique(log.basket, return_index=True)[1]
        baskets = np.bincount(log.user[opens], minlength=log.n_users)
        newest = log.basket_ordinal[opens] >= baskets[log.user[opens]] - self.recent_baskets
        rows = opens[newest & (log.basket_ordinal[opens] > 0)]
        rows = rows[np.argsort(log.user[rows], kind="stable")]
        rows = rows[:: -(-len(rows) // self.max_lessons) or 1]
        nowhere = np.full(len(rows), -1, dtype=np.int32)
        cutoff = np.minimum(log.midnight[rows], log.time[rows])
        return (
            QueryCodes(log.user[rows], nowhere, nowhere, log.weekday[rows], cutoff, cutoff),
            log.basket[rows],
        )


@dataclass(frozen=True)
class Pairs:
    """Every item of each query's history once.

    Attributes:
        query, item: The pair.
        inputs: What the hazard is linear in, pairs x inputs.
    """

    query: Ints
    item: Ints
    inputs: Doubles

    @classmethod
    def of(cls, histories: Histories, interval: Floats, params: Repurchase) -> Pairs:
        """The pairs of these histories, ordered by query, then item."""
        if not len(histories.query):
            return cls(histories.query, histories.item, np.zeros((0, N_INPUTS)))
        key = histories.query.astype(np.int64) * histories.n_items + histories.item
        # Entries of a query stand in the order of time, so that a stable sort leaves a pair's oldest first.
        order = np.argsort(key, kind="stable")
        key = key[order]
        starts = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
        ends = np.append(starts[1:], len(key)) - 1
        query, item = histories.query[order[starts]], histories.item[order[starts]]
        age = np.maximum(histories.age_days[order], 0.0).astype(np.float64)
        n = (ends - starts + 1).astype(np.float64)
        last, span = age[ends], age[starts] - age[ends]
        recent = decay(histories.age_days, params.half_life_days)[order].astype(np.float64)
        recent = np.add.reduceat(recent, starts)
        usual = interval[item].astype(np.float64)
        own = (span + params.shrinkage * usual) / (n - 1 + params.shrinkage)
        due = np.log((last + 1.0) / own)
        baskets = np.maximum(histories.n_baskets[query], 1).astype(np.float64)
        since = histories.basket_age[order][ends].astype(np.float64)
        inputs = np.column_stack(
            [
                np.log(n),
                np.log(n / baskets),
                np.log(recent + 0.01),
                np.log1p(since),
                np.log(last + 1.0),
                np.log(own),
                np.log(usual),
                due**2,
                np.maximum(due, 0.0),
                n == 1,
            ]
        )
        return cls(query, item, inputs)


@dataclass(frozen=True)
class FittedRepurchase:
    """The interval of each item in days, and the weights of the hazard, the intercept last."""

    params: Repurchase
    interval: Floats
    weights: Doubles

    def scores(self, queries: QueryCodes, histories: Histories) -> csr_matrix:
        """P(the item is in the next basket) of the items the user has bought, queries x items.

        Examples:
            >>> Repurchase(half_life_days=14).half_life_days
            14
        """
        pairs = Pairs.of(histories, self.interval, self.params)
        logit = pairs.inputs @ self.weights[:-1] + self.weights[-1]
        chance = np.maximum(1 / (1 + np.exp(-logit)), 1e-9).astype(np.float32)
        shape = (len(histories.n_baskets), histories.n_items)
        return csr_matrix((chance, (pairs.query, pairs.item)), shape=shape)


def _logistic_weights(inputs: Doubles, label: NDArray[np.bool_]) -> Doubles:
    """The weights of a ridge logistic regression by Newton's method, the intercept last.

    Examples:
        >>> weights = _logistic_weights(np.array([[0.0], [1.0]] * 500), np.array([False, True] * 500))
        >>> bool(weights[0] > 2)
        True
    """
    mean = inputs.mean(axis=0)
    spread = np.where(inputs.std(axis=0) > 1e-9, inputs.std(axis=0), 1.0)
    rows = np.column_stack([(inputs - mean) / spread, np.ones(len(inputs))])
    weights = np.zeros(rows.shape[1])
    share = np.clip(label.mean(), 1e-6, 1 - 1e-6)
    weights[-1] = np.log(share / (1 - share))
    penalty = _RIDGE * np.eye(rows.shape[1])
    penalty[-1, -1] = 0.0
    for _ in range(_ROUNDS):
        chance = 1 / (1 + np.exp(-np.clip(rows @ weights, -30, 30)))
        slope = rows.T @ (label - chance) - penalty @ weights
        curvature = (rows * np.maximum(chance * (1 - chance), 1e-9)[:, None]).T @ rows + penalty
        curvature[-1, -1] += 1e-9
        weights = weights + np.clip(np.linalg.solve(curvature, slope), -3, 3)
    scaled = weights[:-1] / spread
    return np.append(scaled, weights[-1] - scaled @ mean)
