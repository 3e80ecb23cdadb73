"""Queries and the histories behind them, as integer columns of one interaction log."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from models.vocabulary import Floats, Ints, Longs


@dataclass(frozen=True)
class QueryCodes:
    """Queries as integer columns of one log, one entry per query; -1 marks a value the log has never seen.

    Attributes:
        user, store, daypart: Codes in the log's vocabularies.
        weekday: 0 is Monday.
        cutoff: UTC seconds; the query knows nothing at or after it.
        fit: UTC seconds; models that serve the query know nothing at or after it.
        scene: Queries x CODED_PARTS of `models.scene_codes`, codes as in `InteractionLog.part_codes`; None
            where nobody asks in a scene.
    """

    user: Ints
    store: Ints
    daypart: Ints
    weekday: Ints
    cutoff: Longs
    fit: Longs
    scene: Ints | None = None

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: Longs) -> QueryCodes:
        """The queries at these positions."""
        return QueryCodes(
            self.user[rows],
            self.store[rows],
            self.daypart[rows],
            self.weekday[rows],
            self.cutoff[rows],
            self.fit[rows],
            None if self.scene is None else self.scene[rows],
        )


@dataclass(frozen=True)
class Histories:
    """What each query's user did strictly before the query's cut-off, one entry per query and interaction.

    Entries are ordered by query, then time.

    Attributes:
        query: Position of the query.
        row: Position of the interaction in the log.
        item: Item code.
        weight: What the interaction's event type is worth.
        age_days: Days from the interaction to the cut-off, > 0.
        basket_age: Baskets between: 0 for the user's last basket before the cut-off.
        n_baskets: Baskets before the cut-off, one entry per query.
        n_items: Columns of the matrices made of these entries.
        on_promotion: Whether each was made on promotion, as in the log.
        relative_price: What was paid over the item's usual price, as in the log.
        store, scene, daypart, weekday: Where and when, codes as in the log; None where nobody asks.
    """

    query: Ints
    row: Longs
    item: Ints
    weight: Floats
    age_days: Floats
    basket_age: Ints
    n_baskets: Ints
    n_items: int
    on_promotion: Floats | None = None
    relative_price: Floats | None = None
    store: Ints | None = None
    scene: Ints | None = None
    daypart: Ints | None = None
    weekday: Ints | None = None

    def matrix(self, values: Floats) -> csr_matrix:
        """A queries x items matrix that sums `values`, one per entry; sorted, no stored zeros.

        Examples:
            >>> codes, ones = np.array([0, 0], dtype=np.int32), np.ones(2, dtype=np.float32)
            >>> past = Histories(codes, codes.astype(np.int64), codes + 1, ones, ones, codes, codes[:1], 3)
            >>> past.matrix(ones).toarray().tolist()
            [[0.0, 2.0, 0.0]]
        """
        shape = (len(self.n_baskets), self.n_items)
        matrix = csr_matrix((values, (self.query, self.item)), shape=shape, dtype=np.float32)
        matrix.eliminate_zeros()
        matrix.sort_indices()
        return matrix
