"""Every bad row is set aside with its reason, every good one kept, every bad file stopped."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.contract import SET_ASIDE, Contract
from features.contract_values import fits, read_values
from features.contracts import CONTRACTS, EVENT_TYPES, EVENTS, ITEMS, PROMOTIONS, USERS
from features.errors import ContractError

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def event(**changes: Any) -> dict[str, Any]:
    row = {
        "event_id": "e1",
        "user_id": "u1",
        "item_id": "i1",
        "event_type": "purchase",
        "event_ts": "2025-03-01T12:00:00Z",
        "amount": 2.5,
        "device": "ios",
    }
    return row | changes


def split(contract: Contract, *rows: dict[str, Any]) -> Any:
    return contract.split(pd.DataFrame(list(rows)), now=NOW)


def reason_of(contract: Contract, bad: dict[str, Any], *good: dict[str, Any]) -> str:
    """The reason for `bad`, which must be the only row set aside."""
    found = split(contract, *good, bad)
    assert len(found.accepted) == len(good)
    assert len(found.quarantined) == 1
    return str(found.quarantined["reason"].iloc[0])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"event_type": "purchased"}, "unknown event_type"),
        ({"event_type": None}, "event_type missing"),
        ({"event_id": None}, "event_id missing"),
        ({"event_id": ""}, "event_id missing"),
        ({"user_id": None}, "user_id missing"),
        ({"event_ts": None}, "event_ts missing"),
        ({"event_ts": "yesterday"}, "event_ts not readable"),
        ({"event_ts": "03/04/2025"}, "event_ts not readable"),
        ({"event_ts": "2026-01-01T00:00:00.000001Z"}, "event_ts in the future"),
        ({"event_ts": "9999-12-31"}, "event_ts in the future"),
        ({"amount": -0.01}, "negative amount"),
        ({"amount": "two"}, "amount not readable"),
        ({"amount": np.inf}, "amount not readable"),
        ({"quantity": -1}, "negative quantity"),
        ({"item_id": None}, "item_id missing for this event_type"),
        ({"event_id": "e0", "amount": 9.0}, "duplicate event_id with other content"),
    ],
)
def test_each_bad_event_has_its_reason(changes: dict[str, Any], reason: str) -> None:
    good = [event(event_id="e0"), event(event_id="e9", event_ts="2026-01-01T00:00:00Z")]
    assert reason_of(EVENTS, event(**changes), *good) == reason


@pytest.mark.parametrize(
    ("contract", "bad", "good", "reason"),
    [
        (
            USERS,
            {"user_id": "u2", "timezone": "Mars"},
            {"user_id": "u1", "timezone": "UTC"},
            "unknown timezone",
        ),
        (
            USERS,
            {"user_id": "u2", "quiet_start": "22:00", "quiet_end": None},
            {"user_id": "u1", "quiet_start": "22:00", "quiet_end": "7:30"},
            "quiet_start and quiet_end must come together",
        ),
        (
            USERS,
            {"user_id": "u2", "quiet_start": "24:30", "quiet_end": "07:00"},
            {"user_id": "u1", "quiet_start": "22:00", "quiet_end": "07:00"},
            "quiet_start not readable",
        ),
        (
            USERS,
            {"user_id": "u2", "push_consent": "perhaps"},
            {"user_id": "u1", "push_consent": "yes"},
            "push_consent not readable",
        ),
        (ITEMS, {"item_id": "b", "price": -1}, {"item_id": "a", "price": 0}, "negative price"),
        (
            PROMOTIONS,
            {"promotion_id": "p2"},
            {"promotion_id": "p1", "item_id": "a"},
            "names neither item nor category",
        ),
        (
            PROMOTIONS,
            {"promotion_id": "p2", "item_id": "a", "starts_at": "2025-01-02", "ends_at": "2025-01-02"},
            {"promotion_id": "p1", "item_id": "a", "starts_at": "2025-01-02", "ends_at": "9999-12-31"},
            "ends before it starts",
        ),
    ],
)
def test_each_bad_row_of_the_other_tables(
    contract: Contract, bad: dict[str, Any], good: dict[str, Any], reason: str
) -> None:
    assert reason_of(contract, bad, good) == reason


def test_the_first_reason_wins_and_the_row_stays_as_it_came() -> None:
    found = split(EVENTS, event(), event(event_id="e2", event_type="purchased", amount=-3, event_ts="soon"))
    row = found.quarantined.iloc[0]
    assert row["reason"] == "event_ts not readable"
    assert (row["event_ts"], row["amount"], row["event_type"]) == ("soon", "-3", "purchased")
    assert found.quarantined.columns.tolist() == [*EVENTS.column_names, "reason"]


def test_equal_duplicates_go_silently_and_are_counted() -> None:
    found = split(EVENTS, event(), event(), event(amount=7.0), event(event_id="e2"), event(amount=7.0))
    assert found.accepted["event_id"].tolist() == ["e1", "e2"]
    assert (found.repeats, len(found.quarantined)) == (2, 1)


def test_a_broken_row_does_not_make_a_good_one_a_duplicate() -> None:
    found = split(EVENTS, event(amount=-1.0), event())
    assert found.accepted["amount"].tolist() == [2.5]
    assert found.quarantined["reason"].tolist() == ["negative amount"]


def test_a_source_may_set_rows_aside_itself() -> None:
    found = split(
        EVENTS, event() | {SET_ASIDE: None}, {"event_id": "x,y"} | {SET_ASIDE: "wrong number of fields"}
    )
    assert found.quarantined["reason"].tolist() == ["wrong number of fields"]
    assert found.quarantined["event_id"].tolist() == ["x,y"]


def test_a_data_sets_own_split_is_kept_and_never_missed() -> None:
    assert split(EVENTS, event(split="valid")).accepted["split"].tolist() == ["valid"]
    without = split(EVENTS, event())
    assert without.accepted["split"].isna().all()
    assert not any("split" in line for line in without.degraded)


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_accepted_rows_have_every_column_in_its_type(contract: Contract) -> None:
    row = {"promotions": {"item_id": 1}, "events": {"event_type": "app_open", "event_ts": NOW}}
    minimal = dict.fromkeys(contract.required, "1") | row.get(contract.name, {})
    found = split(contract, minimal)
    assert found.accepted.dtypes.astype(str).to_dict() == contract.empty().dtypes.astype(str).to_dict()
    assert found.accepted.columns.tolist() == list(contract.column_names) == contract.arrow_schema().names
    assert len(found.accepted) == 1


def test_an_empty_frame_is_fine() -> None:
    found = EVENTS.split(EVENTS.empty(), now=NOW)
    assert found.accepted.empty and found.quarantined.empty and found.degraded == ()


def test_consent_is_never_assumed() -> None:
    found = split(USERS, {"user_id": 1, "push_consent": True}, {"user_id": 2, "push_consent": None})
    assert found.accepted["push_consent"].tolist() == [True, False]
    assert found.accepted["user_id"].tolist() == ["1", "2"]
    assert "users.push_consent: 1 of 2 users gave none, they get no push" in found.degraded


def test_what_is_not_told_is_unknown_and_said_once() -> None:
    found = USERS.split(pd.DataFrame({"user_id": ["a", "b"]}), now=NOW, default_timezone="Asia/Tokyo")
    assert found.accepted["timezone"].tolist() == ["Asia/Tokyo"] * 2
    assert found.accepted["segment"].tolist() == ["unknown"] * 2
    assert found.degraded == (
        "users.timezone: 2 of 2 users have none, the default zone is used",
        "users.push_consent: 2 of 2 users gave none, they get no push",
        "users: not told, taken as unknown: signup_ts, locale, region, quiet_start, quiet_end, max_per_day, "
        "segment",
    )
    assert split(ITEMS, {"item_id": 1}).degraded == (
        "items: not told, taken as unknown: title, category_path, brand, price, tags, created_ts, "
        "available (taken as true), stock, sensitive (taken as false)",
    )


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"event_id": "string", "user_id": "string", "event_type": "string", "eventts": "timestamp[us]"},
            "events.event_ts: found no such column (there are: event_id, user_id, event_type, eventts), "
            "expected a UTC timestamp or ISO 8601 text; rename 'eventts' to it, or write event_ts = "
            '"eventts" under [columns.events] in kairos.toml.',
        ),
        (
            {"event_id": "string", "user_id": "string", "event_type": "string", "at": "string"},
            "events.event_ts: found no such column (there are: event_id, user_id, event_type, at), "
            "expected a UTC timestamp or ISO 8601 text; add the column, or name yours under "
            "[columns.events] in kairos.toml.",
        ),
        (
            {"event_id": "string", "user_id": "string", "event_type": "string", "event_ts": "int64"},
            "events.event_ts: found type int64, expected a UTC timestamp or ISO 8601 text; "
            "write 2017-03-01T12:00:00Z, not epoch numbers.",
        ),
        (
            {"user_id": "string"},
            "events.event_id: found no such column (there are: user_id), expected text or a whole number; "
            "add the column, or name yours under [columns.events] in kairos.toml.",
        ),
    ],
)
def test_a_bad_file_is_named_with_its_fix(columns: dict[str, str], message: str) -> None:
    with pytest.raises(ContractError) as caught:
        EVENTS.check_file(columns)
    assert str(caught.value) == message


def test_a_column_wrong_throughout_stops_the_file() -> None:
    with pytest.raises(
        ContractError, match=r"events\.amount: found 'much' and 1 more like it, expected a number"
    ):
        split(EVENTS, event(amount="much"), event(event_id="e2", amount="little"))


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("time", "2017-03-01T12:00:00+02:00", pd.Timestamp("2017-03-01T10:00Z")),
        ("time", datetime(2017, 3, 1, 12), pd.Timestamp("2017-03-01T12:00Z")),  # noqa: DTZ001
        ("time", date(2017, 3, 1), pd.Timestamp("2017-03-01T00:00Z")),
        ("number", Decimal("1.25"), 1.25),
        ("number", "1e3", 1000.0),
        ("flag", 1, True),
        ("flag", "No", False),
        ("clock", time(22, 30), "22:30"),
        ("clock", "7:05:59", "07:05"),
        ("id", 12345678901234567, "12345678901234567"),
    ],
)
def test_values_are_read_into_their_type(kind: Any, value: Any, expected: Any) -> None:
    for dtype in (object, None):
        values, unreadable = read_values(kind, pd.Series([value, None], dtype=dtype))
        if kind != "id" or dtype is object:
            assert values.iloc[0] == expected
        assert values.isna().tolist() == [False, True] and not unreadable.any()


def test_ids_exported_as_floats_are_whole_again() -> None:
    for values in ([17.0, None], ["17.0", None], pd.Series([17.0, None], dtype=object)):
        assert read_values("id", pd.Series(values))[0].tolist()[0] == "17"
    assert read_values("id", pd.Series(["v1.0", "1.00"]))[0].tolist() == ["v1.0", "1.00"]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)), min_size=1, max_size=5))  # noqa: DTZ001
def test_times_survive_text_to_the_microsecond(moments: list[datetime]) -> None:
    values, unreadable = read_values("time", pd.Series([f"{m.isoformat()}Z" for m in moments], dtype=object))
    assert not unreadable.any()
    assert [value.to_pydatetime().replace(tzinfo=None) for value in values] == moments


words = st.text(alphabet="ab1-. é\x00", max_size=6)
cells = st.one_of(st.none(), words, st.integers(-5, 5), st.floats(), st.booleans())
rows = st.fixed_dictionaries(
    {
        "event_id": cells,
        "user_id": cells,
        "event_type": st.one_of(st.sampled_from(EVENT_TYPES), cells),
        "event_ts": st.one_of(st.just("2025-01-01"), words, st.none()),
        "item_id": cells,
        "amount": cells,
        "store_id": cells,
    }
)


@settings(deadline=None, max_examples=50)
@given(st.lists(rows, max_size=8))
def test_no_row_is_lost_and_none_is_invented(found_rows: list[dict[str, Any]]) -> None:
    good = [event(event_id="good-1", store_id="1"), event(event_id="good-2", store_id="2")]
    found = split(EVENTS, *good, *found_rows)
    assert len(found.accepted) + len(found.quarantined) + found.repeats == len(found_rows) + 2
    assert {"good-1", "good-2"} <= set(found.accepted["event_id"])
    assert found.accepted["event_id"].is_unique
    again = EVENTS.split(found.accepted, now=NOW)
    pd.testing.assert_frame_equal(again.accepted, found.accepted)


def test_nested_types_fit_nothing() -> None:
    assert not fits("text", "list<element: string>")
    with pytest.raises(ContractError, match="lists joined with commas"):
        ITEMS.check_file({"item_id": "string", "tags": "list<element: string>"})


def test_a_missing_zone_is_the_regions_then_the_countrys_then_the_default_and_the_row_says_so():
    frame = pd.DataFrame(
        {
            "user_id": list("abcd"),
            "timezone": ["Asia/Tokyo", None, None, None],
            "region": ["north", "north", None, None],
            "locale": [None, "de_AT", "de_AT", "en_US"],
        }
    )
    places = {"north": "Europe/Oslo", "AT": "Europe/Vienna"}
    found = USERS.split(frame, now=NOW, default_timezone="Europe/Paris", zones_by_place=places)
    assert found.accepted["timezone"].tolist() == [
        *("Asia/Tokyo", "Europe/Oslo", "Europe/Vienna", "Europe/Paris")
    ]
    assert found.accepted["timezone_source"].tolist() == ["own", "place", "place", "default"]
    assert any("3 of 4 users have none, 2 get their region's" in line for line in found.degraded)


def test_quiet_hours_may_last_the_whole_day():
    frame = pd.DataFrame(
        {"user_id": ["a", "b"], "quiet_start": ["0:00", "0:00"], "quiet_end": ["24:00", "24:01"]}
    )
    found = USERS.split(frame, now=NOW)
    assert found.accepted["quiet_end"].tolist() == ["24:00"]
    assert found.quarantined["reason"].tolist() == ["quiet_end not readable"]
