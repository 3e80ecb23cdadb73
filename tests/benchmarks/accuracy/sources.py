"""The occasions a source is judged on: the protocol's weeks for its recording, sessions for any other.

Any other source: a query is a session (a user's day where there is none) with at least one eligible target,
and the target is the strongest kind of event there is. Sessions are split 70/10/20 by time, days kept whole,
or as events' column `split` says; a source that names no validation gives the newest eighth of its training
sessions. Items are eligible when somebody met them before the first validating session, or in the part for
training where the source splits its own events. Every peer sees the same items, queries and history.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pandas as pd
from duckdb import DuckDBPyConnection

from features.interactions import build_interactions
from flows.moments import RECORDED_DAYS, shop_timezone
from flows.training_data import (
    INTERACTION_COLUMNS,
    USERS_WITH_CONSENT,
    TrainingData,
    country_of,
    read_queries,
    read_shop,
    read_training_data,
    sessions_of,
)
from flows.training_plan import TrainingPlan, training_plan
from flows.wiring import Stores
from models.catalogue import CatalogueParams, eligible_items
from models.interaction_log import InteractionLog
from models.queries import SPLITS, QueryParams, QuerySet
from models.relevance import engagements_of
from models.session_queries import (
    TEST,
    TRAIN,
    VALIDATION,
    SessionParams,
    event_worths,
    session_queries,
    split_instants,
)

MAX_ITEMS = 50_000
ITEMS_OF_ALL_QUERIES = 25_000  # beyond so many items, queries are fewer in the same proportion
_PARTS = {
    "train": TRAIN,
    "training": TRAIN,
    "validation": VALIDATION,
    "valid": VALIDATION,
    "val": VALIDATION,
    "dev": VALIDATION,
    "test": TEST,
}
_ITEMS = "SELECT item_id, category_path, available, stock, sensitive FROM items"


@dataclass(frozen=True)
class Occasions:
    """What a source is judged on.

    Attributes:
        data: The history, as training reads it.
        queries: Of all splits; truth holds targets only.
        plan: How models are fitted.
        protocol: What was chosen, as JSON types.
        notes: The same for people, one line each.
    """

    data: TrainingData
    queries: QuerySet
    plan: TrainingPlan
    protocol: Mapping[str, Any]
    notes: tuple[str, ...]


def read_occasions(stores: Stores, as_of: datetime, params: SessionParams | None = None) -> Occasions:
    """The occasions of the source in effect, before `as_of`."""
    plan = training_plan(stores.settings)
    slow = {"learning_rate": 0.07, "max_trees": 400, "patience_trees": 100, "refits": 2}
    plan = replace(plan, ranker=replace(plan.ranker, **slow))
    if stores.settings.source in RECORDED_DAYS:
        return _weeks(stores, as_of, plan)
    return _sessions(stores, as_of, plan, params or SessionParams())


def _weeks(stores: Stores, as_of: datetime, plan: TrainingPlan) -> Occasions:
    plan = replace(plan, queries=QueryParams(train_weeks=8, validation_weeks=2, test_weeks=4))
    data = read_training_data(stores, as_of, plan.queries, plan.catalogue)
    queries = read_queries(data, plan.queries)
    protocol = {
        "name": "weeks",
        "target": "purchase",
        "weeks": {"train": 8, "validation": 2, "test": 4},
        "queries": _counts(queries),
        "items": data.log.n_items,
    }
    return Occasions(data, queries, plan, protocol, ())


def _sessions(stores: Stores, as_of: datetime, plan: TrainingPlan, params: SessionParams) -> Occasions:
    timezone = shop_timezone(stores.settings)
    connection = stores.lake.connect(as_of)
    try:
        history = read_history(connection, timezone)
        items = connection.sql(_ITEMS).df()
        users = connection.sql(USERS_WITH_CONSENT).df()
        worths = event_worths(set(history["event_type"].unique()))
        log = InteractionLog.from_frame(history, worths)
        instants = split_instants(log, params)
        kinds = tuple(worths)
        catalogue = CatalogueParams(min_users=1, event_types=kinds, max_items=MAX_ITEMS)
        early, end = history, instants.validation
        if log.part is not None:
            early, end = history[history["part"] <= TRAIN], int(as_of.timestamp())
        eligible = eligible_items(early, items, as_of_epoch_seconds=end, params=catalogue)
        met = history.loc[history["item_id"].notna(), "item_id"].nunique()
        log = log.restricted_to(eligible["item_id"])
        log = log.with_shop(read_shop(connection, log, users, as_of))
    finally:
        connection.close()
    asked = session_queries(log, instants, bounded(params, log.n_items))
    data = TrainingData(
        as_of=as_of,
        timezone=timezone,
        country=country_of(users),
        log=log,
        sessions=sessions_of(history),
        items=items,
        users=users.assign(timezone=users["timezone"].where(users["timezone"] != "unknown", timezone)),
        categories=eligible.set_index("item_id")["category"],
        scenes=stores.features.tables.read_taxonomy(),
        engagements=engagements_of(history, eligible["item_id"], int(asked.asked.queries["local_day"].min())),
    )
    counts = _counts(asked.asked)
    target = max(worths, key=lambda name: worths[name])
    protocol = {
        "name": "sessions",
        "target": target,
        "split": "events.split" if log.part is not None else "time",
        "queries": counts,
        "available": dict(asked.available),
        "items": log.n_items,
        "items_met": int(met),
    }
    held = stores.lake.manifest()
    notes = [] if held is None else list(held.notes)
    notes.append(f"the target is {target}; a query is a session with at least one")
    for split in SPLITS:
        if counts[split] < asked.available[split]:
            which = "the newest" if split == "train" else "a draw of"
            notes.append(f"{split}: {which} {counts[split]:,} of {asked.available[split]:,} queries")
    if log.n_items < met:
        notes.append(f"{log.n_items:,} of {met:,} items are eligible")
    plan = replace(plan, catalogue=catalogue)
    return Occasions(data, asked.asked, plan, protocol, tuple(notes))


def bounded(params: SessionParams, n_items: int) -> SessionParams:
    """Fewer queries where the catalogue is large: every peer scores every item for each of them.

    Examples:
        >>> bounded(SessionParams(), 50_000).test_queries, bounded(SessionParams(), 4_000).test_queries
        (3000, 6000)
    """
    share = min(1.0, ITEMS_OF_ALL_QUERIES / max(n_items, 1))
    return replace(
        params,
        train_queries=int(params.train_queries * share),
        validation_queries=int(params.validation_queries * share),
        test_queries=int(params.test_queries * share),
    )


def read_history(connection: DuckDBPyConnection, timezone: str) -> pd.DataFrame:
    """The interactions, with `part` where events name one; then a session ends where the part changes."""
    interactions = build_interactions(connection, default_timezone=timezone)
    cases = " ".join(f"WHEN '{name}' THEN {code}" for name, code in _PARTS.items())
    part = f"CASE lower(trim(split)) {cases} ELSE -1 END"
    told = interactions.aggregate(f"count(*) FILTER ({part} >= 0)").fetchall()[0][0]
    columns = INTERACTION_COLUMNS
    if told:
        columns = columns.replace("session_id", f"session_id || '/' || ({part})::VARCHAR AS session_id")
        columns += f", {part} AS part"
    return interactions.project(columns).to_arrow_table().to_pandas(strings_to_categorical=True)


def _counts(queries: QuerySet) -> dict[str, int]:
    counts = queries.queries["split"].value_counts()
    return {split: int(counts.get(split, 0)) for split in SPLITS}
