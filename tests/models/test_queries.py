"""The protocol: which baskets ask, what they may know, how weeks split."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest

from features.errors import UsageError
from features.scenes import SCENE_PARTS
from models.interaction_log import InteractionLog
from models.queries import QUERY_COLUMNS, QueryParams, build_queries, scoring_queries, usual_scenes

DAY = 86_400
AS_OF = datetime(1970, 2, 23, tzinfo=UTC)  # a Monday, day 53
PARAMS = QueryParams(min_items=2, min_earlier_baskets=3, train_weeks=2, validation_weeks=1, test_weeks=1)


@pytest.fixture
def asked(market_log):
    return build_queries(market_log, AS_OF, "UTC", PARAMS)


def test_queries_equal_a_loop_over_baskets(market, asked):
    baskets = market.groupby(["user_id", "session_id"], as_index=False).agg(
        time=("epoch_seconds", "min"), day=("local_day", "min"), n=("item_id", "nunique")
    )
    wanted = []
    for basket in baskets.itertuples():
        own = baskets[(baskets["user_id"] == basket.user_id) & (baskets["time"] < basket.day * DAY)]
        if 53 - 28 <= basket.day < 53 and basket.n >= 2 and len(own) >= 3:
            wanted.append((basket.user_id, basket.day, basket.n))
    found = asked.queries[["user_id", "local_day", "n_items"]].itertuples(index=False, name=None)
    assert sorted(found) == sorted(wanted)
    assert list(asked.queries) == list(QUERY_COLUMNS)
    assert asked.queries["query_id"].tolist() == list(range(len(wanted)))


def test_splits_are_whole_local_weeks_and_models_are_fitted_on_monday(asked):
    queries = asked.queries
    monday = queries["local_day"] - queries["weekday"]
    wanted = {25: "train", 32: "train", 39: "validation", 46: "test"}
    assert (queries["split"] == monday.map(wanted)).all()
    assert (queries["fit_epoch_seconds"] == monday * DAY).all()
    assert (queries["cutoff_epoch_seconds"] == queries["local_day"] * DAY).all()


def test_truth_is_the_basket(market, asked):
    counts = asked.truth.groupby("query_id").size()
    assert counts.tolist() == asked.queries["n_items"].tolist()
    first = asked.queries.iloc[0]
    mine = market[(market["user_id"] == first["user_id"]) & (market["local_day"] == first["local_day"])]
    assert set(asked.truth.loc[asked.truth["query_id"] == 0, "item_id"]) <= set(mine["item_id"])
    test = asked.of_split("test")
    assert set(test.truth["query_id"]) == set(test.queries["query_id"])


def test_of_more_baskets_than_may_ask_an_even_draw_does(market_log, asked):
    params = replace(PARAMS, most_train=10, most_judged=6)
    drawn = build_queries(market_log, AS_OF, "UTC", params)
    assert drawn.queries["split"].value_counts().to_dict() == {"train": 10, "validation": 6, "test": 6}
    own = ["user_id", "cutoff_epoch_seconds", "fit_epoch_seconds", "split", "n_items"]
    assert set(drawn.queries[own].itertuples(index=False)) <= set(asked.queries[own].itertuples(index=False))
    days = asked.of_split("train").queries["local_day"]
    assert drawn.of_split("train").queries["local_day"].median() == pytest.approx(days.median(), abs=4)
    assert drawn.truth.groupby("query_id").size().tolist() == drawn.queries["n_items"].tolist()
    again = build_queries(market_log, AS_OF, "UTC", params)
    pd.testing.assert_frame_equal(again.queries, drawn.queries)


def test_the_future_asks_nothing(market, asked):
    later = market.assign(
        epoch_seconds=market["epoch_seconds"] + 60 * DAY,
        local_day=market["local_day"] + 60,
        local_midnight_epoch_seconds=market["local_midnight_epoch_seconds"] + 60 * DAY,
        session_id="later-" + market["session_id"],
    )
    everything = InteractionLog.from_frame(pd.concat([market, later], ignore_index=True))
    again = build_queries(everything, AS_OF, "UTC", PARAMS)
    pd.testing.assert_frame_equal(again.queries, asked.queries)
    pd.testing.assert_frame_equal(again.truth, asked.truth)


def test_nobody_asking_is_an_error_with_its_remedy(market_log):
    with pytest.raises(UsageError, match="load more history"):
        build_queries(market_log, datetime(1999, 1, 1, tzinfo=UTC), "UTC", PARAMS)
    with pytest.raises(UsageError, match="must be >= 1"):
        QueryParams(train_weeks=0, validation_weeks=0, test_weeks=0)


def test_scoring_queries_know_local_midnight_and_nothing_after_as_of():
    people = pd.DataFrame(
        {
            "user_id": ["u", "v"],
            "timezone": ["America/New_York", "Asia/Tokyo"],
            "daypart": ["morning", "late"],
            **dict.fromkeys(SCENE_PARTS, "unknown"),
            "store_id": ["m1", "unknown"],
        }
    )
    as_of = datetime(2017, 12, 5, tzinfo=UTC)
    asked = scoring_queries(people, date(2017, 12, 5), as_of)
    assert list(asked) == list(QUERY_COLUMNS)
    tokyo = int(datetime(2017, 12, 4, 15, tzinfo=UTC).timestamp())
    assert asked["cutoff_epoch_seconds"].tolist() == [int(as_of.timestamp()), tokyo]
    assert asked["fit_epoch_seconds"].unique().tolist() == [tokyo - DAY]
    assert asked["weekday"].tolist() == [1, 1]
    assert asked["store_id"].tolist() == ["m1", "unknown"]
    assert asked["device"].tolist() == ["unknown"] * 2
    with pytest.raises(UsageError, match="brunch"):
        scoring_queries(people.assign(daypart="brunch"), date(2017, 12, 5), as_of)
    assert scoring_queries(people[:0], date(2017, 12, 5), as_of).empty


def test_the_usual_scene_follows_recent_baskets(market):
    early = market["local_day"] < 30
    moved = market.assign(
        store_id=np.where(early, "old", "new"),
        region=np.where(early, "north", "south"),
        device=pd.Categorical(np.where(early, "ios", "android")),
    )
    usual = usual_scenes(InteractionLog.from_frame(moved), half_life_days=5.0)
    assert usual["user_id"].tolist() == sorted(market["user_id"].unique())
    assert usual.columns.tolist() == ["user_id", *SCENE_PARTS]
    assert (usual["store_id"] == "new").all()
    assert (usual["region"] == "south").all()
    assert (usual["device"] == "android").all()
    assert (usual[["network", "channel"]] == "unknown").all(axis=None)


def test_the_usual_scene_is_that_of_the_usual_store(market):
    """Most baskets are on ios, most of those in the favourite store are not."""
    place = market.groupby("user_id")["session_id"].rank("dense")
    scenes = market.assign(
        local_day=0,
        epoch_seconds=place.astype(int),
        store_id=np.where(place <= 5, "a", np.where(place % 2 == 0, "b", "c")),
        device=np.where(place <= 3, "web", "ios"),
    )
    usual = usual_scenes(InteractionLog.from_frame(scenes))
    assert (usual["store_id"] == "a").all()
    assert (usual["device"] == "web").all()


def test_a_query_has_the_scene_of_its_basket(market, asked):
    device = "d" + (market["epoch_seconds"] % 3).astype(str)
    by_session = market.assign(device=device).groupby("session_id")["device"].first()
    scenes = market.assign(device=market["session_id"].map(by_session), region="unknown")
    again = build_queries(InteractionLog.from_frame(scenes), AS_OF, "UTC", PARAMS)
    columns = [name for name in QUERY_COLUMNS if name != "device"]
    pd.testing.assert_frame_equal(again.queries[columns], asked.queries[columns])
    assert again.queries["device"].str.match("d[012]").all()
    assert (asked.queries["device"] == "unknown").all()
    one = again.queries.iloc[0]
    own = scenes[(scenes["user_id"] == one["user_id"]) & (scenes["local_day"] == one["local_day"])]
    assert one["device"] in set(own["device"])
