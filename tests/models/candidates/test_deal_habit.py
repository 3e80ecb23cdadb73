"""What was paid beside the usual price, and who buys when it is cheap, against literal readings."""

from __future__ import annotations

import numpy as np
import pytest

from features.errors import UsageError
from models.candidates.deal_habit import DealHabit
from models.interaction_log import InteractionLog
from models.relative_price import relative_prices

DAY = 86_400


@pytest.fixture
def priced(market):
    """The random market with prices that wander by item and day."""
    rng = np.random.default_rng(4)
    quantity = rng.integers(1, 4, len(market)).astype(float)
    price = (1 + market["item_id"].str[1:].astype(int)) * np.exp(rng.normal(0, 0.2, len(market)))
    price[rng.random(len(market)) < 0.1] = 0.0  # given away, or not told
    return market.assign(quantity=quantity, amount=price * quantity)


def literally(log, priced) -> np.ndarray:
    lines = priced.drop_duplicates(["session_id", "item_id"])
    found = []
    for user, item, time in zip(log.user, log.item, log.time, strict=True):
        item, user = log.items.values[item], log.users.values[user]
        own = lines[(lines["item_id"] == item)]
        row = own[(own["user_id"] == user) & (own["epoch_seconds"] == time)].iloc[0]
        age = row["local_day"] - own["local_day"]
        earlier = own[(age > 0) & (age <= 90) & (own["amount"] > 0)]
        if len(earlier) < 3 or row["amount"] == 0:
            found.append(np.nan)
        else:
            usual = np.exp(np.log(earlier["amount"] / earlier["quantity"]).mean())
            found.append(row["amount"] / row["quantity"] / usual)
    return np.array(found)


def test_the_relative_price_knows_only_earlier_days(priced) -> None:
    log = InteractionLog.from_frame(priced)
    wanted = literally(log, priced)
    assert 0.1 < np.isnan(wanted).mean() < 0.5
    np.testing.assert_allclose(log.relative_price, wanted, rtol=1e-4)
    early = log.time < 40 * DAY
    cut = InteractionLog.from_frame(priced[priced["epoch_seconds"] < 40 * DAY])
    np.testing.assert_array_equal(cut.relative_price, log.relative_price[early])


def test_prices_that_nobody_told(market) -> None:
    assert InteractionLog.from_frame(market).relative_price is None
    assert InteractionLog.from_frame(market.assign(quantity=1.0, amount=0.0)).relative_price is None
    days = np.array([1, 2], dtype=np.int32)
    assert np.isnan(relative_prices(days, days, np.array([np.nan, 0.0]))).all()


def test_what_a_user_pays_beside_the_usual(priced, market_queries) -> None:
    log = InteractionLog.from_frame(priced)
    codes = log.encode(market_queries)
    histories = log.expand(codes)
    found = DealHabit().fit(log).scores(codes, histories).toarray()
    off = np.log(histories.relative_price)
    for query in range(len(market_queries)):
        own = (histories.query == query) & ~np.isnan(off)
        usual = off[own].sum() / (own.sum() + 20)
        for item in range(log.n_items):
            of_item = off[own & (histories.item == item)]
            wanted = np.exp((of_item.sum() + usual) / (len(of_item) + 1))
            assert found[query, item] == pytest.approx(wanted, rel=1e-4)


def test_without_prices_there_is_no_opinion(market_log, market_queries) -> None:
    codes = market_log.encode(market_queries)
    assert DealHabit().fit(market_log).scores(codes, market_log.expand(codes)).nnz == 0
    with pytest.raises(UsageError, match="user_shrinkage == 0, must be > 0"):
        DealHabit(user_shrinkage=0)
