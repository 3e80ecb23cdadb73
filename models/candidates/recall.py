"""How much of what was bought each retriever finds, and what only it finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.candidates.blend import Source
from models.candidates.retriever import block_rows, top_items, without
from models.interaction_log import InteractionLog
from models.queries import QuerySet
from models.vocabulary import Ints, Longs

UNION = "union"
DEPTHS = (100, 200)
_NEVER = np.iinfo(np.int32).max


@dataclass(frozen=True)
class Finds:
    """Where each retriever ranks each target, targets x sources; `_NEVER` where it does not find it.

    Attributes:
        any_rank: Among all items.
        new_rank: Among items that the user had not bought before the cut-off.
        is_new: Whether the target is one of those, one a target.
        sizes: Items in the union of the budgets, one a query.
    """

    any_rank: Ints
    new_rank: Ints
    is_new: NDArray[np.bool_]
    sizes: Longs


def recall_table(
    log: InteractionLog, asked: QuerySet, sources: Sequence[Source], depths: Sequence[int] = DEPTHS
) -> pd.DataFrame:
    """One row a retriever and a last one for their union; shares of targets, in [0, 1].

    A target is an item of a query's truth. `recall@k` is the share of targets among a retriever's k best
    items; `new_recall@k` that of the targets which the user had not bought before, among its k best such
    items. `found` is the share within the source's budget, by its own rule of what is new; `unique` the
    share that no other source finds within its own. The union's `recall@k` is not defined: it has no order.

    Args:
        log: Interactions of eligible items, as late as is known: each query sees only its own past.
        asked: Queries and what was bought then.
        sources: Retrievers and their budgets.
        depths: The k of the recalls.

    Returns:
        (retriever, budget, recall@k..., new_recall@k..., found, found_new, unique), where `found_new` is
        `found` over new targets only; the union's budget is the mean number of its items a query.
    """
    finds = find_targets(log, asked, sources, max(depths))
    is_new = finds.is_new
    within = np.column_stack(
        [
            (finds.new_rank if source.only_new else finds.any_rank)[:, place] < source.budget
            for place, source in enumerate(sources)
        ]
    )
    finders = within.sum(axis=1)
    rows: list[dict[str, object]] = []
    for place, source in enumerate(sources):
        row: dict[str, object] = {"retriever": source.retriever.name, "budget": float(source.budget)}
        row |= {f"recall@{k}": _share(finds.any_rank[:, place] < k) for k in depths}
        row |= {f"new_recall@{k}": _share(finds.new_rank[is_new, place] < k) for k in depths}
        row |= {"found": _share(within[:, place]), "found_new": _share(within[is_new, place])}
        rows.append(row | {"unique": _share(within[:, place] & (finders == 1))})
    union: dict[str, object] = {"retriever": UNION, "budget": float(finds.sizes.mean())}
    union |= {"found": _share(finders > 0), "found_new": _share(finders[is_new] > 0)}
    return pd.DataFrame([*rows, union])


def find_targets(log: InteractionLog, asked: QuerySet, sources: Sequence[Source], depth: int) -> Finds:
    """The ranks of every target, in the order of the truth; those beyond depth and budget are never found.

    Args:
        log: Interactions of eligible items.
        asked: Queries and what was bought then.
        sources: Retrievers, refitted at every fit instant on what was known then, and their budgets.
        depth: Ranks looked at, at least.
    """
    codes = log.encode(asked.queries)
    width = np.int64(log.n_items)
    target_query = pd.Index(asked.queries["query_id"]).get_indexer(pd.Index(asked.truth["query_id"]))
    target = target_query.astype(np.int64) * width + log.items.codes(asked.truth["item_id"])
    any_rank = np.full((len(target), len(sources)), _NEVER, dtype=np.int32)
    new_rank = any_rank.copy()
    is_new = np.ones(len(target), dtype=np.bool_)
    sizes = np.zeros(len(codes), dtype=np.int64)
    step = block_rows(log.n_items)
    for fit in np.unique(codes.fit):
        known = log.before(int(fit))
        fitted = [source.retriever.fit(known) for source in sources]
        rows = np.flatnonzero(codes.fit == fit)
        for begin in range(0, len(rows), step):
            part = rows[begin : begin + step]
            queries = codes.take(part)
            histories = log.expand(queries)
            bought = part[histories.query] * width + histories.item
            is_new &= ~np.isin(target, bought)
            chosen = []
            for place, (source, one) in enumerate(zip(sources, fitted, strict=True)):
                matrix = one.scores(queries, histories)
                news = without(matrix, histories.query, histories.item)
                looked = max(depth, source.budget)
                of_any, of_new = (_ranked(each, part, looked) for each in (matrix, news))
                _note(any_rank[:, place], target, of_any)
                _note(new_rank[:, place], target, of_new)
                key, rank = of_new if source.only_new else of_any
                chosen.append(key[rank < source.budget])
            sizes += np.bincount(np.unique(np.concatenate(chosen)) // width, minlength=len(codes))
    return Finds(any_rank, new_rank, is_new, sizes)


def _ranked(matrix: csr_matrix, part: Longs, depth: int) -> tuple[Longs, Longs]:
    """(key, rank) of the `depth` best items of each row; the key is the query's position x items + item."""
    row, item = top_items(matrix, depth)
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    return part[row].astype(np.int64) * matrix.shape[1] + item, rank


def _note(ranks: Ints, target: Longs, ranked: tuple[Longs, Longs]) -> None:
    """Writes the rank of each target that is among the ranked keys."""
    key, rank = ranked
    order = np.argsort(key)
    place = np.searchsorted(key, target, sorter=order)
    place[place == len(key)] = 0
    if len(key):
        found = key[order[place]] == target
        ranks[found] = rank[order[place[found]]]


def _share(mask: NDArray[np.bool_]) -> float:
    """The share of true entries; 0 where there are none.

    Examples:
        >>> _share(np.array([True, False])), _share(np.array([], dtype=bool))
        (0.5, 0.0)
    """
    return float(mask.mean()) if len(mask) else 0.0
