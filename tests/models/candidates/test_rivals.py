"""What promotions do to a whole category, against a literal reading of the definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.candidates.promoted import Promoted
from models.candidates.rivals import Rivals


def test_the_multiple_is_that_of_the_categorys_expected_sales(shop_log, market_queries) -> None:
    codes = shop_log.encode(market_queries)
    histories = shop_log.expand(codes)
    fit = int(codes.fit.max())
    known = shop_log.before(fit)
    found = Rivals().fit(known).scores(codes, histories).toarray()

    context = Promoted(min_lift=0.0).fit(known)
    lifts = context.lifts(codes).toarray()
    lifts[lifts == 0] = 1
    assert (lifts != 1).any()
    category = known.item_category
    for query in range(len(codes)):
        store = codes.store[query]
        sold, visits = context.sold[store].toarray()[0], context.visits[store]
        rate = (sold + 1_000 * context.rate) / (visits + 1_000)
        for item in range(shop_log.n_items):
            kin = category == category[item]
            wanted = (rate * lifts[query])[kin].sum() / rate[kin].sum()
            assert found[query, item] == pytest.approx(wanted, rel=1e-4)
    assert np.abs(found - 1).max() > 0.05


def test_an_item_of_no_category_has_no_rivals(shop_log, market_queries) -> None:
    codes = shop_log.encode(market_queries)
    category = shop_log.item_category.copy()
    category[::2] = -1
    log = replace(shop_log, item_category=category)
    found = Rivals().fit(log.before(int(codes.fit.max()))).scores(codes, log.expand(codes)).toarray()
    assert (found[:, ::2] == 1).all()
    assert (found[:, 1::2] != 1).any()


def test_without_promotions_there_is_no_opinion(market_log, market_queries) -> None:
    codes = market_log.encode(market_queries)
    assert Rivals().fit(market_log).scores(codes, market_log.expand(codes)).nnz == 0
