"""Windows are half-open, in UTC, and say what is wrong with a bad bound."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import UsageError
from features.windows import TimeWindow

moments = st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@settings(deadline=None)
@given(moments, st.timedeltas(timedelta(microseconds=1), timedelta(days=40)))
def test_days_cover_the_window_exactly(start: datetime, length: timedelta) -> None:
    window = TimeWindow(start, start + length)
    days = list(window.days())
    assert days[0] == window.start.date()
    assert days[-1] == (window.end - timedelta(microseconds=1)).date()
    assert days == sorted(set(days)) and len(days) == (days[-1] - days[0]).days + 1
    assert window.contains(window.start) and not window.contains(window.end)
    assert window.length == length


def test_bounds_become_utc() -> None:
    eastern = timezone(timedelta(hours=-5))
    window = TimeWindow(datetime(2017, 1, 1, tzinfo=eastern), datetime(2017, 1, 2, tzinfo=eastern))
    assert window == TimeWindow(datetime(2017, 1, 1, 5, tzinfo=UTC), datetime(2017, 1, 2, 5, tzinfo=UTC))
    assert window.start.tzinfo is UTC


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (
            datetime(2017, 3, 2, tzinfo=UTC),
            datetime(2017, 3, 1, tzinfo=UTC),
            "window.start == 2017-03-02, must be < window.end == 2017-03-01; swap them.",
        ),
        (
            datetime(2017, 3, 1, tzinfo=UTC),
            datetime(2017, 3, 1, tzinfo=UTC),
            "window.start == 2017-03-01, must be < window.end == 2017-03-01; "
            "widen it: the end is not included.",
        ),
        (
            datetime(2017, 3, 1),  # noqa: DTZ001
            datetime(2017, 3, 2, tzinfo=UTC),
            "window.start == 2017-03-01T00:00:00, must carry a timezone; "
            "write 2017-03-01T00:00:00+00:00 for UTC.",
        ),
    ],
)
def test_bad_bounds_name_value_bound_and_remedy(start: datetime, end: datetime, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        TimeWindow(start, end)
    assert str(caught.value) == message
