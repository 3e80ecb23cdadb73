"""The blend: the union of what all retrievers propose, with every retriever's opinion of every candidate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.errors import UsageError
from models.candidates.basket_size import BasketSize
from models.candidates.covisit import Covisit
from models.candidates.cut import Cut
from models.candidates.deal_habit import DealHabit
from models.candidates.ease import Ease
from models.candidates.expected import Expected
from models.candidates.facet_neighbours import FacetNeighbours
from models.candidates.habit import Habit
from models.candidates.kinds import Kinds
from models.candidates.neighbours import UserNeighbours
from models.candidates.new_items import NewItems
from models.candidates.occasion import Occasion
from models.candidates.onboarding import Onboarding
from models.candidates.personal import Personal
from models.candidates.popular import Popular
from models.candidates.promoted import Promoted
from models.candidates.promotion_habit import PromotionHabit
from models.candidates.repurchase import Repurchase
from models.candidates.retriever import Retriever, block_rows, top_items, values_at, without
from models.candidates.rivals import Rivals
from models.candidates.tifu_knn import TifuKnn
from models.candidates.trending import Trending
from models.histories import QueryCodes
from models.interaction_log import InteractionLog
from models.vocabulary import Floats, Ints


@dataclass(frozen=True)
class Source:
    """One retriever of a blend.

    Attributes:
        retriever: How it finds items.
        budget: Items it may add to a query's candidates; 0 means that it only gives its opinion.
        only_new: Whether the budget is kept for items that the user has not bought before. Habits fill
            any list that does not, and they are the personal retrievers' business.
    """

    retriever: Retriever
    budget: int
    only_new: bool = False

    def __post_init__(self) -> None:
        if self.budget < 0:
            raise UsageError(f"budget == {self.budget} of {self.retriever.name}, must be >= 0.")


def default_sources() -> tuple[Source, ...]:
    """The blend that serves unless told otherwise; a learned cut follows (see `models.candidates.cut`).

    Budgets are wide, so that the cut has something to choose from.

    Examples:
        >>> {source.retriever.name: source.budget for source in default_sources()}["ease"]
        300
    """
    return (
        Source(Personal(120.0), 300),
        Source(Personal(60.0), 0),
        Source(Personal(30.0), 0),
        Source(Personal(14.0), 100),
        Source(Personal(), 0),
        Source(Habit("time"), 0),
        Source(Habit("scene"), 0),
        Source(Occasion("any"), 0),
        Source(Occasion("store"), 0),
        Source(Occasion("store_daypart"), 0),
        Source(Occasion("alike"), 0),
        Source(BasketSize("expected"), 0),
        Source(BasketSize("item"), 0),
        Source(Kinds(2), 0),
        Source(Repurchase(), 300),
        Source(TifuKnn(), 150),
        Source(Ease(), 300),
        Source(UserNeighbours(), 120, only_new=True),
        Source(FacetNeighbours(), 50, only_new=True),
        Source(Covisit(), 80, only_new=True),
        Source(Expected(), 200),
        Source(Promoted(), 60, only_new=True),
        Source(PromotionHabit(), 0),
        Source(DealHabit(), 0),
        Source(Rivals(), 0),
        Source(Popular("store"), 50, only_new=True),
        Source(Popular("daypart"), 30, only_new=True),
        Source(Popular(), 30, only_new=True),
        Source(Trending(), 30, only_new=True),
        Source(NewItems(), 20, only_new=True),
        Source(Onboarding(), 30, only_new=True),
    )


@dataclass(frozen=True)
class CandidateBlock:
    """Candidates of some queries, ordered by query, then item.

    Attributes:
        query: Position of the query in the frame that was asked.
        item: Item code.
        scores: One column per retriever, 0 where it has no opinion.
    """

    query: Ints
    item: Ints
    scores: Mapping[str, Floats]


def candidate_blocks(
    log: InteractionLog, queries: QueryCodes, sources: Sequence[Source], cut: Cut | None = None
) -> Iterator[CandidateBlock]:
    """Candidates, a bounded block of queries at a time; retrievers are fitted once per fit instant.

    Args:
        log: Interactions of eligible items, as late as is known: each query sees only its own past.
        queries: What is asked.
        sources: Retrievers and budgets; names must differ.
        cut: Keeps the likeliest of each query's candidates; None keeps all.

    Raises:
        UsageError: Two sources share a name.
    """
    names = [source.retriever.name for source in sources]
    if len(set(names)) < len(names):
        raise UsageError(f"retriever names {sorted(names)} must differ; name them apart.")
    step = block_rows(log.n_items)
    for fit in np.unique(queries.fit):
        known = log.before(int(fit))
        fitted = [source.retriever.fit(known) for source in sources]
        rows = np.flatnonzero(queries.fit == fit)
        for begin in range(0, len(rows), step):
            part = rows[begin : begin + step]
            asked = queries.take(part)
            histories = log.expand(asked)
            matrices = [one.scores(asked, histories) for one in fitted]
            picks = [
                top_items(
                    without(matrix, histories.query, histories.item) if source.only_new else matrix,
                    source.budget,
                )
                for matrix, source in zip(matrices, sources, strict=True)
                if source.budget
            ]
            key = np.sort(np.concatenate([query * np.int64(log.n_items) + item for query, item in picks]))
            key = key[np.append(True, key[1:] != key[:-1])] if len(key) else key
            query, item = (key // log.n_items).astype(np.int32), (key % log.n_items).astype(np.int32)
            scores = {
                name: values_at(matrix, query, item) for name, matrix in zip(names, matrices, strict=True)
            }
            if cut is not None:
                kept = cut.kept(query, scores)
                query, item = query[kept], item[kept]
                scores = {name: column[kept] for name, column in scores.items()}
            yield CandidateBlock(part[query].astype(np.int32), item, scores)


def blend_candidates(
    log: InteractionLog,
    queries: pd.DataFrame,
    sources: Sequence[Source] | None = None,
    cut: Cut | None = None,
) -> pd.DataFrame:
    """Candidates of every query, one row per query and item, ordered by query_id's position, then item_id.

    Args:
        log: Interactions of eligible items.
        queries: QUERY_COLUMNS.
        sources: Retrievers and budgets; `default_sources()` when None.
        cut: Keeps the likeliest of each query's candidates; None keeps all.

    Returns:
        (query_id int64, item_id category, score_<retriever> float32 for every retriever).
    """
    sources = default_sources() if sources is None else tuple(sources)
    blocks = list(candidate_blocks(log, log.encode(queries), sources, cut)) or [_no_candidates(sources)]
    query = np.concatenate([block.query for block in blocks])
    item = np.concatenate([block.item for block in blocks])
    order = np.argsort(query, kind="stable")
    columns: dict[str, object] = {
        "query_id": queries["query_id"].to_numpy(dtype=np.int64)[query[order]],
        "item_id": log.items.categorical(item[order]),
    }
    for source in sources:
        name = source.retriever.name
        columns[f"score_{name}"] = np.concatenate([block.scores[name] for block in blocks])[order]
    return pd.DataFrame(columns)


def _no_candidates(sources: Sequence[Source]) -> CandidateBlock:
    """A block without rows but with every column, for a frame without queries."""
    nothing = np.zeros(0, dtype=np.int32)
    scores = {source.retriever.name: np.zeros(0, dtype=np.float32) for source in sources}
    return CandidateBlock(nothing, nothing, scores)
