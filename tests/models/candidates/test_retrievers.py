"""Every retriever against a slow, literal reading of its formula, on a small random market."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from models.candidates.als import Als
from models.candidates.bpr import Bpr
from models.candidates.covisit import Covisit
from models.candidates.ease import Ease
from models.candidates.item_knn import ItemKnn
from models.candidates.neighbours import UserNeighbours, nearest_users
from models.candidates.personal import Personal
from models.candidates.popular import Popular
from models.candidates.tifu_knn import TifuKnn
from models.interaction_log import InteractionLog

DAY = 86_400
FIT = 42 * DAY


def scored(retriever, log, queries):
    codes = log.encode(queries)
    return retriever.fit(log.before(FIT)).scores(codes, log.expand(codes)).toarray()


def bought_by(market, user, cutoff, half_life=np.inf):
    """Decayed baskets per item of one user before the cut-off."""
    own = market[(market["user_id"] == user) & (market["epoch_seconds"] < cutoff)]
    vector = np.zeros(14)
    for row in own.itertuples():
        vector[int(row.item_id[1:])] += 0.5 ** ((cutoff - row.epoch_seconds) / DAY / half_life)
    return vector


@pytest.mark.parametrize("half_life", [np.inf, 7.0])
def test_personal(market, market_log, market_queries, half_life):
    found = scored(Personal(half_life), market_log, market_queries)
    for row, query in zip(found, market_queries.itertuples(), strict=True):
        wanted = bought_by(market, query.user_id, query.cutoff_epoch_seconds, half_life)
        np.testing.assert_allclose(row, wanted, rtol=1e-5)


@pytest.mark.parametrize(
    ("context", "column"), [("everywhere", None), ("daypart", "daypart"), ("store", "store_id")]
)
def test_popular(market, market_log, market_queries, context, column):
    found = scored(Popular(context, half_life_days=10.0, shrinkage=3.0), market_log, market_queries)
    early = market[market["epoch_seconds"] < FIT]
    early = early.assign(weight=0.5 ** ((FIT - early["epoch_seconds"]) / DAY / 10))
    everything = early.groupby("item_id")["weight"].sum().reindex(market_log.items.values, fill_value=0.0)
    share = everything / everything.sum()
    for row, query in zip(found, market_queries.itertuples(), strict=True):
        here = early[early[column] == getattr(query, column)] if column else early[:0]
        counts = here.groupby("item_id")["weight"].sum().reindex(market_log.items.values, fill_value=0.0)
        np.testing.assert_allclose(row, (counts + 3 * share) / (counts.sum() + 3), rtol=1e-4)


def tifu_vector(market, user, cutoff, params):
    """The paper's two nested means, one basket at a time."""
    own = market[(market["user_id"] == user) & (market["epoch_seconds"] < cutoff)]
    baskets = [set(basket["item_id"]) for _, basket in own.groupby("epoch_seconds")][::-1]
    m = params.group_baskets
    groups = [baskets[start : start + m] for start in range(0, len(baskets), m)]
    vector = np.zeros(14)
    for age, group in enumerate(groups):
        of_group = np.zeros(14)
        for place, basket in enumerate(group):
            for item in basket:
                of_group[int(item[1:])] += params.within_decay**place
        vector += params.across_decay**age * of_group / len(group)
    return vector / max(len(groups), 1)


def test_tifu_knn(market, market_log, market_queries):
    params = TifuKnn(neighbours=3, within_decay=0.9, across_decay=0.6, group_baskets=4, own_share=0.7)
    found = scored(params, market_log, market_queries)
    users = market_log.users.values
    others = np.array([tifu_vector(market, user, FIT, params) for user in users])
    for row, query in zip(found, market_queries.itertuples(), strict=True):
        own = tifu_vector(market, query.user_id, query.cutoff_epoch_seconds, params)
        distance = ((others - own) ** 2).sum(axis=1)
        distance[users == query.user_id] = np.inf
        near = others[np.argsort(distance)[:3]].mean(axis=0)
        np.testing.assert_allclose(row, 0.7 * own + 0.3 * near, rtol=1e-4, atol=1e-7)


def test_user_neighbours(market, market_log, market_queries):
    found = scored(UserNeighbours(3, half_life_days=20.0, power=0.5), market_log, market_queries)
    users = market_log.users.values
    others = np.array([bought_by(market, user, FIT, 20) for user in users]) ** 0.5
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    for row, query in zip(found, market_queries.itertuples(), strict=True):
        own = bought_by(market, query.user_id, query.cutoff_epoch_seconds, 20) ** 0.5
        if not own.any():
            assert not row.any()
            continue
        cosine = others @ own / np.linalg.norm(own)
        cosine[users == query.user_id] = -1
        near = np.argsort(-cosine)[:3]
        wanted = cosine[near] @ others[near] / cosine[near].sum()
        np.testing.assert_allclose(row, wanted, rtol=1e-4, atol=1e-7)


def test_covisit(market, market_log, market_queries):
    params = Covisit(window_days=30, half_life_days=100.0, damping=0.5, companions=4, min_together=2)
    found = scored(params, market_log, market_queries)
    recent = market[(market["epoch_seconds"] < FIT) & (market["epoch_seconds"] >= FIT - 30 * DAY)]
    held = pd.crosstab(recent["session_id"], recent["item_id"]).reindex(columns=market_log.items.values)
    held = held.fillna(0).to_numpy()
    together = held.T @ held
    n = np.diag(together).copy()
    np.fill_diagonal(together, 0)
    similarity = np.where(together >= 2, together / np.sqrt(np.outer(n, n).clip(1)), 0)
    for row in similarity:
        row[np.argsort(-row, kind="stable")[4:]] = 0
    for row, query in zip(found, market_queries.itertuples(), strict=True):
        own = bought_by(market, query.user_id, query.cutoff_epoch_seconds, 100)
        np.testing.assert_allclose(row, own @ similarity, rtol=1e-4, atol=1e-7)


ALL = [
    Personal(30.0),
    Popular(),
    Popular("store"),
    Popular("daypart"),
    TifuKnn(neighbours=3),
    UserNeighbours(3),
    Covisit(min_together=1),
    Ease(l2=1.0),
    Als(factors=3),
    Bpr(factors=3),
    ItemKnn(3),
]


@pytest.mark.parametrize("retriever", ALL, ids=lambda one: one.name)
def test_what_comes_after_the_cutoff_changes_nothing(market, market_log, market_queries, retriever):
    known = market[market["epoch_seconds"] < market_queries["cutoff_epoch_seconds"].min()]
    future = market.assign(
        epoch_seconds=market["epoch_seconds"] + 60 * DAY, session_id="later-" + market["session_id"]
    )
    at_cutoff = market[:9].assign(
        epoch_seconds=market_queries["cutoff_epoch_seconds"].max(), session_id="at the cut-off"
    )
    queries = market_queries.assign(cutoff_epoch_seconds=market_queries["cutoff_epoch_seconds"].min())
    late = pd.concat([known, at_cutoff, future], ignore_index=True)
    before = scored(
        retriever, InteractionLog.from_frame(known).restricted_to(market_log.items.values), queries
    )
    after = scored(retriever, InteractionLog.from_frame(late), queries)
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("retriever", ALL, ids=lambda one: one.name)
def test_an_empty_past_scores_without_failing(market_log, market_queries, retriever):
    nothing = market_log.before(0)
    codes = nothing.encode(market_queries)
    found = retriever.fit(nothing).scores(codes, nothing.expand(codes))
    assert found.shape == (len(market_queries), 14)
    assert np.isfinite(found.toarray()).all()


def test_nearest_users_in_small_blocks_equals_one_block(market_log, monkeypatch):
    everyone = market_log.everyone()
    vectors = everyone.matrix(everyone.weight)
    users = np.arange(market_log.n_users, dtype=np.int32)
    for metric in ("cosine", "euclidean"):
        whole = nearest_users(vectors, users, vectors, users, 4, metric)
        with monkeypatch.context() as patch:
            patch.setattr("models.candidates.retriever.BLOCK_CELLS", 20)
            parts = nearest_users(vectors, users, vectors, users, 4, metric)
        np.testing.assert_array_equal(whole.toarray(), parts.toarray())
        assert all(b - a == 4 for a, b in pairwise(whole.indptr))
        assert not whole.diagonal().any()
