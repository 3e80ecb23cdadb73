"""Who may be pushed at all, as training and planning read it."""

from __future__ import annotations

from datetime import UTC, datetime

import duckdb
import pandas as pd
import pytest

from features.errors import RefusedError
from flows.training_data import USERS_WITH_CONSENT, country_of, read_shop, require_consent, sessions_of
from models.interaction_log import InteractionLog


@pytest.fixture
def shop() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(
        """
        CREATE TABLE users AS SELECT * FROM (VALUES
            ('stays', TRUE, 'en_US'), ('left', TRUE, 'en_US'), ('complained', TRUE, 'de_DE'),
            ('never', FALSE, 'en_US')) AS t(user_id, push_consent, locale);
        CREATE TABLE events AS SELECT * FROM (VALUES
            ('stays', 'purchase'), ('left', 'opt_out'), ('left', 'opt_out'), ('complained', 'complaint'),
            ('never', 'view')) AS t(user_id, event_type);
        """
    )
    return connection


def test_an_opt_out_or_a_complaint_withdraws_consent(shop) -> None:
    users = shop.sql(USERS_WITH_CONSENT).df()
    assert users.columns.tolist() == ["user_id", "push_consent", "locale"]
    consent = dict(zip(users["user_id"], users["push_consent"], strict=True))
    assert consent == {"stays": True, "left": False, "complained": False, "never": False}


def test_a_shop_without_consent_is_refused_in_one_line() -> None:
    with pytest.raises(RefusedError, match="none of 2 users has push_consent") as refusal:
        require_consent(pd.DataFrame({"push_consent": [False, None]}))
    assert refusal.value.exit_code == 3
    assert "\n" not in str(refusal.value)
    require_consent(pd.DataFrame({"push_consent": [False, True]}))


def test_a_session_starts_with_its_first_event() -> None:
    history = pd.DataFrame(
        {
            "user_id": ["b", "a", "a", "a"],
            "session_id": ["2", "1", "1", "3"],
            "store_id": ["s2", "late", "early", "s3"],
            "daypart": ["evening", "evening", "midday", "night"],
            "local_day": [5, 5, 5, 6],
            "epoch_seconds": [400, 300, 200, 500],
        }
    )
    sessions = sessions_of(history)
    assert sessions["user_id"].tolist() == ["a", "a", "b"]
    assert sessions["store_id"].tolist() == ["early", "s3", "s2"]


def test_the_country_is_that_of_most_users() -> None:
    locales = pd.DataFrame({"locale": ["de_DE", "en_US", "es_US", None, "unknown"]})
    assert country_of(locales) == "US"
    assert country_of(pd.DataFrame({"locale": ["unknown", None]})) == ""


def test_the_shop_is_what_the_lake_tells_of_eligible_items(shop) -> None:
    shop.execute(
        """
        SET TimeZone = 'UTC';
        CREATE TABLE items AS SELECT * FROM (VALUES
            ('bun', 'Bun', 'food > bread', 'Oat', 'fresh', TIMESTAMPTZ '2020-01-01 00:00Z'),
            ('rye', 'Rye', 'food > bread', 'unknown', NULL, NULL),
            ('sold by few', 'Boat', 'sea', 'unknown', NULL, NULL)
        ) AS t(item_id, title, category_path, brand, tags, created_ts);
        CREATE TABLE promotions AS SELECT * FROM (VALUES
            ('bun', NULL, NULL, 'm', TIMESTAMPTZ '2020-02-03 00:00Z', TIMESTAMPTZ '2020-02-10 00:00Z'),
            (NULL, 'food', NULL, NULL, TIMESTAMPTZ '2020-02-17 00:00Z', NULL),
            ('sold by few', NULL, NULL, NULL, TIMESTAMPTZ '2020-02-03 00:00Z', NULL)
        ) AS t(item_id, category_path, region, store_id, starts_at, ends_at);
        ALTER TABLE promotions ADD COLUMN kind VARCHAR DEFAULT 'display';
        ALTER TABLE promotions ADD COLUMN discount DOUBLE;
        """
    )
    log = InteractionLog.from_frame(
        pd.DataFrame(
            {
                "user_id": ["stays", "left", "left"],
                "item_id": ["bun", "rye", "sold by few"],
                "category": "food > bread",
                "event_type": "purchase",
                "epoch_seconds": 1_580_000_000,
                "local_day": 18_287,
                "local_weekday": 0,
                "local_midnight_epoch_seconds": 1_579_996_800,
                "daypart": "midday",
                "store_id": "m",
                "session_id": ["1", "2", "2"],
            }
        )
    ).restricted_to(["bun", "rye"])
    users = pd.DataFrame(
        {"user_id": ["left", "stays"], "region": ["north", "unknown"], "segment": ["a", "b"]}
    )
    found = read_shop(shop, log, users, datetime(2020, 2, 10, tzinfo=UTC))
    assert found.texts == ("bun food > bread oat fresh", "rye food > bread")
    assert found.created.tolist() == [1_577_836_800, -1]
    # A promotion of a category is one of each of its items, and those to come are announced.
    rows = zip(found.promo_item, found.promo_store, found.promo_start, found.promo_end, strict=True)
    feb = int(datetime(2020, 2, 1, tzinfo=UTC).timestamp())
    days = sorted((int(i), int(s), (a - feb) // 86_400, (b - feb) // 86_400) for i, s, a, b in rows)
    assert days == [(0, -1, 16, 106), (0, 0, 2, 9), (1, -1, 16, 106)]
    assert found.user_region.tolist() == [0, -1]
    assert found.user_segment.tolist() == [0, 1]
