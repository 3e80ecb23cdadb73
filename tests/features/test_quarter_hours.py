"""Quarters of an hour in local time: every zone, its gaps and folds, against the standard library."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from features.calendar import daypart_of_hour, known_timezones
from features.quarter_hours import quarter_hours

PURCHASES = {"purchase": 1.0}
YEARS = (2017, 2024)


def changes_of(zone: ZoneInfo, year: int) -> list[datetime]:
    """The UTC instants of the year at which the zone's offset changes, found hour by hour, to the quarter."""
    found = []
    moment = datetime(year, 1, 1, tzinfo=UTC)
    step = timedelta(hours=6)
    while moment.year == year:
        if moment.astimezone(zone).utcoffset() != (moment + step).astimezone(zone).utcoffset():
            quarter = moment
            while quarter.astimezone(zone).utcoffset() == moment.astimezone(zone).utcoffset():
                quarter += timedelta(minutes=15)
            found.append(quarter)
        moment += step
    return found


@pytest.fixture(scope="module")
def moments() -> pd.DataFrame:
    """(user_id, timezone, event_ts): every zone around each of its changes, and on ordinary days."""
    rows = []
    around = [timedelta(seconds=s) for s in (-1800, -901, -900, -1, 0, 1, 899, 900, 1800, 3599, 3600, 7200)]
    for name in sorted(known_timezones()):
        zone = ZoneInfo(name)
        instants = [datetime(2017, 7, 14, hour, 44, 59, tzinfo=UTC) for hour in range(0, 24, 5)]
        for year in YEARS:
            instants += [change + offset for change in changes_of(zone, year) for offset in around]
        rows += [(name, name, instant) for instant in instants]
    return pd.DataFrame(rows, columns=["user_id", "timezone", "event_ts"])


def test_local_time_is_that_of_the_zone_through_every_gap_and_fold(open_shop, moments) -> None:
    users = moments[["user_id", "timezone"]].drop_duplicates()
    events = moments[["user_id", "event_ts"]].assign(event_ts=pd.to_datetime(moments["event_ts"], utc=True))
    shop = open_shop(events, users)
    found = quarter_hours(shop, PURCHASES, default_timezone="UTC", where="TRUE").df()
    assert len(found) == len(moments)
    changing = {name for name in moments["timezone"].unique() if (moments["timezone"] == name).sum() > 5}
    assert len(changing) > 100  # zones that change their clocks, tried around every change
    for name, second, daypart, weekday, session in found[
        ["user_id", "epoch_seconds", "daypart", "weekday", "session_id"]
    ].itertuples(index=False):
        local = datetime.fromtimestamp(second, ZoneInfo(name))
        assert daypart == daypart_of_hour(local.hour), (name, local)
        assert weekday == str(local.weekday()), (name, local)
        assert session == f"{name}@{(local.date() - datetime(1970, 1, 1, tzinfo=UTC).date()).days}"


def test_the_zones_offsets_are_whole_quarters(moments) -> None:
    for name, moment in moments[["timezone", "event_ts"]].itertuples(index=False):
        offset = moment.astimezone(ZoneInfo(name)).utcoffset()
        assert offset.total_seconds() % 900 == 0, (name, moment)


def test_unknown_zones_fall_back_and_amounts_are_whole_ten_thousandths(open_shop) -> None:
    events = pd.DataFrame(
        {
            "user_id": ["stranger", "known"],
            "event_ts": pd.to_datetime(["2017-05-01T23:30Z", "2017-05-01T23:30Z"]),
            "amount": [0.1, None],
            "quantity": [2.5, None],
            "session_id": ["s1", None],
        }
    )
    users = pd.DataFrame({"user_id": ["known"], "timezone": ["unknown"]})
    shop = open_shop(events, users)
    found = quarter_hours(shop, PURCHASES, default_timezone="Asia/Kolkata", where="TRUE").df()
    found = found.sort_values("user_id", ignore_index=True)
    assert found["daypart"].tolist() == ["night", "night"]
    assert found["weekday"].tolist() == ["1", "1"]
    assert found["amount"].tolist() == [0, 1_000]
    assert found["quantity"].tolist() == [10_000, 25_000]
    assert found["weight"].tolist() == [10_000, 10_000]
    assert found["session_id"].tolist() == ["known@17288", "s1"]
    assert found["category"].tolist() == ["unknown", "unknown"]
