"""From candidates to rows a ranker learns from: entity frames, negative sampling, labels and groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.calendar import DAYPART_START_HOUR, DAYPARTS
from features.errors import UsageError
from features.market import MARKET
from features.scenes import SCENE_PARTS
from models.vocabulary import Floats, Ints, Longs

_OF_QUERY = ("user_id", *SCENE_PARTS, "daypart", "weekday")
ENTITY_COLUMNS = ("item_id", "category", "market", *_OF_QUERY)
REQUEST_COLUMNS = ("request_epoch_seconds", "local_day", "local_hour", "country")
SCENE_COLUMNS = ("query_daypart",)


@dataclass(frozen=True)
class SamplingParams:
    """Which candidates a ranker is fitted on.

    Every query keeps an even draw of its candidates without relevance, blind to scores, features and
    popularity. That does not bias the order LambdaRank learns: its loss is a sum over pairs of a relevant
    and another candidate of one query, an even draw takes each such pair with the same chance, and a factor
    common to a query's pairs turns no gradient (LightGBM scales each query's by its sum in any case). What
    the draw does change is the ranks at which a swap is weighed: `RankerParams.truncation` counts in the list
    as drawn. Harder draws, by popularity or score, would teach that popular items are irrelevant, and so are
    not offered. Chances are no order: they are always calibrated on all candidates.

    Attributes:
        negatives_per_query: Candidates without relevance kept per query; all of them where fewer, or if None.
        seed: The same seed keeps the same rows of a query, whichever other queries are drawn with it.

    Source:
        Krichene and Rendle, "On Sampled Metrics for Item Recommendation" (2020): why metrics, unlike the fit,
        need all candidates.
    """

    negatives_per_query: int | None = 80
    seed: int = 20_171_204

    def __post_init__(self) -> None:
        if self.negatives_per_query is not None and self.negatives_per_query < 1:
            raise UsageError(
                f"negatives_per_query == {self.negatives_per_query}, must be >= 1; or None for all of them."
            )


@dataclass(frozen=True)
class RankingSet:
    """Rows for fitting or judging a ranker, one per query and candidate, a query's rows together.

    Attributes:
        features: float32 numbers and category columns, one row a candidate.
        label: Relevance, 0 for what was not bought.
        query_id: Of each row, in runs.
        item_id: Of each row.
    """

    features: pd.DataFrame
    label: Floats
    query_id: Longs
    item_id: pd.Series[str]

    @property
    def group_sizes(self) -> Ints:
        """Rows of each query, in order."""
        starts = np.flatnonzero(np.r_[True, self.query_id[1:] != self.query_id[:-1]])
        return np.asarray(np.diff(np.r_[starts, len(self.query_id)]), dtype=np.int32)


def entity_frame(
    queries: pd.DataFrame, candidates: pd.DataFrame, categories: pd.Series[str], country: str
) -> pd.DataFrame:
    """What the feature store is asked, one row per candidate and in its order.

    Args:
        queries: QUERY_COLUMNS of `models.queries`.
        candidates: (query_id, item_id, ...); every query_id stands in `queries`.
        categories: Category by item_id.
        country: ISO country whose holidays count.

    Returns:
        ENTITY_COLUMNS as categories, event_timestamp (UTC, the query's cut-off) and REQUEST_COLUMNS; the
        local hour is that at which the query's daypart opens.
    """
    place = pd.Index(queries["query_id"]).get_indexer(pd.Index(candidates["query_id"]))
    if (place < 0).any():
        raise UsageError(f"{int((place < 0).sum())} candidates belong to no query; pass their queries too.")
    item = pd.Categorical(candidates["item_id"])
    category_of = pd.Categorical(categories.reindex(item.categories).fillna("unknown"))
    asked = {name: pd.Categorical(queries[name].astype("str").to_numpy()).take(place) for name in _OF_QUERY}
    cutoff = queries["cutoff_epoch_seconds"].to_numpy(dtype=np.int64)
    return pd.DataFrame(
        {
            "item_id": item,
            "category": pd.Categorical.from_codes(category_of.codes[item.codes], dtype=category_of.dtype),
            "market": _constant(MARKET, len(place)),
            **asked,
            "event_timestamp": pd.to_datetime(cutoff, unit="s", utc=True).as_unit("us")[place],
            "request_epoch_seconds": cutoff[place],
            "local_day": queries["local_day"].to_numpy(dtype=np.int64)[place],
            "local_hour": opening_hours(queries["daypart"])[place],
            "country": _constant(country, len(place)),
        }
    )


def opening_hours(dayparts: pd.Series[str]) -> Longs:
    """The local hour at which each daypart opens.

    Examples:
        >>> opening_hours(pd.Series(["night", "evening"])).tolist()
        [0, 17]
    """
    return np.asarray(dayparts.astype("object").map(DAYPART_START_HOUR), dtype=np.int64)


def _constant(value: str, rows: int) -> pd.Categorical:
    return pd.Categorical([value]).take(np.zeros(rows, dtype=np.intp))


def labels_of(candidates: pd.DataFrame, truth: pd.DataFrame) -> Floats:
    """The relevance of every candidate, 0 where `truth` (query_id, item_id, relevance) has none.

    Examples:
        >>> labels_of(pd.DataFrame({"query_id": [1, 1], "item_id": ["a", "b"]}),
        ...           pd.DataFrame({"query_id": [1], "item_id": ["b"], "relevance": [1.0]})).tolist()
        [0.0, 1.0]
    """
    items = pd.Index(pd.unique(truth["item_id"].astype("str")))
    width = len(items) + 1

    def key(frame: pd.DataFrame) -> Longs:
        column = pd.Categorical(frame["item_id"])
        code = items.get_indexer(pd.Index(column.categories.astype("str")))[column.codes]
        return np.asarray(
            np.where(code < 0, -1, frame["query_id"].to_numpy(dtype=np.int64) * width + code), dtype=np.int64
        )

    wanted = pd.Series(truth["relevance"].to_numpy(dtype=np.float32), index=key(truth))
    found = wanted[~wanted.index.duplicated()].reindex(key(candidates))
    return found.fillna(0.0).to_numpy(dtype=np.float32)


def sample_negatives(query_id: Longs, label: Floats, params: SamplingParams) -> Longs:
    """Positions of the rows to keep, ascending: every positive, and an even draw of each query's others.

    A row's lot follows from the seed, its query and its place among the query's rows alone.
    """
    if params.negatives_per_query is None:
        return np.arange(len(label), dtype=np.int64)
    by_query = np.argsort(query_id, kind="stable")
    place = np.empty(len(label), dtype=np.int64)
    place[by_query] = _places_in_run(query_id[by_query])
    lot = _lots(query_id, place, params.seed)
    # Positives come first and never count against the limit.
    order = np.lexsort((lot, label <= 0, query_id))
    positive = label[order] > 0
    rank = _places_in_run(query_id[order])
    positives = np.zeros(len(order), dtype=np.int64)
    starts = np.flatnonzero(rank == 0)
    if len(order):
        sizes = np.diff(np.append(starts, len(order)))
        positives = np.repeat(np.add.reduceat(positive.astype(np.int64), starts), sizes)
    kept = rank < positives + params.negatives_per_query
    return np.sort(order[kept]).astype(np.int64)


def _places_in_run(values: Longs) -> Longs:
    """0, 1, 2, ... within each run of equal values.

    >>> _places_in_run(np.array([7, 7, 9, 7])).tolist()
    [0, 1, 0, 0]
    """
    starts = np.flatnonzero(np.append(True, values[1:] != values[:-1])) if len(values) else values
    sizes = np.diff(np.append(starts, len(values)))
    return np.asarray(np.arange(len(values)) - np.repeat(starts, sizes), dtype=np.int64)


def _lots(query_id: Longs, place: Longs, seed: int) -> NDArray[np.uint64]:
    """A number for each row, spread evenly over 64 bits; the same for the same arguments everywhere.

    Source: the finaliser of SplitMix64, Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
    Generators" (2014).
    """
    lot = np.full(len(query_id), seed % 2**64, dtype=np.uint64)
    for part in (query_id, place):
        lot = (lot ^ part.astype(np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
        lot = (lot ^ (lot >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        lot = (lot ^ (lot >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        lot ^= lot >> np.uint64(31)
    return lot


def assemble(
    candidates: pd.DataFrame,
    features: pd.DataFrame,
    queries: pd.DataFrame,
    truth: pd.DataFrame | None,
    feature_names: Sequence[str],
) -> RankingSet:
    """Candidates, retriever scores and stored features as one set, in the candidates' order.

    Args:
        candidates: (query_id, item_id, score_<retriever>...), rows of a query together.
        features: `feature_names`, row for row with `candidates`.
        queries: QUERY_COLUMNS.
        truth: (query_id, item_id, relevance); None when nothing has happened yet.
        feature_names: Of the service, in its order.

    Raises:
        UsageError: Row counts differ: a join that lost rows must never be learnt from.
    """
    if len(candidates) != len(features):
        raise UsageError(
            f"features have {len(features)} rows for {len(candidates)} candidates; the join lost rows."
        )
    place = pd.Index(queries["query_id"]).get_indexer(pd.Index(candidates["query_id"]))
    daypart = pd.Categorical(queries["daypart"], categories=list(DAYPARTS)).codes
    columns: dict[str, object] = {
        name: candidates[name].to_numpy(dtype=np.float32)
        for name in candidates.columns
        if name.startswith("score_")
    }
    for name in feature_names:
        column = features[name]
        columns[name] = (
            column.to_numpy(dtype=np.float32)
            if pd.api.types.is_numeric_dtype(column)
            else pd.Categorical(column)
        )
    columns["query_daypart"] = daypart[place].astype(np.float32)
    return RankingSet(
        features=pd.DataFrame(columns, copy=False),
        label=np.zeros(len(candidates), np.float32) if truth is None else labels_of(candidates, truth),
        query_id=candidates["query_id"].to_numpy(dtype=np.int64),
        item_id=candidates["item_id"].reset_index(drop=True),
    )


def take_rows(rows: RankingSet, positions: Longs) -> RankingSet:
    """The set of these rows, in this order."""
    return RankingSet(
        rows.features.iloc[positions].reset_index(drop=True),
        rows.label[positions],
        rows.query_id[positions],
        rows.item_id.iloc[positions].reset_index(drop=True),
    )


def stack(parts: Sequence[RankingSet]) -> RankingSet:
    """The parts below each other; category columns get the union of their categories."""
    if not parts:
        raise UsageError("no rows to learn from; load more history.")
    columns: dict[str, object] = {}
    for name in parts[0].features.columns:
        pieces = [part.features[name] for part in parts]
        if isinstance(pieces[0].dtype, pd.CategoricalDtype):
            columns[name] = pd.api.types.union_categoricals(
                [piece.array for piece in pieces], sort_categories=True
            )
        else:
            columns[name] = np.concatenate([piece.to_numpy() for piece in pieces])
    return RankingSet(
        pd.DataFrame(columns, copy=False),
        np.concatenate([part.label for part in parts]),
        np.concatenate([part.query_id for part in parts]),
        pd.concat([part.item_id.astype("str") for part in parts], ignore_index=True),
    )
