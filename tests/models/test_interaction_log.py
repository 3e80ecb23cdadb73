"""The log against plain pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.errors import UsageError
from models.interaction_log import InteractionLog


def test_rows_are_sorted_and_decode_to_the_frame(market, market_log):
    decoded = pd.DataFrame(
        {
            "user_id": market_log.users.decode(market_log.user),
            "item_id": market_log.items.decode(market_log.item),
            "epoch_seconds": market_log.time,
            "store_id": market_log.stores.decode(market_log.store),
            "daypart": market_log.dayparts.decode(market_log.daypart),
        }
    )
    wanted = market[list(decoded)].sort_values(["user_id", "epoch_seconds", "item_id"], ignore_index=True)
    pd.testing.assert_frame_equal(decoded, wanted, check_dtype=False)
    assert (market_log.categories.decode(market_log.item_category) == [f"c{n % 4}" for n in range(14)]).all()


def test_a_repeated_line_of_a_basket_counts_once(market):
    twice = pd.concat([market, market], ignore_index=True)
    assert len(InteractionLog.from_frame(twice)) == len(market)


def test_a_basket_keeps_the_strongest_event_of_an_item_at_its_own_time(market, market_log):
    """A look before it is not lost as a purchase made earlier would be: no cut shows what came later."""
    seen = market.assign(event_type="view", epoch_seconds=market["epoch_seconds"] - 60)
    again = market.assign(epoch_seconds=market["epoch_seconds"] + 60)
    both = pd.concat([seen, again, market], ignore_index=True)
    log = InteractionLog.from_frame(both, {"view": 0.25, "purchase": 1.0})
    assert (log.weight == 1).all()
    assert sorted(log.time) == sorted(market_log.time)
    looks = InteractionLog.from_frame(pd.concat([seen, market]), {"view": 1.0})
    assert (np.sort(looks.time) == np.sort(market_log.time - 60)).all()


def test_the_parts_of_a_source_go_with_their_rows(market):
    part = market["item_id"].str[1:].astype(int) % 4 - 1
    log = InteractionLog.from_frame(market.assign(part=part))
    assert log.part is not None
    item = log.items.decode(log.item)
    assert (log.part == [int(name[1:]) % 4 - 1 for name in item]).all()
    few = log.restricted_to(["i03", "i07"]).before(int(log.time.max()))
    assert few.part is not None and len(few.part) == len(few) and (few.part == 2).all()
    assert InteractionLog.from_frame(market).part is None


def test_events_without_weight_or_item_are_left_out(market):
    other = market.assign(event_type="search")
    nameless = market.assign(item_id=None)
    everything = pd.concat([market, other, nameless], ignore_index=True)
    assert len(InteractionLog.from_frame(everything)) == len(market)
    with pytest.raises(UsageError, match="must be > 0"):
        InteractionLog.from_frame(market, {"purchase": 0.0})


def test_categorical_and_arrow_columns_give_the_same_log(market, market_log):
    text = ["user_id", "item_id", "category", "event_type", "store_id", "session_id", "daypart"]
    for dtype in ("category", "string[pyarrow]"):
        same = InteractionLog.from_frame(market.astype(dict.fromkeys(text, dtype)))
        assert (same.user == market_log.user).all()
        assert (same.item == market_log.item).all()
        assert (same.basket == market_log.basket).all()


def test_events_without_session_share_a_basket_per_day(market):
    log = InteractionLog.from_frame(market.assign(session_id="unknown"))
    days = market[["user_id", "local_day"]].drop_duplicates()
    assert len(np.unique(log.basket)) == len(days)


def test_before_is_strict_and_keeps_codes(market_log):
    instant = int(np.median(market_log.time))
    known = market_log.before(instant)
    assert len(known) == (market_log.time < instant).sum()
    assert known.time.max() < instant == known.known_until
    assert known.users is market_log.users
    assert len(market_log.before(0)) == 0
    assert market_log.before(0).everyone().matrix(np.zeros(0, np.float32)).shape == (
        market_log.n_users,
        market_log.n_items,
    )


def test_expand_equals_a_loop(market, market_log, market_queries):
    histories = market_log.expand(market_log.encode(market_queries))
    for place, query in enumerate(market_queries.itertuples()):
        own = market[
            (market["user_id"] == query.user_id) & (market["epoch_seconds"] < query.cutoff_epoch_seconds)
        ].sort_values(["epoch_seconds", "item_id"])
        mine = histories.query == place
        assert market_log.items.decode(histories.item[mine]).tolist() == own["item_id"].tolist()
        age = (query.cutoff_epoch_seconds - own["epoch_seconds"].to_numpy()) / 86_400
        np.testing.assert_allclose(histories.age_days[mine], age, rtol=1e-6)
        ranks = own["epoch_seconds"].rank(method="dense", ascending=False).to_numpy() - 1
        assert histories.basket_age[mine].tolist() == ranks.tolist()
        assert histories.n_baskets[place] == own["session_id"].nunique()


def test_restricting_recodes_items_and_forgets_baskets_without_any(market, market_log, market_queries):
    kept = ["i03", "i01", "never sold"]
    small = market_log.restricted_to(kept)
    wanted = market[market["item_id"].isin(kept)]
    assert small.items.values.tolist() == ["i01", "i03", "never sold"]
    assert len(small) == len(wanted)
    assert small.item_category[2] == -1
    late = np.full(market_log.n_users, small.known_until, dtype=np.int64)
    baskets = small.baskets_before(np.arange(market_log.n_users, dtype=np.int32), late)
    counted = wanted.groupby("user_id")["session_id"].nunique().reindex(market_log.users.values, fill_value=0)
    assert baskets.tolist() == counted.tolist()
