"""Queries of any source: who asks, how sessions are split, what each may know."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.errors import UsageError
from models.interaction_log import InteractionLog
from models.queries import QUERY_COLUMNS, SPLITS
from models.session_queries import (
    NEVER,
    TEST,
    TRAIN,
    VALIDATION,
    SessionParams,
    SplitInstants,
    event_worths,
    fit_instants,
    session_queries,
    split_instants,
)

DAY = 86_400


def asked(log: InteractionLog, params: SessionParams = SessionParams()):
    return session_queries(log, split_instants(log, params), params)


def told(market: pd.DataFrame, parts: dict[int, int]) -> InteractionLog:
    """The market as a source that splits its own events: weekday -> part; others are in none."""
    part = market["local_weekday"].map(parts).fillna(-1).astype(int)
    session = market["session_id"] + "/" + part.astype(str)
    return InteractionLog.from_frame(market.assign(part=part, session_id=session))


def test_every_session_asks_also_a_newcomers_first(market, market_log):
    queries = asked(market_log).asked.queries
    assert list(queries) == list(QUERY_COLUMNS)
    sessions = market.groupby(["user_id", "session_id"])["local_day"].min().reset_index()
    later = sessions[sessions["local_day"] > market["local_day"].min()]  # before, nothing is known of anybody
    wanted = sorted(later[["user_id", "local_day"]].itertuples(index=False, name=None))
    assert sorted(queries[["user_id", "local_day"]].itertuples(index=False, name=None)) == wanted
    assert (queries["cutoff_epoch_seconds"] == queries["local_day"] * DAY).all()


def test_time_splits_whole_days_as_near_to_the_shares_as_days_allow(market_log):
    queries = asked(market_log).asked.queries
    days = {split: queries.loc[queries["split"] == split, "local_day"] for split in SPLITS}
    assert days["train"].max() < days["validation"].min()
    assert days["validation"].max() < days["test"].min()
    shares = queries["split"].value_counts(normalize=True)
    assert shares["train"] == pytest.approx(0.7, abs=0.05)
    assert shares["test"] == pytest.approx(0.2, abs=0.05)


def test_models_of_a_query_have_seen_nobodys_day(market_log):
    params = SessionParams(train_fits=3, validation_fits=1, test_fits=2)
    queries = asked(market_log, params).asked.queries
    assert (queries["fit_epoch_seconds"] <= queries["cutoff_epoch_seconds"]).all()
    fits = queries.groupby("split")["fit_epoch_seconds"].nunique()
    assert fits.to_dict() == {"train": 3, "validation": 1, "test": 2}
    starts = queries.groupby("fit_epoch_seconds")["cutoff_epoch_seconds"].min()
    assert (starts.index == starts).all()


def test_the_sources_own_split_wins_and_the_rest_is_history(market):
    log = told(market, {0: TRAIN, 1: TRAIN, 2: TRAIN, 3: VALIDATION, 5: TEST})
    assert split_instants(log, SessionParams()) == SplitInstants(NEVER)
    queries = asked(log).asked.queries
    first_day = market["local_day"].min()
    rows = market[(market["local_day"] > first_day) | market["local_weekday"].isin([3, 5])]
    for split, weekdays in (("train", [0, 1, 2]), ("validation", [3]), ("test", [5])):
        own = queries[queries["split"] == split]
        assert set(own["weekday"]) <= set(weekdays)
        assert len(own) == rows[rows["local_weekday"].isin(weekdays)]["session_id"].nunique()


def test_a_source_without_validation_gives_its_newest_training_sessions(market):
    log = told(market, {0: TRAIN, 1: TRAIN, 2: TRAIN, 3: TRAIN, 5: TEST})
    queries = asked(log).asked.queries
    train, validation = (queries[queries["split"] == split] for split in ("train", "validation"))
    assert train["local_day"].max() < validation["local_day"].min()
    assert len(validation) / (len(train) + len(validation)) == pytest.approx(0.125, abs=0.08)
    assert set(queries.loc[queries["split"] == "test", "weekday"]) == {5}


def test_a_split_without_test_is_an_error_with_its_remedy(market):
    with pytest.raises(UsageError, match=r"no test session in events.split.*train, validation, test"):
        split_instants(told(market, {0: TRAIN, 1: VALIDATION}), SessionParams())


def test_only_targets_make_a_query_and_its_truth(market):
    bought = market["item_id"].isin(["i00", "i01", "i02", "i03"])
    kinds = market.assign(event_type=np.where(bought, "purchase", "view"))
    log = InteractionLog.from_frame(kinds, event_worths({"purchase", "view"}))
    found = asked(log).asked
    assert set(found.truth["item_id"]) == {"i00", "i01", "i02", "i03"}
    assert (found.truth["relevance"] == 1).all()
    assert found.truth.groupby("query_id").size().tolist() == found.queries["n_items"].tolist()
    assert len(found.queries) < log.basket.max() + 1


def test_limits_keep_the_newest_training_queries_and_draw_the_others(market_log):
    everything = asked(market_log)
    few = SessionParams(train_queries=10, validation_queries=4, test_queries=6)
    less = asked(market_log, few)
    assert dict(less.available) == dict(everything.available)
    counts = less.asked.queries["split"].value_counts()
    assert counts.to_dict() == {"train": 10, "validation": 4, "test": 6}
    days = everything.asked.queries.query("split == 'train'")["local_day"].sort_values()
    kept = less.asked.queries.query("split == 'train'")["local_day"]
    assert sorted(kept) == days.tolist()[-10:]
    again = asked(market_log, few)
    pd.testing.assert_frame_equal(less.asked.queries, again.asked.queries)
    other = asked(market_log, replace(few, seed=1)).asked.queries
    assert not other.equals(less.asked.queries)


def test_fewer_days_than_parts_are_cut_within(market):
    one_day = market.assign(
        epoch_seconds=market["epoch_seconds"] % DAY, local_day=0, local_midnight_epoch_seconds=0
    )
    log = InteractionLog.from_frame(one_day)
    instants = split_instants(log, SessionParams())
    assert not instants.whole_days
    found = session_queries(log, instants, SessionParams())
    assert set(found.asked.queries["split"]) == set(SPLITS)
    assert (found.asked.queries["fit_epoch_seconds"] == 0).all()


def test_fit_instants_are_at_most_as_many_as_days():
    assert fit_instants(np.array([5, 5, 5]), 4).tolist() == [5, 5, 5]
    uneven = np.array([1] * 90 + [2] * 5 + [3] * 5)
    assert set(fit_instants(uneven, 2).tolist()) == {1, 2}


def test_what_a_source_lacks_is_worth_nothing():
    assert event_worths({"view"}) == {"view": 1.0}
    with pytest.raises(UsageError, match="no event concerns an item"):
        event_worths({"app_open"})
    with pytest.raises(UsageError, match=r"write 0\.7 and 0\.1"):
        SessionParams(train_share=0.9, validation_share=0.1)
