"""What is on promotion in a store, a region or everywhere, from its announcement to a week after its end."""

from __future__ import annotations

from datetime import datetime, timedelta

from duckdb import DuckDBPyConnection, DuckDBPyRelation

from features.table import FeatureColumn, FeatureTable

ANNOUNCED_DAYS = 7
"""A promotion is known so long before it starts."""
REMEMBERED_DAYS = 7
"""And so long after its end."""
LONGEST_PROMOTION_DAYS = 90
"""One without an end counts as so long; a row older than this and REMEMBERED_DAYS tells nothing."""
HISTORY_DAYS = 140


def relevant_promotions(
    connection: DuckDBPyConnection, as_of: datetime, sold_items: DuckDBPyRelation | None = None
) -> DuckDBPyRelation:
    """Promotions of single items that a request of the last HISTORY_DAYS could meet.

    A promotion of a category is one of each of its items: those whose `category_path` is the promotion's or
    begins with it, step by step ('food' holds 'food > bread', not 'foodstuff'). A shop announces millions of
    store-week promotions of items that no ranking will ever hold: `sold_items` bounds the table by what
    sells.

    Args:
        connection: Offers the views `promotions` and `items`.
        as_of: Knowledge cut-off; promotions that start within two weeks after it are kept.
        sold_items: (item_id) of items that sell, on the same connection; None keeps all.

    Returns:
        (item_id, region, store_id, starts_at, ends_at, kind, discount), ends filled.
    """
    oldest = as_of - timedelta(days=HISTORY_DAYS)
    last = as_of + timedelta(days=14)
    sold = f"SEMI JOIN ({sold_items.sql_query()}) sold USING (item_id)" if sold_items is not None else ""
    return connection.sql(
        f"""
        WITH bounded AS (
            SELECT item_id, nullif(category_path, 'unknown') AS category_path,
                   nullif(nullif(region, 'unknown'), '') AS region,
                   nullif(nullif(store_id, 'unknown'), '') AS store_id, starts_at,
                   least(coalesce(ends_at, starts_at + INTERVAL {LONGEST_PROMOTION_DAYS} DAY),
                         starts_at + INTERVAL {LONGEST_PROMOTION_DAYS} DAY) AS ends_at, kind, discount
            FROM promotions
            WHERE starts_at < TIMESTAMPTZ '{last.isoformat()}'
              AND coalesce(ends_at, starts_at + INTERVAL {LONGEST_PROMOTION_DAYS} DAY)
                  > TIMESTAMPTZ '{oldest.isoformat()}'
              AND starts_at > TIMESTAMPTZ '{(oldest - timedelta(days=LONGEST_PROMOTION_DAYS)).isoformat()}'
        ), named AS (
            SELECT DISTINCT category_path FROM bounded WHERE item_id IS NULL
        ), members AS (
            SELECT n.category_path, i.item_id FROM named n JOIN items i
            ON i.category_path = n.category_path OR starts_with(i.category_path, n.category_path || ' > ')
        ), single AS (
            SELECT item_id, region, store_id, starts_at, ends_at, kind, discount
            FROM bounded WHERE item_id IS NOT NULL
            UNION ALL
            SELECT m.item_id, region, store_id, starts_at, ends_at, kind, discount
            FROM bounded JOIN members m USING (category_path) WHERE bounded.item_id IS NULL
        )
        SELECT * FROM single {sold}
        """
    )


def _promotion_table(scope: str, keys: tuple[str, ...], where: str, place: str) -> FeatureTable:
    """A row at each start and, where it would come as news, at each announcement.

    Promotions are announced before they start, so knowing of one is no leak; rows tell the next start only
    from its announcement on. Two that start together are one row: their kinds joined, the later end, the
    larger discount. Where one starts while another runs, the later end of the two counts.
    """
    prefix = f"promo_{scope}"
    key_list = ", ".join(keys)
    early = f"INTERVAL {ANNOUNCED_DAYS} DAY"
    values = ", ".join(
        f"{value} AS {prefix}_{name}"
        for name, value in (
            ("kind", "kind"),
            ("starts_epoch_seconds", "CAST(epoch(starts_at) AS DOUBLE)"),
            ("ends_epoch_seconds", "CAST(epoch(until) AS DOUBLE)"),
            ("discount", "discount"),
            ("next_epoch_seconds", "CAST(epoch(next_at) AS DOUBLE)"),
        )
    )
    chain = f"OVER (PARTITION BY {key_list} ORDER BY starts_at ROWS"

    def build(promotions: DuckDBPyRelation, as_of: datetime) -> DuckDBPyRelation:
        del as_of  # what is announced is bounded by `relevant_promotions`
        return promotions.query(
            "promotions",
            f"""
            WITH grouped AS (
                SELECT {key_list}, starts_at, min(kind) AS kind, min(kind) <> max(kind) AS several,
                       max(ends_at) AS ends_at, max(discount) AS discount
                FROM promotions WHERE item_id IS NOT NULL AND ({where})
                GROUP BY {key_list}, starts_at
            ), joined AS (
                -- Texts are joined only where there are several: nearly nowhere, and it costs.
                SELECT {key_list}, starts_at, string_agg(DISTINCT kind, '|' ORDER BY kind) AS kinds
                FROM promotions SEMI JOIN (SELECT * FROM grouped WHERE several) USING ({key_list}, starts_at)
                WHERE {where} GROUP BY {key_list}, starts_at
            ), starts AS (
                SELECT grouped.* REPLACE (coalesce(kinds, kind) AS kind)
                FROM grouped LEFT JOIN joined USING ({key_list}, starts_at)
            ), chained AS (
                SELECT *, max(ends_at) {chain} UNBOUNDED PRECEDING) AS until,
                       lead(starts_at) OVER (PARTITION BY {key_list} ORDER BY starts_at) AS next_at,
                       row_number() OVER (PARTITION BY {key_list} ORDER BY starts_at) AS place
                FROM starts
            ), told AS (
                SELECT {key_list}, starts_at AS event_timestamp, kind, starts_at, until, discount,
                       if(next_at <= starts_at + {early}, next_at, NULL) AS next_at
                FROM chained
                UNION ALL
                SELECT {key_list}, next_at - {early}, kind, starts_at, until, discount, next_at
                FROM chained WHERE next_at > starts_at + {early}
                UNION ALL
                SELECT {key_list}, starts_at - {early}, NULL, NULL, NULL, NULL, starts_at
                FROM chained WHERE place = 1
            )
            SELECT {key_list}, event_timestamp, {values} FROM told
            """,
        )

    def column(
        name: str, meaning: str, unit: str, null_means: str = f"none started {place}"
    ) -> FeatureColumn:
        dtype = "str" if name == "kind" else "float"
        return FeatureColumn(f"{prefix}_{name}", dtype, meaning, null_means, unit, "newest start")  # type: ignore[arg-type]

    return FeatureTable(
        f"item_{scope}_promotion" if scope != "all" else "item_promotion",
        keys,
        (
            column("kind", f"kinds of the promotions that started last {place}", ""),
            column("starts_epoch_seconds", "their start", "UTC seconds"),
            column("ends_epoch_seconds", "end of the last to end of those started", "UTC seconds"),
            column("discount", "their largest discount of the price", "share", "none started, or not told"),
            column(
                "next_epoch_seconds",
                "start of the next one",
                "UTC seconds",
                f"none announced {place} for the next {ANNOUNCED_DAYS} days",
            ),
        ),
        "promotions",
        build,
        ttl_days=LONGEST_PROMOTION_DAYS + REMEMBERED_DAYS,
    )


ITEM_STORE_PROMOTION = _promotion_table(
    "store", ("item_id", "store_id"), "store_id IS NOT NULL", "in this store"
)
ITEM_REGION_PROMOTION = _promotion_table(
    "region", ("item_id", "region"), "store_id IS NULL AND region IS NOT NULL", "in this region"
)
ITEM_PROMOTION = _promotion_table("all", ("item_id",), "store_id IS NULL AND region IS NULL", "everywhere")
PROMOTION_TABLES: tuple[FeatureTable, ...] = (ITEM_STORE_PROMOTION, ITEM_REGION_PROMOTION, ITEM_PROMOTION)
