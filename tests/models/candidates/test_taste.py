"""Taste for categories, from the top of the tree downwards."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.candidates.taste import Tastes
from models.interaction_log import InteractionLog

DAY = 86_400


@pytest.fixture
def log() -> InteractionLog:
    """u0 buys rye often, u1 and u2 buy soap; one category says nothing."""
    category = {"rye": "food > bread", "bun": "food > bread", "tea": "food > drink", "soap": "home > bath"}
    bought = [("u0", "rye")] * 6 + [("u1", "soap")] * 4 + [("u2", "soap"), ("u2", "tea"), ("u1", "bun")]
    frame = pd.DataFrame(bought, columns=["user_id", "item_id"])
    time = np.arange(len(frame)) * DAY
    return InteractionLog.from_frame(
        frame.assign(
            category=frame["item_id"].map(category),
            event_type="purchase",
            epoch_seconds=time,
            session_id=[f"s{place}" for place in range(len(frame))],
            store_id="m",
            daypart="midday",
            local_day=time // DAY,
            local_weekday=0,
            local_midnight_epoch_seconds=time,
        )
    )


def test_each_step_of_the_path_is_a_shrunk_share(log):
    tastes = Tastes.of(log, shrinkage=2.0, half_life_days=1e9)
    found = dict(
        zip(log.items.values, tastes.of_items(log.everyone())[log.users.codes(["u0"])[0]], strict=True)
    )
    # All: 8 of 13 food, of these 7 bread. u0: 6 of 6 food, 6 of 6 bread.
    food = (6 + 2 * 8 / 13) / (6 + 2) / (8 / 13)
    bread = (6 + 2 * 7 / 8) / (6 + 2) / (7 / 8)
    drink = (0 + 2 * 1 / 8) / (6 + 2) / (1 / 8)
    home = (0 + 2 * 5 / 13) / (6 + 2) / (5 / 13)
    assert found["rye"] == pytest.approx(food * bread, rel=1e-5)
    assert found["bun"] == found["rye"]  # taste is for the category, not for the item
    assert found["tea"] == pytest.approx(food * drink, rel=1e-5)
    assert found["soap"] == pytest.approx(home, rel=1e-5)  # bath is all there is of home


def test_someone_without_a_past_has_no_taste(log):
    nobody = log.before(0)
    np.testing.assert_allclose(Tastes.of(log, 2.0, 30.0).of_items(nobody.everyone()), 1.0, rtol=1e-5)
    np.testing.assert_allclose(Tastes.of(nobody, 2.0, 30.0).of_items(nobody.everyone()), 1.0)


def test_pairs_read_what_the_whole_table_holds(log):
    tastes = Tastes.of(log, 2.0, 30.0)
    everyone = log.everyone()
    whole, ratio = tastes.of_items(everyone), tastes.of_queries(everyone)
    query, item = (place.astype(np.int32) for place in np.indices(whole.shape).reshape(2, -1))
    np.testing.assert_array_equal(tastes.at(ratio, query, item), whole.ravel())
