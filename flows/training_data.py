"""What a model learns from and is asked about, read once from the lake as of a moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

import pandas as pd
from duckdb import DuckDBPyConnection

from features.calendar import local_midnight
from features.errors import RefusedError
from features.interactions import build_interactions
from features.promotion import relevant_promotions
from features.scenes import SCENE_PARTS
from features.taxonomy import SceneTaxonomy
from flows.fingerprints import fingerprint_of
from flows.moments import shop_timezone
from flows.training_plan import training_plan
from flows.wiring import Stores, open_stores
from models.catalogue import CatalogueParams, eligible_items
from models.interaction_log import InteractionLog
from models.price_medians import item_prices, price_medians
from models.queries import QueryParams, QuerySet, build_queries, first_query_monday, last_monday
from models.relevance import Engagements, engagements_of
from models.shop import Shop, shop_of

INTERACTION_COLUMNS = (
    "user_id, item_id, category, event_type, epoch_seconds, local_day, local_weekday, "
    f"local_midnight_epoch_seconds, daypart, {', '.join(SCENE_PARTS)}, session_id, quantity, amount"
)

USERS_WITH_CONSENT = """
    SELECT users.* REPLACE (users.push_consent AND left_us.user_id IS NULL AS push_consent)
    FROM users LEFT JOIN (
        SELECT DISTINCT user_id FROM events WHERE event_type IN ('opt_out', 'complaint')
    ) left_us USING (user_id)
    ORDER BY user_id
"""
"""Whoever opted out or complained before the cut-off has withdrawn consent, whatever the table still says:
it holds no time of consent that could be later."""


_SHOP_ITEMS = """
    SELECT item_id, title, category_path, brand, tags, created_ts
    FROM items SEMI JOIN eligible USING (item_id)
"""


@dataclass(frozen=True)
class TrainingData:
    """The history behind one model.

    Attributes:
        as_of: Knowledge cut-off; nothing at or after it is in here.
        timezone: The shop's zone, in which weeks are counted back.
        country: ISO code of most users' locale, '' if unknown: whose holidays count.
        log: Interactions of eligible items, with the shop.
        sessions: (user_id, daypart, local_day, epoch_seconds, *SCENE_PARTS), one row a session, all items.
        items: ITEMS columns that ranking and policy read.
        users: USERS rows; `push_consent` is withdrawn by an opt-out or a complaint.
        categories: Category by eligible item_id.
        scenes: The scenes that the feature tables know: one taxonomy for training and planning.
        engagements: What users did short of the target on the queries' days; None grades nothing.
        usual_prices: What items without a price are taken to cost (`price_medians`); None values nothing.
    """

    as_of: datetime
    timezone: str
    country: str
    log: InteractionLog
    sessions: pd.DataFrame
    items: pd.DataFrame
    users: pd.DataFrame
    categories: pd.Series[str]
    scenes: SceneTaxonomy | None
    engagements: Engagements | None = None
    usual_prices: pd.DataFrame | None = None


def read_training_data(
    stores: Stores,
    as_of: datetime,
    query_params: QueryParams,
    catalogue_params: CatalogueParams,
    history_days: int | None = None,
) -> TrainingData:
    """The lake's history before `as_of`; items are eligible by what was known before the first query.

    Args:
        stores: Whose lake is read.
        as_of: Knowledge cut-off.
        query_params: Which weeks ask; the first of them is where the catalogue is fixed.
        catalogue_params: Which items may be recommended.
        history_days: Days read before the first query; None reads all there are.
    """
    timezone = shop_timezone(stores.settings)
    # Fixed before the first query, so that a later sale cannot make an item eligible for an earlier one.
    first = local_midnight(first_query_monday(as_of, timezone, query_params), timezone)
    connection = stores.lake.connect(as_of)
    try:
        interactions = build_interactions(connection, default_timezone=timezone)
        if history_days is not None:
            oldest = int((first - timedelta(days=history_days)).timestamp())
            interactions = interactions.filter(f"epoch_seconds >= {oldest}")
        history = (
            interactions.project(INTERACTION_COLUMNS).to_arrow_table().to_pandas(strings_to_categorical=True)
        )
        items = connection.sql("SELECT item_id, category_path, available, stock, sensitive FROM items").df()
        users = connection.sql(USERS_WITH_CONSENT).df()
        require_consent(users)
        eligible = eligible_items(
            history, items, as_of_epoch_seconds=int(first.timestamp()), params=catalogue_params
        )
        log = InteractionLog.from_frame(history).restricted_to(eligible["item_id"])
        log = log.with_shop(read_shop(connection, log, users, as_of))
    finally:
        connection.close()
    categories = eligible.set_index("item_id")["category"]
    return TrainingData(
        as_of=as_of,
        timezone=timezone,
        country=country_of(users),
        log=log,
        sessions=sessions_of(history),
        items=items,
        users=users.assign(timezone=users["timezone"].where(users["timezone"] != "unknown", timezone)),
        categories=categories,
        scenes=stores.features.tables.read_taxonomy(),
        engagements=engagements_of(
            history, eligible["item_id"], last_monday(as_of, timezone) - 7 * query_params.weeks
        ),
        usual_prices=price_medians(item_prices(history, categories.index), categories),
    )


def read_shop(
    connection: DuckDBPyConnection, log: InteractionLog, users: pd.DataFrame, as_of: datetime
) -> Shop:
    """What the lake tells of the log's items and users, and every promotion its queries could meet.

    Args:
        connection: Offers the views `items` and `promotions`.
        log: Interactions of eligible items.
        users: USERS rows.
        as_of: Knowledge cut-off of the lake's events.
    """
    connection.register("eligible", pd.DataFrame({"item_id": log.items.values.astype("str")}))
    promotions = relevant_promotions(connection, as_of, connection.table("eligible"))
    columns = "item_id, region, store_id, starts_at, ends_at, kind"
    return shop_of(
        log,
        connection.sql(_SHOP_ITEMS).df(),
        users,
        promotions.project(columns).to_arrow_table().to_pandas(strings_to_categorical=True),
    )


def require_consent(users: pd.DataFrame) -> None:
    """Nothing; somebody may be pushed.

    Raises:
        RefusedError: Nobody has consented, so there is nothing to plan, watch or promote.
    """
    if not users["push_consent"].eq(True).any():
        raise RefusedError(
            f"none of {len(users):,} users has push_consent, and consent is never assumed: nobody may be "
            "pushed; set push_consent in the users table and ingest again."
        )


def read_queries(data: TrainingData, params: QueryParams) -> QuerySet:
    """The past occasions to learn from and be judged on."""
    return build_queries(data.log, data.as_of, data.timezone, params)


def sessions_of(history: pd.DataFrame) -> pd.DataFrame:
    """One row per session: (user_id, daypart, local_day, epoch_seconds, scene parts) of its first event."""
    ordered = history.sort_values("epoch_seconds", kind="stable")
    first = ordered.drop_duplicates(["user_id", "session_id"])
    columns = ["user_id", *(part for part in SCENE_PARTS if part in first), "daypart", "local_day"]
    columns.append("epoch_seconds")
    sessions = first[columns].astype({"user_id": "object", "daypart": "object"})
    return sessions.sort_values(["user_id", "epoch_seconds"], ignore_index=True)


def country_of(users: pd.DataFrame) -> str:
    """The commonest country of locales such as 'en_US'; '' where none is known.

    Examples:
        >>> country_of(pd.DataFrame({"locale": ["en_US", "de-DE", "es_US", "unknown"]}))
        'US'
    """
    codes = users["locale"].astype("object").fillna("").str.extract(r"[_-]([A-Z]{2})$")[0].dropna()
    if codes.empty:
        return ""
    counts = codes.value_counts()
    return str(min(counts.index[counts == counts.max()]))


@lru_cache(maxsize=1)
def _remembered(as_of: datetime, fingerprint: str) -> TrainingData:
    del fingerprint  # only makes newer data or other choices a new question
    stores = open_stores()
    plan = training_plan(stores.settings)
    return read_training_data(stores, as_of, plan.queries, plan.catalogue, plan.history_days)


def training_data(as_of: datetime) -> TrainingData:
    """The history before `as_of` under the settings in effect, read once a process."""
    stores = open_stores()
    return _remembered(as_of, fingerprint_of(stores.lake.fingerprint(), repr(training_plan(stores.settings))))
