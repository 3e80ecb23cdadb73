"""Content against its formulas: words in common, rare words first, nothing to say without texts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.errors import UsageError
from models.candidates.content import Content, tf_idf, word_counts
from models.shop import NO_SHOP, Shop

DAY = 86_400
FIT = 42 * DAY
KINDS = ("red wine", "white wine", "oat milk", "cow milk", "milk chocolate", "")
TEXTS = tuple(f"{KINDS[item % 6]} {item}" if KINDS[item % 6] else "" for item in range(14))


@pytest.fixture
def told_log(market_log):
    """The market's log with a text for most items."""
    return market_log.with_shop(_shop(TEXTS))


def _shop(texts) -> Shop:
    return replace(NO_SHOP, texts=texts, user_region=np.full(9, -1, dtype=np.int32))


def scored(retriever, log, queries):
    codes = log.encode(queries)
    return retriever.fit(log.before(FIT)).scores(codes, log.expand(codes)).toarray()


def own_rows(log, queries):
    codes = log.encode(queries)
    histories = log.expand(codes)
    return histories.matrix(histories.weight).toarray()


def test_cosine_of_the_users_words_and_the_items(told_log, market_queries):
    found = scored(Content(), told_log, market_queries)
    words = sorted({word for text in TEXTS for word in text.split()})
    counts = np.array([[text.split().count(word) for word in words] for text in TEXTS])
    rarity = 1 + np.log(15 / (1 + (counts > 0).sum(axis=0)))
    items = np.where(counts > 0, rarity, 0)
    items = items / np.maximum(np.linalg.norm(items, axis=1, keepdims=True), 1e-12)
    for row, own in zip(found, own_rows(told_log, market_queries), strict=True):
        profile = own @ items
        wanted = items @ profile / max(np.linalg.norm(profile), 1e-12)
        np.testing.assert_allclose(row, wanted, rtol=1e-4, atol=1e-6)
    assert not found[:, [5, 11]].any()  # items without a text


def test_jaccard_is_the_share_of_words_in_common(told_log, market_queries):
    found = scored(Content("jaccard", neighbours=14), told_log, market_queries)
    sets = [set(text.split()) for text in TEXTS]
    alike = np.array([[len(a & b) / max(len(a | b), 1) if a is not b else 0 for b in sets] for a in sets])
    wanted = own_rows(told_log, market_queries) @ alike
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_popularity_decides_among_equals(told_log, market_queries):
    plain, led = (scored(Content(popularity_power=p), told_log, market_queries) for p in (0.0, 0.5))
    sold = np.bincount(told_log.before(FIT).item, minlength=14)
    np.testing.assert_allclose(led, plain * np.sqrt(1 + sold), rtol=1e-5)


@pytest.mark.parametrize("likeness", ["cosine", "jaccard"])
def test_without_texts_it_has_no_opinion(market_log, market_queries, likeness):
    for log in (market_log, market_log.with_shop(_shop(("",) * 14))):
        assert not scored(Content(likeness), log, market_queries).any()


def test_words_are_counted_in_any_case_and_script():
    assert word_counts(["Käse käse BRIE", "brie-8"]).toarray().tolist() == [[0, 1, 2], [1, 1, 0]]
    lengths = np.linalg.norm(tf_idf(word_counts(["a b b", "b", ""])).toarray(), axis=1)
    np.testing.assert_allclose(lengths, [1, 1, 0], rtol=1e-6)


def test_an_unknown_likeness_is_refused():
    with pytest.raises(UsageError, match="'cosine' or 'jaccard'"):
        Content("dice")
