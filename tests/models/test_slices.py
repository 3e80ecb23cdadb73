"""Slices know only what was known at the query's cut-off, and say nothing of parts that nobody knows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from models.interaction_log import InteractionLog
from models.slice_report import FEWEST_USERS, measure_slices
from models.slices import (
    ACTIVITY,
    ITEM_AGE,
    bought_before,
    item_births,
    query_slices,
    scene_shares,
    target_slices,
    users_per_item,
)

DAY = 86_400


def _rows(events: list[tuple[str, str, float, str, str]], **scene: list[str]) -> pd.DataFrame:
    frame = pd.DataFrame(events, columns=["user_id", "item_id", "days", "session_id", "store_id"])
    second = (frame["days"] * DAY).astype("int64")
    return frame.drop(columns="days").assign(
        category="food > " + frame["item_id"],
        event_type="purchase",
        epoch_seconds=second,
        local_day=second // DAY,
        local_weekday=(second // DAY + 3) % 7,
        local_midnight_epoch_seconds=second // DAY * DAY,
        daypart="midday",
        **scene,
    )


def _queries(users: list[str], stores: list[str], day: int = 50, **scene: list[str]) -> pd.DataFrame:
    n = len(users)
    unknown = {part: ["unknown"] * n for part in ("device", "network", "region", "channel", "weather")}
    return pd.DataFrame(
        {
            "query_id": np.arange(n) + 10,
            "user_id": users,
            "store_id": stores,
            **(unknown | scene),
            "daypart": "evening",
            "weekday": 4,
            "local_day": day,
            "cutoff_epoch_seconds": day * DAY,
            "fit_epoch_seconds": (day - 1) * DAY,
        }
    )


def _log() -> InteractionLog:
    """`old` has 3 baskets in s1 (two items in one), 1 in s2; `young` 1 in s2; both go on after day 50."""
    return InteractionLog.from_frame(
        _rows(
            [
                ("old", "bread", 1.5, "a", "s1"),
                ("old", "milk", 1.5, "a", "s1"),
                ("old", "bread", 9.5, "b", "s1"),
                ("old", "bread", 19.5, "c", "s1"),
                ("old", "milk", 29.5, "d", "s2"),
                ("young", "milk", 45.5, "e", "s2"),
                ("old", "tea", 50.5, "f", "s3"),
                ("young", "bread", 51.5, "g", "s1"),
            ]
        )
    )


def test_familiarity_counts_baskets_strictly_before_the_cutoff() -> None:
    queries = _queries(["old", "old", "old", "stranger", "old"], ["s1", "s2", "s3", "s1", "unknown"])
    shares = scene_shares(_log(), queries)
    assert shares["store_id"].tolist()[:4] == [0.75, 0.25, 0.0, 0.0]
    assert np.isnan(shares["store_id"][4])
    assert shares["device"].isna().all()
    found = query_slices(_log(), queries)
    assert found["store familiarity"].tolist() == ["usual", "used before", "never used", "never used", None]
    assert not {"device familiarity", "region familiarity"} & set(found)
    assert found["daypart"].tolist() == ["evening"] * 5 and found["weekday"].tolist() == ["Friday"] * 5


def test_the_whole_scene_is_as_familiar_as_its_least_familiar_part() -> None:
    frame = _rows(
        [("u", "bread", 1.0, "a", "s1"), ("u", "bread", 2.0, "b", "s1"), ("v", "bread", 3.0, "c", "s2")],
        device=["ios", "ios", "web"],
    )
    asked = _queries(["u", "u"], ["s1", "s1"], device=["ios", "web"])
    found = query_slices(InteractionLog.from_frame(frame), asked)
    assert found["device familiarity"].tolist() == ["usual", "never used"]
    assert found["scene familiarity"].tolist() == ["usual", "never used"]


def test_activity_and_age_of_users() -> None:
    found = query_slices(_log(), _queries(["old", "young", "stranger"], ["s1"] * 3))
    assert found["earlier baskets"].tolist() == ["1-4", "1-4", "0"]
    assert found["user age"].tolist() == ["known longer", *["first seen under 28 days ago"] * 2]
    assert set(found["earlier baskets"]) <= set(ACTIVITY)


def test_what_happens_after_the_cutoff_changes_no_slice_of_a_query() -> None:
    queries = _queries(["old", "young", "stranger"], ["s1", "s2", "s3"])
    log = _log()
    pd.testing.assert_frame_equal(query_slices(log, queries), query_slices(log.before(50 * DAY), queries))


def test_targets_by_age_habit_reach_and_category() -> None:
    queries = _queries(["old", "young"], ["s1", "s1"])
    truth = pd.DataFrame({"query_id": [10, 10, 11, 11], "item_id": ["bread", "tea", "milk", "never listed"]})
    found = target_slices(_log(), queries, truth)
    assert found["item age"].tolist() == [ITEM_AGE[1], ITEM_AGE[0], ITEM_AGE[1], ITEM_AGE[0]]
    assert found["item to the user"].tolist() == [
        "bought before",
        "new to the user",
        "bought before",
        "new to the user",
    ]
    assert found["item reach"].tolist()[1] == "never sold before"
    assert found["category"].tolist() == ["food > bread", "food > tea", "food > milk", "unknown"]


def test_births_are_told_by_the_shop_where_it_knows_better() -> None:
    log = _log()
    assert item_births(log).tolist() == [int(1.5 * DAY), int(1.5 * DAY), int(50.5 * DAY)]
    assert users_per_item(log, 50 * DAY).tolist() == [1, 2, 0]

    class Told:
        created = np.array([-1, DAY, 10 * DAY])

    known = replace(log, shop=Told())  # type: ignore[arg-type]
    assert item_births(known).tolist() == [int(1.5 * DAY), DAY, 10 * DAY]


def test_bought_before_knows_no_stranger_and_no_unknown_item() -> None:
    user = np.array([0, 0, 0, -1, 1], dtype=np.int32)
    item = np.array([0, 2, -1, 0, 0], dtype=np.int32)
    cutoff = np.full(5, 50 * DAY, dtype=np.int64)
    assert bought_before(_log(), user, item, cutoff).tolist() == [True, False, False, False, False]


def test_every_slice_is_measured_and_the_lead_is_paired() -> None:
    n = 400
    rng = np.random.default_rng(0)
    slices = pd.DataFrame({"daypart": rng.choice(["late", "night"], n)})
    base = rng.random(n)
    ours = base + np.where(slices["daypart"] == "late", 0.1, 0.0)
    rows = measure_slices(
        slices, {"ours": ours, "peer": base}, np.arange(n).astype(str), "ndcg@10", "ours", ["peer"]
    )
    assert [row.value for row in rows] == ["night", "late"]
    night, late = rows
    assert night.rows + late.rows == n
    assert (night.leads["peer"].low, night.leads["peer"].high) == (0.0, 0.0)
    lead = late.leads["peer"]
    assert [lead.mean, lead.low, lead.high] == pytest.approx([0.1, 0.1, 0.1])
    assert late.ratios["peer"].low > 1.0
    mask = (slices["daypart"] == "late").to_numpy()
    assert abs(late.models["ours"].mean - ours[mask].mean()) < 1e-12


def test_a_slice_of_few_users_has_no_interval_and_none_has_no_row() -> None:
    few = FEWEST_USERS - 1
    kinds = ["late"] * few + ["night"] * 30 + [None] * 5
    users = [f"u{user}" for user in range(len(kinds))]
    values = {"ours": np.ones(len(kinds)), "peer": np.zeros(len(kinds))}
    night, late = measure_slices(pd.DataFrame({"daypart": kinds}), values, users, "hit", "ours", ["peer"])
    assert night.rows == 30 and night.leads["peer"].low == 1.0
    told = late.to_dict()
    assert told["users"] == few and told["models"]["ours"] == {"mean": 1.0, "low": None, "high": None}
    assert told["ratios"]["peer"]["mean"] is None
    assert measure_slices(pd.DataFrame({"daypart": []}), values, [], "hit", "ours", []) == []
