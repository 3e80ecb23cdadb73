"""Answers Feast's online request column by column: one read for all views, then the on-demand views."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from time import monotonic
from typing import Any

import numpy as np
from feast import metrics
from feast.feature_service import FeatureService
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.registry.base_registry import BaseRegistry
from feast.utils import _get_table_entity_values

from infra.online_columns import OnlineColumn
from infra.online_on_demand import add_on_demand
from infra.online_request import OnlineRequest, read_request
from infra.online_response import AnswerColumn, ColumnarOnlineResponse
from infra.online_tables import Lookup, OnlineTable

_TABLES: dict[int, tuple[Any, OnlineTable]] = {}
_MOST_TABLES = 1_000

Reader = Callable[[Sequence[Lookup]], list[list[tuple[Any, ...]]]]


def answer_online(
    read: Reader,
    features: list[str] | FeatureService,
    entity_rows: Any,
    registry: BaseRegistry,
    project: str,
    *,
    full_feature_names: bool,
    with_versions: bool,
    time_field: str,
    clock: Callable[[], datetime] | None,
) -> ColumnarOnlineResponse | None:
    """The response to a request, or None for one that only Feast's own code answers.

    Args:
        read: Looks all views up at once.
        features: As `FeatureStore.get_online_features` takes them.
        entity_rows: Likewise.
        registry: Likewise.
        project: Likewise.
        full_feature_names: Likewise.
        with_versions: Whether the response names the views' versions.
        time_field: The request field with the request's moment, in UTC seconds.
        clock: The moment of rows without that field; None checks no ttl.

    Raises:
        ValueError: The entity rows are not of the same columns.
        KeyError: None of a view's keys is in the entity rows.
    """
    request = read_request(features, entity_rows, registry, project, full_feature_names, time_field)
    if request is None:
        return None
    started = monotonic()
    columns = dict(request.given) | read_features(read, request, clock)
    if metrics._config.online_features:
        metrics.track_online_store_read(monotonic() - started)
    feature_types = OnlineStore._build_feature_types(request.grouped)
    if request.on_demand_views:
        add_on_demand(columns, request)
    versions = {
        table.projection.name_alias or table.projection.name: getattr(table, "current_version_number", 0) or 0
        for table, _ in request.grouped
    }
    return ColumnarOnlineResponse(
        {name: column for name, column in columns.items() if name in request.wanted},
        feature_types,
        versions if with_versions else None,
    )


@dataclass
class _Read:
    """A view's look-up and which of its keys each request row asks for (-1 for none)."""

    lookup: Lookup
    view: Any
    places: np.ndarray
    names: list[str] = field(default_factory=list)


def read_features(
    read: Reader, request: OnlineRequest, clock: Callable[[], datetime] | None
) -> dict[str, AnswerColumn]:
    """The features of every view of the request, by their name in the response; see `answer_online`."""
    distinct_keys: dict[tuple[int, ...], tuple[list[tuple[Any, ...]], np.ndarray]] = {}
    reads = []
    for view, wanted in request.grouped:
        online = _table_of(view)
        known = {column.name: column for column in online.features}
        keys, places = _keys_asked(view, online, request, distinct_keys)
        features = tuple(known[name] for name in wanted)
        prefix = f"{view.projection.name_to_use()}__" if request.full_feature_names else ""
        reads.append(_Read(Lookup(online, features, keys), view, places, [prefix + name for name in wanted]))
    found = read([one.lookup for one in reads])
    columns: dict[str, AnswerColumn] = {}
    moments: np.ndarray | None = None
    for one, rows in zip(reads, found, strict=True):
        if clock is not None and one.lookup.table.ttl is not None and moments is None:
            moments = request.moments(clock)
        columns |= _columns_read(one, rows, moments)
    return columns


def _table_of(view: Any) -> OnlineTable:
    """The view's table; of views in Feast's resolution cache, which it never changes, made once."""
    kept = _TABLES.get(id(view))
    if kept is None or kept[0] is not view:
        if len(_TABLES) >= _MOST_TABLES:
            _TABLES.clear()
        kept = _TABLES[id(view)] = (view, OnlineTable.of(view))
    return kept[1]


def _columns_read(
    one: _Read, rows: list[tuple[Any, ...]], moments: np.ndarray | None
) -> Iterable[tuple[str, AnswerColumn]]:
    """The view's features for every request row, from the rows found for its distinct keys."""
    row_of_key = np.full(len(one.lookup.keys) + 1, -1)
    by_column = list(zip(*rows, strict=True)) or [()] * (2 + len(one.names))
    row_of_key[list(by_column[0])] = np.arange(len(rows))
    row_of_request = row_of_key[one.places]
    micros = np.append(np.array(by_column[1], np.int64), -1)[row_of_request]
    ttl = one.lookup.table.ttl
    if ttl is not None and moments is not None:
        stale = micros < moments - round(ttl.total_seconds() * 1e6)
        row_of_request, micros = np.where(stale, -1, row_of_request), np.where(stale, -1, micros)
    if metrics._config.online_features:
        present = int((row_of_request >= 0).sum()) * len(one.names)
        metrics.track_feature_statuses(one.view.name, present, micros.size * len(one.names) - present)
    take = _taker(row_of_request.tolist())
    return [
        (name, _column(column, take((*stored, None)), micros))
        for name, column, stored in zip(one.names, one.lookup.features, by_column[2:], strict=True)
    ]


def _column(column: OnlineColumn, stored: Sequence[Any], micros: np.ndarray) -> AnswerColumn:
    return AnswerColumn(column.to_python(stored), lambda: column.to_values(stored), micros)


def _taker(places: list[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """A function that takes these places from a sequence; -1 takes its last, which is nothing."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda values: [values[place] for place in places]


def _keys_asked(
    view: Any,
    online: OnlineTable,
    request: OnlineRequest,
    known: dict[tuple[int, ...], tuple[list[tuple[Any, ...]], np.ndarray]],
) -> tuple[list[tuple[Any, ...]], np.ndarray]:
    """The view's distinct keys as stored, and each request row's place among them; -1 for a key of nobody."""
    given = _get_table_entity_values(view, request.join_keys_of_entities, request.join_keys)
    if not any(len(values) for values in given.values()) and request.rows:
        raise KeyError(
            f"Missing join key values for keys: {sorted(key.name for key in online.keys)} of feature view "
            f"{view.name!r}. Provided join_key_values: {sorted(request.join_keys)}"
        )
    lists = [given.get(key.name) for key in online.keys]
    if any(values is None for values in lists):
        return [], np.full(request.rows, -1)
    shared = tuple(id(values) for values in lists)
    if shared not in known:
        asked = list(
            zip(*(key.keys_from(values) for key, values in zip(online.keys, lists, strict=True)), strict=True)
        )
        distinct = [key for key in dict.fromkeys(asked) if None not in key]
        place_of = {key: place for place, key in enumerate(distinct)}
        known[shared] = (distinct, np.array([place_of.get(key, -1) for key in asked], np.int64))
    return known[shared]
