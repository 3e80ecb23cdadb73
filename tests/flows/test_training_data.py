"""Who may be pushed at all, as training and planning read it."""

from __future__ import annotations

import duckdb
import pandas as pd
import pytest

from features.errors import RefusedError
from flows.training_data import _USERS, country_of, require_consent, sessions_of


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
    users = shop.sql(_USERS).df()
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
