"""Cut-offs as typed, by default, and refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from features.errors import UsageError
from flows.moments import check_as_of, default_as_of, parse_as_of

FIRST, LAST = datetime(2017, 1, 1, tzinfo=UTC), datetime(2017, 12, 31, 20, tzinfo=UTC)


def test_a_live_source_is_read_up_to_the_present_hour() -> None:
    now = LAST + timedelta(minutes=17)
    assert default_as_of("sql:db", LAST, now, "UTC") == LAST


@pytest.mark.parametrize(
    "as_of", [FIRST, FIRST - timedelta(days=1), LAST + timedelta(days=8), LAST + timedelta(days=4000)]
)
def test_a_cut_off_outside_the_data_is_refused_with_the_span(as_of: datetime) -> None:
    with pytest.raises(UsageError, match=r"outside the data \(2017-01-01 to 2017-12-31\); pass one inside"):
        check_as_of(as_of, FIRST, LAST)


@pytest.mark.parametrize("as_of", [FIRST + timedelta(seconds=1), LAST, LAST + timedelta(days=1)])
def test_a_cut_off_inside_is_taken(as_of: datetime) -> None:
    check_as_of(as_of, FIRST, LAST)


def test_local_midnight_follows_the_season() -> None:
    assert parse_as_of("2017-07-04", "America/New_York") == datetime(2017, 7, 4, 4, tzinfo=UTC)
    assert parse_as_of("2017-12-04", "America/New_York") == datetime(2017, 12, 4, 5, tzinfo=UTC)
