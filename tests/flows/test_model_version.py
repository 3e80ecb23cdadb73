"""A ranker in the making on the small market: graded labels, a search over rolling origins, test unread."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time

import pandas as pd
import pytest
from small_market import AS_OF

from flows.model_version import graded, make_ranker
from flows.ranking_rows import learnt_cut, ranking_set
from flows.training_data import TrainingData, read_queries, read_training_data, training_data
from flows.training_plan import TrainingPlan, training_plan
from flows.wiring import Stores, open_stores
from models.queries import QuerySet
from models.relevance import Engagements
from models.search import SearchParams

MOMENT = datetime.combine(AS_OF, time(), UTC)


@pytest.fixture
def making(first_cycle) -> tuple[Stores, TrainingData, QuerySet, TrainingPlan]:
    """What a version of the first cycle's home is made from, at a size for a test."""
    stores = open_stores()
    data = training_data(MOMENT)
    plan = training_plan(stores.settings)
    plan = replace(plan, ranker=replace(plan.ranker, max_trees=30, min_rows_per_leaf=500, threads=1))
    queries = read_queries(data, plan.queries)
    few = queries.queries[queries.queries["query_id"] % 6 == 0].reset_index(drop=True)
    truth = queries.truth[queries.truth["query_id"].isin(few["query_id"])].reset_index(drop=True)
    return stores, data, QuerySet(few, truth), plan


def test_history_may_be_bounded(making) -> None:
    stores, whole, queries, plan = making
    short = read_training_data(stores, MOMENT, plan.queries, plan.catalogue, history_days=21)
    first = int(queries.queries["fit_epoch_seconds"].min())
    assert whole.log.time.min() < first - 21 * 86_400 <= short.log.time.min()
    assert short.log.time.max() == whole.log.time.max()
    assert short.sessions["epoch_seconds"].min() >= first - 21 * 86_400
    assert set(read_queries(short, plan.queries).queries["split"]) == {"train", "validation", "test"}


def test_purchases_alone_are_graded_as_they_are(making) -> None:
    _, data, queries, plan = making
    assert data.engagements is not None
    assert data.engagements.target == "purchase"
    assert graded(data, queries, plan).truth is queries.truth


def test_what_taught_the_cut_need_not_be_found_again(making, monkeypatch: pytest.MonkeyPatch) -> None:
    import flows.ranking_rows as module

    stores, data, queries, plan = making
    train = queries.of_split("train")
    taught = learnt_cut(data, train, replace(plan.cut, queries=len(train.queries) // 2, keep=20, threads=1))
    assert taught.cut is not None
    assert taught.candidates["query_id"].nunique() == len(train.queries) // 2
    assert taught.candidates.groupby("query_id").size().max() == 20
    whole = ranking_set(stores.features, data, train.queries, train.truth, plan.sampling, cut=taught.cut)

    asked: list[int] = []
    find = module.blend_candidates
    monkeypatch.setattr(
        module, "blend_candidates", lambda log, q, **cut: asked.append(len(q)) or find(log, q, **cut)
    )
    again = ranking_set(
        stores.features,
        data,
        train.queries,
        train.truth,
        plan.sampling,
        cut=taught.cut,
        known=taught.candidates,
    )
    assert sum(asked) == len(train.queries) - len(train.queries) // 2
    pd.testing.assert_frame_equal(again.features, whole.features)
    pd.testing.assert_series_equal(again.item_id, whole.item_id)
    assert (again.query_id == whole.query_id).all()
    assert (again.label == whole.label).all()


def test_looks_count_for_learning(making) -> None:
    _, data, queries, plan = making
    asked = queries.of_split("train")
    looked = asked.queries[["user_id", "local_day"]].assign(
        item_id=data.log.items.decode([0])[0], event_type="view"
    )
    told = graded(replace(data, engagements=Engagements("purchase", looked)), asked, plan)
    weak = told.truth[told.truth["relevance"] < 1]
    assert set(weak["relevance"]) == {plan.relevance.view}
    assert len(told.truth) == len(asked.truth) + len(weak)
    assert told.truth["relevance"].max() == 1.0


def test_a_search_changes_the_ranker_and_never_asks_of_test(making, monkeypatch: pytest.MonkeyPatch) -> None:
    import flows.model_version as module

    stores, data, queries, plan = making
    asked: list[pd.DataFrame] = []
    read = module.ranking_set

    def watched(features, data, queries, *others):
        asked.append(queries)
        return read(features, data, queries, *others)

    monkeypatch.setattr(module, "ranking_set", watched)
    # No leaf may ever be so large: nothing is learnt until the search finds another size.
    plan = replace(plan, ranker=replace(plan.ranker, min_rows_per_leaf=10_000_000))
    plain = make_ranker(stores, data, queries, plan)
    assert [sorted(set(one["split"])) for one in asked] == [["train"], ["validation"]]
    search = SearchParams(minutes=2.0, trials=6, origins=2, max_trees=20, queries_per_origin=30)
    searched = make_ranker(stores, data, queries, replace(plan, search=search))
    assert {split for one in asked for split in one["split"]} == {"train", "validation"}
    assert searched.features == plain.features
    assert len(asked) > 4, "the search looks at an origin in the train weeks too"
    assert searched.models != plain.models
