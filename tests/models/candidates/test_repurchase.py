"""What is due again, on the random market and on one with planted rhythms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.errors import UsageError
from models.candidates.repurchase import Pairs, Repurchase
from models.interaction_log import InteractionLog

DAY = 86_400
FIT = 42 * DAY


def test_only_what_was_bought_may_be_due(market_log, market_queries):
    codes = market_log.encode(market_queries)
    histories = market_log.expand(codes)
    found = Repurchase().fit(market_log.before(FIT)).scores(codes, histories)
    np.testing.assert_array_equal(found.toarray() > 0, histories.matrix(histories.weight).toarray() > 0)
    assert found.data.max() < 1


def test_intervals_are_days_at_risk_per_repeat(market, market_log):
    known = market_log.before(FIT)
    fitted = Repurchase(shrinkage=3.0).fit(known)
    early = market[market["epoch_seconds"] < FIT]
    by_pair = early.groupby(["item_id", "user_id"])["epoch_seconds"]
    at_risk = ((known.known_until - by_pair.min()) / DAY).groupby("item_id").sum()
    repeats = (by_pair.count() - 1).groupby("item_id").sum()
    usual = at_risk.sum() / repeats.sum()
    wanted = (at_risk + 3 * usual) / (repeats + 3)
    np.testing.assert_allclose(fitted.interval, wanted.reindex(market_log.items.values), rtol=1e-5)


def test_an_own_interval_is_shrunk_to_the_items(market_log):
    everyone = market_log.everyone()
    usual = np.full(14, 9.0, dtype=np.float32)
    own = {}
    for shrinkage in (1e-6, 1e9):
        pairs = Pairs.of(everyone, usual, Repurchase(shrinkage=shrinkage))
        own[shrinkage] = np.exp(pairs.inputs[:, 5])
    np.testing.assert_allclose(own[1e9], 9.0, rtol=1e-5)
    user, item = pairs.query, pairs.item
    for place in range(0, len(user), 7):
        times = np.sort(market_log.time[(market_log.user == user[place]) & (market_log.item == item[place])])
        wanted = np.diff(times).mean() / DAY if len(times) > 1 else 9.0
        assert own[1e-6][place] == pytest.approx(wanted, rel=1e-3)


def rhythmic_log(n_users: int = 60, n_days: int = 120) -> InteractionLog:
    """Everyone shops daily: 'week' every 7th day, 'month' every 28th, from a day of their own, and 'any'."""
    rows = [
        (f"u{user:02d}", item, day)
        for user in range(n_users)
        for day in range(n_days)
        for item, every in (("week", 7), ("month", 28), (f"any{(user * 31 + day * 17) % 5}", 1))
        if (day + user) % every == 0
    ]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "day"])
    return InteractionLog.from_frame(
        frame.assign(
            category="c",
            event_type="purchase",
            store_id="m",
            daypart="midday",
            session_id=frame["user_id"] + frame["day"].astype(str),
            epoch_seconds=frame["day"] * DAY + 40_000,
            local_day=frame["day"],
            local_weekday=(frame["day"] + 3) % 7,
            local_midnight_epoch_seconds=frame["day"] * DAY,
        )
    )


def test_what_is_due_comes_before_what_was_just_bought():
    log = rhythmic_log()
    fitted = Repurchase(recent_baskets=14).fit(log)
    score = fitted.scores(log.encode(_asking(log)), log.everyone()).toarray()
    week, month = log.items.codes(["week", "month"])
    last = {
        item: np.array([log.time[(log.user == user) & (log.item == item)].max() for user in range(60)])
        for item in (week, month)
    }
    age = {item: (log.known_until - times) / DAY for item, times in last.items()}
    assert score[age[week] > 6, week].min() > 2 * score[age[week] < 5, week].max()
    assert score[age[month] > 25, month].mean() > score[age[month] < 14, month].mean()


def _asking(log: InteractionLog) -> pd.DataFrame:
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


@pytest.mark.parametrize("field", ["half_life_days", "shrinkage", "recent_baskets", "max_lessons"])
def test_parameters_must_be_positive(field):
    with pytest.raises(UsageError, match=f"{field} == 0"):
        Repurchase(**{field: 0})
