"""The declaration every feature table makes of itself: its grain, its columns and how it is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import pandas as pd
from duckdb import DuckDBPyRelation

from features.counters import Counts

Dtype = Literal["float", "int", "str"]
Source = Literal["visits", "category_visits", "item_visits", "pushes", "promotions"]
"""Relations a table is built from: sessions, sessions by category, sessions by item, push events (all four of
`features.visits`), and promotions."""


@dataclass(frozen=True)
class FeatureColumn:
    """One column of a feature table.

    Attributes:
        name: Unique across all tables.
        dtype: Stored as float64, int64 or string.
        meaning: One clause a data scientist understands, with the unit.
        null_means: What a missing value says about the entity: a new user, a new item, an unknown scene.
        unit: sessions, days, share, currency, ...; '' for text.
        window: Over which past it is taken: 'all time', 'half-life 30 days', '7 days', 'request'.
        trend: 1 where more of it, all else equal, can by its meaning never speak against the item; -1 where
            it can never speak for it; else 0. A ranker is held to it, so that no draw of the data teaches
            it that a discount repels. Never declared for what is only usually so.
    """

    name: str
    dtype: Dtype
    meaning: str
    null_means: str = "never seen"
    unit: str = ""
    window: str = ""
    trend: Literal[-1, 0, 1] = 0


@dataclass(frozen=True)
class FeatureTable:
    """A feature table: one row per key and instant at which the key's values changed.

    `build(relation, as_of)` returns columns (*keys, event_timestamp, *columns), unique by keys and time;
    `event_timestamp` is the first instant (UTC, on the grid) from which the values may be used, and is
    always later than every event they count, so a point-in-time join can never see the future.

    Attributes:
        name: The Feast view's name.
        keys: Join keys, in order: names of Feast entities.
        columns: What it offers.
        source: Which relation `build` reads.
        build: Pure: the whole relation and the knowledge cut-off in, the whole table out.
        counts: How the table goes on from the state before a day; None where it is only built as a whole.
        ttl_days: Rows older than this are not joined; None keeps them for ever.
        online: Whether the newest row per key is kept in the online store.
        max_age_hours: Scoring is refused when the table's newest row is older than this at the cut-off; None
            for tables that may rest.
    """

    name: str
    keys: tuple[str, ...]
    columns: tuple[FeatureColumn, ...]
    source: Source
    build: Callable[[DuckDBPyRelation, datetime], DuckDBPyRelation]
    counts: Counts | None = None
    ttl_days: float | None = None
    online: bool = True
    max_age_hours: float | None = None


@dataclass(frozen=True)
class OnDemand:
    """Features computed at request time from stored columns and the request: a Feast on-demand view.

    `transform` gets a frame with the columns of `tables` and the `request` fields and returns the
    `columns`, row for row; it is the same function in training, batch and online.

    Attributes:
        name: The Feast view's name.
        tables: Names of the feature tables it reads.
        request: Names of the request fields it reads, all in `REQUEST_FIELDS`.
        columns: What it returns.
        transform: Pure; missing values in, missing values out, never an exception.
    """

    name: str
    tables: tuple[str, ...]
    request: tuple[str, ...]
    columns: tuple[FeatureColumn, ...]
    transform: Callable[[pd.DataFrame], pd.DataFrame]


@dataclass(frozen=True)
class Service:
    """What one model reads: a Feast feature service.

    Attributes:
        name: The service's name, with its version.
        features: Column names of tables and on-demand views, in the model's order.
    """

    name: str
    features: tuple[str, ...]


REQUEST_FIELDS: dict[str, Dtype] = {
    "request_epoch_seconds": "int",
    "local_day": "int",
    "local_hour": "int",
    "country": "str",
}
"""Known at request time: the decision instant (UTC seconds), the user's local day (days since 1970-01-01),
the local hour at which the slot opens and the ISO country whose holidays count."""
