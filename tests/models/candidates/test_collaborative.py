"""The collaborative models against their formulas, on a small random market."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.errors import UsageError
from models.candidates.als import Als, solved
from models.candidates.bpr import Bpr
from models.candidates.ease import Ease
from models.candidates.item_knn import ItemKnn, jaccard, nearest_items, shrunk_cosine
from models.candidates.retriever import decayed_counts, most_popular
from models.interaction_log import InteractionLog

DAY = 86_400
FIT = 42 * DAY


def scored(retriever, log, queries):
    codes = log.encode(queries)
    return retriever.fit(log.before(FIT)).scores(codes, log.expand(codes)).toarray()


def counts(log, cutoff, power):
    """Users x items: baskets with the item before the cut-off, to a power."""
    known = log.before(cutoff)
    found = np.zeros((log.n_users, log.n_items))
    np.add.at(found, (known.user, known.item), known.weight)
    return found**power


def own_rows(log, queries, power):
    return np.array(
        [
            counts(log, cutoff, power)[user] if user >= 0 else np.zeros(log.n_items)
            for user, cutoff in zip(
                log.users.codes(queries["user_id"]), queries["cutoff_epoch_seconds"], strict=True
            )
        ]
    )


@pytest.fixture
def tastes() -> InteractionLog:
    """Two kinds of users who never share an item: of their own 10 items each buys 5, the first ones more."""
    rng = np.random.default_rng(3)
    lines = [
        (f"u{user:02d}", f"i{item + 10 * (user % 2):02d}", time * DAY)
        for user in range(40)
        for item in rng.choice(10, 5, replace=False, p=np.arange(14, 4, -1) / 95)
        for time in (1, 2)
    ]
    frame = pd.DataFrame(lines, columns=["user_id", "item_id", "epoch_seconds"])
    return InteractionLog.from_frame(
        frame.assign(
            category="c",
            event_type="purchase",
            local_day=frame["epoch_seconds"] // DAY,
            local_weekday=0,
            local_midnight_epoch_seconds=frame["epoch_seconds"],
            daypart="midday",
            store_id="m",
            session_id="unknown",
        )
    )


def unbought_by_kind(log, found):
    """(scores of what the user's kind buys and the user does not, scores of the other kind's items)."""
    seen = counts(log, log.known_until, 1.0) > 0
    same = (np.arange(20)[None, :] // 10) == (np.arange(40)[:, None] % 2)
    return found[same & ~seen], found[~same]


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_ease_solves_its_penalised_regression(market_log, market_queries, power):
    found = scored(Ease(2.0, np.inf, power), market_log, market_queries)
    x = counts(market_log, FIT, power)
    weights = np.zeros((14, 14))
    for item in range(14):  # ridge regression of each column on all others: what the closed form equals
        others = [other for other in range(14) if other != item]
        left = x[:, others].T @ x[:, others] + 2 * np.eye(13)
        weights[others, item] = np.linalg.solve(left, x[:, others].T @ x[:, item])
    wanted = np.maximum(own_rows(market_log, market_queries, power) @ weights, 0)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)


def test_ease_stands_counts_that_single_precision_cannot_tell_from_the_penalty(market_log, market_queries):
    heavy = replace(market_log, weight=market_log.weight * np.float32(3e5))
    found = scored(Ease(1e-3, np.inf, 1.0), heavy, market_queries)
    assert np.isfinite(found).all() and found[:-1].any()


def test_capped_models_leave_rare_items_without_a_score(market_log, market_queries):
    kept = most_popular(market_log.before(FIT), 5)
    popularity = np.bincount(market_log.before(FIT).item, minlength=14)
    assert sorted(popularity[kept]) == sorted(popularity)[-5:]
    for retriever in (Ease(item_cap=5), Als(item_cap=5, factors=3)):
        found = scored(retriever, market_log, market_queries)
        assert set(np.flatnonzero(found.any(axis=0))) <= set(kept.tolist())
        assert found[:, kept].any()


def test_als_vectors_minimise_the_weighted_squares(market_log):
    rng = np.random.default_rng(1)
    items = rng.normal(size=(14, 3)).astype(np.float32)
    known = market_log.before(FIT)
    strength = decayed_counts(known.everyone(), 60.0, 1.0)
    found = solved(strength, items, alpha=2.0, l2=0.5)
    for user in range(9):
        r = strength[user].toarray().ravel()
        confidence = 1 + 2 * r
        penalty = 0.5 * np.sqrt((r > 0).sum())

        def loss(vector, confidence=confidence, r=r, penalty=penalty):
            return confidence @ ((r > 0) - items @ vector) ** 2 + penalty * vector @ vector

        at = loss(found[user])
        for axis in np.eye(3):  # a minimum: no step in any direction helps
            assert loss(found[user] + 1e-2 * axis) > at
            assert loss(found[user] - 1e-2 * axis) > at


@pytest.mark.parametrize("size", [1, 4])
def test_als_solves_alike_in_any_portion(market_log, monkeypatch, size):
    items = np.random.default_rng(1).normal(size=(14, 3)).astype(np.float32)
    strength = decayed_counts(market_log.everyone(), 60.0, 1.0)
    whole = solved(strength, items, 2.0, 0.5)
    monkeypatch.setattr("models.candidates.als._SOLVED_AT_ONCE", size)
    np.testing.assert_allclose(solved(strength, items, 2.0, 0.5), whole, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "retriever",
    [
        Ease(l2=50.0),
        Als(factors=4),
        Bpr(factors=4, passes=100),
        ItemKnn(neighbours=9),
    ],
    ids=lambda one: one.name,
)
class TestTastes:
    def test_unbought_items_of_ones_kind_come_first(self, tastes, retriever):
        past = tastes.everyone()
        asked = tastes.encode(everyone_asks(tastes))
        mine, theirs = unbought_by_kind(tastes, retriever.fit(tastes).scores(asked, past).toarray())
        assert np.quantile(mine, 0.1) > np.quantile(theirs, 0.9)

    def test_the_same_seed_gives_the_same_scores(self, market_log, market_queries, retriever):
        once, again = (scored(retriever, market_log, market_queries) for _ in range(2))
        np.testing.assert_array_equal(once, again)
        assert (once >= 0).all()


def everyone_asks(log):
    return pd.DataFrame(
        {
            "user_id": log.users.values,
            "store_id": "m",
            "daypart": "midday",
            "weekday": 0,
            "cutoff_epoch_seconds": log.known_until,
            "fit_epoch_seconds": log.known_until,
        }
    )


def test_bpr_serves_strangers_by_what_sells(tastes):
    stranger = tastes.encode(everyone_asks(tastes).assign(user_id="stranger")[:1])
    fitted = Bpr(factors=2).fit(tastes)
    found = fitted.scores(stranger, tastes.expand(stranger)).toarray()[0]
    popularity = np.bincount(tastes.item, minlength=20)
    assert np.corrcoef(found, popularity)[0, 1] > 0.8
    assert (found > 0).all() and (found < 1).all()


def test_item_knn(market_log, market_queries):
    found = scored(ItemKnn(neighbours=4, shrinkage=3.0), market_log, market_queries)
    x = counts(market_log, FIT, 0.5)
    length = np.linalg.norm(x, axis=0)
    similarity = x.T @ x / (np.outer(length, length) + 3)
    np.fill_diagonal(similarity, 0)
    for row in similarity:
        row[np.argsort(-row, kind="stable")[4:]] = 0
    wanted = own_rows(market_log, market_queries, 0.5) @ similarity
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("similarity", [shrunk_cosine(1.0), jaccard], ids=["cosine", "jaccard"])
def test_nearest_items_in_small_blocks_equal_one_block(market_log, monkeypatch, similarity):
    rows = market_log.everyone().matrix(np.ones(len(market_log), np.float32)).T.tocsr()
    rows.data[:] = 1
    whole = nearest_items(rows, 3, similarity).toarray()
    monkeypatch.setattr("models.candidates.retriever.BLOCK_CELLS", 30)
    np.testing.assert_array_equal(nearest_items(rows, 3, similarity).toarray(), whole)
    assert (np.count_nonzero(whole, axis=1) == 3).all()


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (Ease, "l2", 0.0),
        (Ease, "item_cap", 1),
        (Als, "alpha", -1.0),
        (Als, "sweeps", 0),
        (Bpr, "l2", -0.1),
        (Bpr, "draws", 0),
        (ItemKnn, "neighbours", 0),
        (ItemKnn, "shrinkage", float("nan")),
    ],
)
def test_impossible_parameters_are_refused_by_name(kind, field, value):
    with pytest.raises(UsageError, match=f"^{field} == "):
        replace(kind(), **{field: value})
