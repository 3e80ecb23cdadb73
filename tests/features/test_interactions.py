"""Interactions: whose local day an event belongs to, which events count, and in which session."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
import pytest

from features.calendar import local_midnight, local_times
from features.interactions import EventWeights, build_interactions

DST_ZONES = (
    "America/New_York",
    "Europe/Berlin",
    "America/Sao_Paulo",  # skipped midnight on 2017-10-15
    "Atlantic/Azores",  # had two midnights on 2017-10-29
    "America/Havana",  # had two midnights on 2017-11-05
    "Asia/Beirut",
    "Australia/Lord_Howe",  # moves by half an hour
    "Asia/Kathmandu",
)


def events_at(*moments: str, **columns: object) -> pd.DataFrame:
    return pd.DataFrame({"event_ts": pd.to_datetime(list(moments), utc=True)}).assign(
        **{"user_id": "u0", **columns}
    )


def interactions(connection, **parameters: object) -> pd.DataFrame:
    return build_interactions(connection, **parameters).df().sort_values("event_ts", ignore_index=True)


def test_local_time_agrees_with_the_calendar_on_every_half_hour_of_a_year(open_shop) -> None:
    moments = pd.date_range("2017-01-01", "2018-01-01", freq="30min", tz="UTC")
    events = pd.concat([pd.DataFrame({"event_ts": moments, "user_id": zone}) for zone in DST_ZONES])
    users = pd.DataFrame({"user_id": DST_ZONES, "timezone": DST_ZONES})
    found = interactions(open_shop(events, users))
    assert len(found) == len(events)
    local = local_times(found["event_ts"], found["timezone"])
    for name in ("local_day", "local_weekday", "daypart"):
        assert (found[name].to_numpy() == local[name].to_numpy()).all(), name
    assert (found["weekday"] == found["local_weekday"].astype(str)).all()
    days = found[["timezone", "local_day", "local_midnight_epoch_seconds"]].drop_duplicates()
    assert not days.duplicated(["timezone", "local_day"]).any()
    for zone, day, midnight in days.itertuples(index=False):
        begins = local_midnight(date(1970, 1, 1) + timedelta(days=day), zone)
        assert midnight == int(begins.timestamp()), (zone, begins)
    assert (found["epoch_seconds"] >= found["local_midnight_epoch_seconds"]).all()


def test_a_day_without_clock_change_and_both_with(open_shop) -> None:
    users = pd.DataFrame({"user_id": ["u0"], "timezone": ["America/New_York"]})
    shop = open_shop(events_at("2017-03-12T18:00Z", "2017-07-04T03:59Z", "2017-11-05T23:00Z"), users)
    found = interactions(shop)
    midnights = pd.to_datetime(found["local_midnight_epoch_seconds"], unit="s", utc=True)
    assert [f"{moment:%m-%d %H:%M}" for moment in midnights] == ["03-12 05:00", "07-03 04:00", "11-05 04:00"]
    assert found["daypart"].tolist() == ["afternoon", "late", "evening"]
    assert found["local_weekday"].tolist() == [6, 0, 6]


@pytest.mark.parametrize("timezone", ["unknown", None])
def test_who_has_no_zone_lives_in_the_default_one(open_shop, timezone) -> None:
    users = pd.DataFrame({"user_id": ["u0"], "timezone": pd.Series([timezone], dtype="string")})
    events = events_at("2017-03-02T00:30Z", "2017-03-02T00:30Z", user_id=["u0", "stranger"])
    found = interactions(open_shop(events, users), default_timezone="America/New_York")
    assert found["timezone"].tolist() == ["America/New_York"] * 2
    assert found["local_day"].tolist() == [(date(2017, 3, 1) - date(1970, 1, 1)).days] * 2


def test_goods_brought_back_and_events_without_item_or_weight_are_none(open_shop) -> None:
    events = events_at(
        *[f"2017-03-02T0{hour}:00Z" for hour in range(6)],
        event_type=["purchase", "purchase", "purchase", "search", "view", "add_to_cart"],
        quantity=[-1.0, 0.0, None, 1.0, 1.0, 1.0],
        item_id=["i0", "i1", "i2", "i3", "i4", None],
    )
    found = interactions(open_shop(events))
    assert found["item_id"].tolist() == ["i1", "i2", "i4"]
    assert found["quantity"].tolist() == [0.0, 1.0, 1.0]
    assert found["weight"].tolist() == [1.0, 1.0, 0.1]
    bought = interactions(open_shop(events), weights=EventWeights(view=0.0))
    assert bought["item_id"].tolist() == ["i1", "i2"]


def test_an_event_without_session_belongs_to_its_users_local_day(open_shop) -> None:
    users = pd.DataFrame({"user_id": ["u0", "u1"], "timezone": ["America/New_York", "Europe/Berlin"]})
    events = events_at(
        "2017-03-02T03:00Z",
        "2017-03-02T04:59Z",
        "2017-03-02T05:00Z",
        "2017-03-02T05:30Z",
        "2017-03-02T06:00Z",
        user_id=["u0", "u0", "u0", "u1", "u0"],
        session_id=[None, None, None, None, "told"],
    )
    found = interactions(open_shop(events, users))["session_id"].tolist()
    assert found[0] == found[1]
    assert len({found[0], found[2], found[3], found[4]}) == 4
    assert found[4] == "told"


def test_unknown_items_count_and_hidden_ones_are_marked(open_shop) -> None:
    items = pd.DataFrame(
        {"item_id": ["i0", "i1"], "category_path": ["food", ""], "available": [False, None]}
    ).astype({"available": "boolean"})
    events = events_at(*[f"2017-03-02T0{hour}:00Z" for hour in range(3)], item_id=["i0", "i1", "new"])
    found = interactions(open_shop(events, items=items))
    assert found["category"].tolist() == ["food", "unknown", "unknown"]
    assert found["available"].tolist() == [False, True, True]


def test_a_data_sets_own_split_goes_with_its_events(open_shop) -> None:
    events = events_at("2017-03-02T01:00Z", "2017-03-02T02:00Z", split=["train", None])
    assert interactions(open_shop(events))["split"].tolist() == ["train", None]
    assert "split" not in interactions(open_shop(events.drop(columns="split")))
